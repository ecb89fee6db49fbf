/**
 * The parts of the comparison, and what each depends on.
 *
 * No model is in the parts of another, and no option in a part that it does not influence: a recipe that is changed or
 * added leaves the results of the others as they are.
 */
import type { Recipe } from './recipes.js'
import type { Budget, Options } from './results.js'

/** Something that is done once. */
export interface Part {
  /** Names its file. */
  name: string
  /** All that its results depend on, as JSON. */
  of: object
}

/** The excerpts of a smoke test. */
export const AUDIO: Part = { name: 'audio', of: {} }

const heard = ({ rate, rescale }: Options) => ({ rate, rescale })
const trainedOn = (options: Options) => {
  const { threads } = options
  return { ...heard(options), ...(threads > 0 && { threads }) }
}

/** @param set one of the sets, or all of them together */
export function dataPart(options: Options, set: string): Part {
  return { name: `data-${set}`, of: heard(options) }
}

/** Flags of a training of so many targets. */
export function flagsOf(recipe: Recipe, options: Options, targets: number, rate: number): string[] {
  return [
    ...recipe.model,
    ...recipe.course(targets, options.targetsPerStep),
    ...['--targets-per-step', `${options.targetsPerStep}`, '--lr', `${rate}`],
    ...['--warmup', `${Math.round(targets / 20)}`, '--schedule', 'cosine:0.05'],
    ...['--eval-every', `${Math.ceil(targets / 10)}`],
    ...['--eval-targets', `${Math.min(240e3, Math.max(640, Math.round(targets / 10)))}`],
    ...['--seed', `${options.seed}`],
  ]
}

/** One learning rate, tried. */
export function trialPart(options: Options, recipe: Recipe, rate: number): Part {
  const flags = flagsOf(recipe, options, options.trialTargets, rate)
  return { name: `rate-${recipe.name}-${rate}`, of: { ...trainedOn(options), flags } }
}

/** All learning rates that are tried. */
export function ratesPart(options: Options, recipe: Recipe): Part {
  const { of } = trialPart(options, recipe, recipe.rates[0]!)
  const { moreRates } = options
  return { name: `rates-${recipe.name}`, of: { ...of, rates: recipe.rates, moreRates } }
}

/** The training under a budget; its name is also that of its folder. */
export function runPart(options: Options, recipe: Recipe, budget: Budget, rate: number): Part {
  const flags = flagsOf(recipe, options, options.targets, rate)
  const of = { ...trainedOn(options), flags }
  if (budget === 'equalTargets') return { name: `targets-${recipe.name}`, of }
  return { name: `time-${recipe.name}`, of: { ...of, minutes: options.minutes } }
}

export function scorePart({ limit }: Options, run: Part, set: string, split: string): Part {
  return { name: `score-${run.name}-${set}-${split}`, of: { ...run.of, limit } }
}

export function speedPart({ seconds }: Options, recipe: Recipe, run: Part, precision: string) {
  return { name: `speed-${recipe.name}-${precision}`, of: { ...run.of, seconds } }
}

export function costPart(recipe: Recipe, run: Part): Part {
  return { name: `cost-${recipe.name}`, of: run.of }
}
