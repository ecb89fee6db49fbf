/**
 * The comparison that runs/table1.sh is about: node out/bench/table1.js FOLDER [RUNS] [options].
 *
 * Every part is done once: what is in RUNS/done is not done again, and a training that was stopped goes on.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Baselines } from 'longwave/eval'
import { longwave, say } from './command.js'
import { machine } from './machine.js'
import { type Call, parse, USAGE } from './table1/call.js'
import { cutSample, findSources, type Sources } from './table1/data.js'
import {
  AUDIO,
  costPart,
  dataPart,
  flagsOf,
  type Part,
  ratesPart,
  runPart,
  scorePart,
  speedPart,
  trialPart,
} from './table1/parts.js'
import type { Recipe } from './table1/recipes.js'
import { curves, isDone, renderTable } from './table1/render.js'
import type { Budget, ModelResult, Options, Row, SetResult, Trial } from './table1/results.js'
import { evaluate, type Scored } from './table1/scores.js'
import { generationSpeed, type Speed, type StepCost, stepCost } from './table1/speed.js'
import { OtherPlanError, Store, TableError } from './table1/store.js'
import { lastWeights, type Trained, train } from './table1/training.js'

/** The budgets that are asked for. */
const budgetsOf = ({ minutes }: Options): Budget[] =>
  minutes > 0 ? ['equalTargets', 'equalTime'] : ['equalTargets']

/** Share of the time that a training is planned for: a machine may be a little slower than before. */
const OF_TIME = 0.97

const SPLITS = ['test', 'valid'] as const
const PROMPT = 'samples/bach_bwv855_prelude_excerpt.flac'

/** What all parts share. */
interface Work extends Call {
  store: Store
  sources: Sources
  machine: Awaited<ReturnType<typeof machine>>
}

const dataOf = ({ runs }: Call, name: string) => join(runs, 'data', name)

/** The name of the data set of all sets together. */
const ALL = 'all'

type Prepared = Record<string, number>

/** Makes the datasets: one of everything, and one of each set. */
async function prepare(work: Work): Promise<void> {
  const { store, sources, options } = work
  for (const [name, folder] of [[ALL, sources.all], ...Object.entries(sources.sets)] as const) {
    await store.once<Prepared>(dataPart(options, name), async () => {
      const args = [
        ...['prepare', folder, '--out', dataOf(work, name), '--rate', `${options.rate}`],
        ...(options.rescale > 0 ? ['--rescale', `${options.rescale}`] : []),
      ]
      say(`$ longwave ${args.join(' ')} --json`)
      const { status, stdout } = await longwave([...args, '--json'], { quiet: true })
      if (status !== 0) throw new TableError(`The recordings in ${folder} could not be prepared.`)
      const { splits } = JSON.parse(stdout) as { splits: Record<string, { seconds: number }> }
      return Object.fromEntries(Object.entries(splits).map(([s, { seconds }]) => [s, seconds]))
    })
  }
}

async function tried(work: Work, recipe: Recipe, rate: number): Promise<Trial> {
  const { store, runs, options } = work
  return store.once<Trial>(trialPart(options, recipe, rate), async () => {
    const out = join(runs, 'rates', `${recipe.name}-${rate}`)
    const found = await train({
      ...{ out, data: dataOf(work, ALL) },
      flags: flagsOf(recipe, options, options.trialTargets, rate),
      threads: options.threads,
      onStart: (pid) => store.working(pid),
    })
    rmSync(out, { recursive: true, force: true }) // many times the size of the models that are kept
    return { rate, heldOutBits: found?.heldOutBits ?? null }
  })
}

/** Tries a model's learning rates, and further ones while the lowest or the highest is the best. */
async function triedRates(work: Work, recipe: Recipe): Promise<Trial[]> {
  return work.store.once<Trial[]>(ratesPart(work.options, recipe), async () => {
    const trials: Trial[] = []
    for (const rate of recipe.rates) trials.push(await tried(work, recipe, rate))
    for (let more = 0; more < work.options.moreRates; more++) {
      trials.sort((a, b) => a.rate - b.rate)
      const best = bestOf(trials)
      if (best === trials.at(-1)!.rate) trials.push(await tried(work, recipe, 2 * best))
      else if (best === trials[0]!.rate) trials.push(await tried(work, recipe, best / 2))
    }
    return trials.sort((a, b) => a.rate - b.rate)
  })
}

function bestOf(trials: readonly Trial[]): number | undefined {
  const bits = ({ heldOutBits }: Trial) => heldOutBits ?? Number.POSITIVE_INFINITY
  const [best] = [...trials].sort((a, b) => bits(a) - bits(b))
  return best && bits(best) < Number.POSITIVE_INFINITY ? best.rate : undefined
}

interface Run {
  trained: Trained
  commit: string
}

/** The run under a budget: also under the time the one of equal targets, where that took as long. */
function runOf({ store, options }: Work, recipe: Recipe, budget: Budget, rate: number): Part {
  const run = runPart(options, recipe, 'equalTargets', rate)
  if (budget === 'equalTargets') return run
  const share = (store.find<Run>(run)?.trained.seconds ?? 0) / (60 * options.minutes)
  return share > OF_TIME && share <= 1 ? run : runPart(options, recipe, 'equalTime', rate)
}

/** Trains a model under a budget and scores it. */
async function compared(work: Work, recipe: Recipe, budget: Budget, rate: number): Promise<void> {
  const { store, runs, options, sources } = work
  const run = runOf(work, recipe, budget, rate)
  const out = join(runs, run.name)
  await store.once<Run>(run, async () => {
    const isTimed = budget === 'equalTime'
    const trained = await train({
      ...{ out, data: dataOf(work, ALL) },
      flags: flagsOf(recipe, options, isTimed ? inTime(work, recipe, rate) : options.targets, rate),
      threads: options.threads,
      ...(isTimed && { minutes: options.minutes }),
      onStart: (pid) => store.working(pid),
    })
    if (!trained) throw new TableError(`The training in ${out} diverged at the rate ${rate}.`)
    return { trained, commit: work.machine.commit }
  })
  for (const set of Object.keys(sources.sets)) {
    for (const split of SPLITS) {
      await store.once<Scored>(scorePart(options, run, set, split), () =>
        evaluate(lastWeights(out), dataOf(work, set), split, {
          limit: options.limit,
          threads: options.threads,
          reference: referenceOf(work, set, split) === undefined,
        }),
      )
    }
  }
}

/** Targets that a model sees in the time given, by its speed under the other budget; a little fewer. */
function inTime({ store, options }: Work, recipe: Recipe, rate: number): number {
  const run = runPart(options, recipe, 'equalTargets', rate)
  const { targetsPerSecond } = store.find<Run>(run)!.trained
  const targets = Math.round(OF_TIME * targetsPerSecond * 60 * options.minutes)
  return Math.max(options.targetsPerStep, targets)
}

/** Plays a model that was trained for equal targets. */
async function measured(work: Work, recipe: Recipe, rate: number): Promise<void> {
  const { store, runs, options } = work
  const run = runPart(options, recipe, 'equalTargets', rate)
  const weights = () => lastWeights(join(runs, run.name))
  for (const precision of ['int8', 'f32'] as const) {
    const how = { prompt: PROMPT, seconds: options.seconds, work: runs }
    await store.once<Speed>(speedPart(options, recipe, run, precision), () =>
      generationSpeed(weights(), precision, how),
    )
  }
  await store.once<StepCost | null>(costPart(recipe, run), () => stepCost(weights()))
}

/** Does what is still to do of a model under a budget. */
async function done(work: Work, recipe: Recipe, budget: Budget): Promise<void> {
  const rate = bestOf(await triedRates(work, recipe))
  if (rate === undefined) throw new TableError(`${recipe.label} diverged at every rate.`)
  await compared(work, recipe, budget, rate)
  if (budget === 'equalTargets') await measured(work, recipe, rate)
}

/** The best of the rates that were tried. */
const rateOf = ({ store, options }: Work, recipe: Recipe) =>
  bestOf(store.find<Trial[]>(ratesPart(options, recipe)) ?? [])

/** What models score that need no training: the same beside every model, so measured beside one. */
function referenceOf(work: Work, set: string, split: string): Baselines | undefined {
  const { store, options, all } = work
  for (const recipe of all) {
    const rate = rateOf(work, recipe)
    if (rate === undefined) continue
    for (const budget of budgetsOf(options)) {
      const run = runOf(work, recipe, budget, rate)
      const scored = store.find<Scored>(scorePart(options, run, set, split))
      if (scored?.reference) return scored.reference
    }
  }
  return undefined
}

/** Values by set and split, where there are any. */
function bySet<T>(
  { sources }: Work,
  find: (set: string, split: string) => T | undefined,
): Record<string, Record<string, T>> {
  const entries = Object.keys(sources.sets).map((set) => {
    const found = SPLITS.flatMap((split) => {
      const value = find(set, split)
      return value === undefined ? [] : [[split, value] as const]
    })
    return [set, Object.fromEntries(found)] as const
  })
  return Object.fromEntries(entries)
}

function rowOf(work: Work, recipe: Recipe, budget: Budget, rate: number): Row | undefined {
  const { store, options } = work
  const part = runOf(work, recipe, budget, rate)
  const run = store.find<Run>(part)
  const scores = bySet(
    work,
    (set, split) => store.find<Scored>(scorePart(options, part, set, split))?.score,
  )
  return run && { ...run, scores }
}

function modelResult(work: Work, recipe: Recipe): ModelResult {
  const { store, options } = work
  const { name, label } = recipe
  const trials = store.find<Trial[]>(ratesPart(options, recipe)) ?? []
  const rate = rateOf(work, recipe)
  if (rate === undefined) return { name, label, trials, rate: null }
  const row = (budget: Budget) =>
    budgetsOf(options).includes(budget) ? rowOf(work, recipe, budget, rate) : undefined
  const run = runPart(options, recipe, 'equalTargets', rate)
  const speed = (precision: string) => store.find<Speed>(speedPart(options, recipe, run, precision))
  return {
    ...{ name, label, trials, rate },
    ...{ equalTargets: row('equalTargets'), equalTime: row('equalTime') },
    speed: { int8: speed('int8'), f32: speed('f32') },
    cost: store.find<StepCost | null>(costPart(recipe, run)),
  }
}

/** All that is known by now. */
function collected(work: Work): SetResult {
  const { store, all, options, sources, machine } = work
  const seconds = Object.keys(sources.sets).map((set) => {
    return [set, store.find<Prepared>(dataPart(options, set))!] as const
  })
  return {
    name: options.name,
    ...{ machine, options },
    models: all.map((recipe) => modelResult(work, recipe)),
    seconds: Object.fromEntries(seconds),
    reference: bySet(work, (set, split) => referenceOf(work, set, split)),
  }
}

/** Writes the tables of all data sets: this one anew, others as they are. */
function publish(work: Work): void {
  const { out, all, options } = work
  const file = `${out}.json`
  const before = existsSync(file)
    ? (JSON.parse(readFileSync(file, 'utf8')) as { sets: SetResult[] }).sets
    : []
  const own = collected(work)
  const sets = before.some(({ name }) => name === own.name)
    ? before.map((set) => (set.name === own.name ? own : set))
    : [...before, own]
  mkdirSync(dirname(out), { recursive: true })
  const pictures: string[] = []
  for (const [i, set] of sets.entries()) {
    for (const budget of budgetsOf(set.options)) {
      const svg = curves(set, budget)
      if (svg === undefined) continue
      const which = [i === 0 ? '' : `-${set.name}`, budget === 'equalTime' ? '-time' : ''].join('')
      write(`${out}${which}.svg`, svg)
      pictures.push(basename(`${out}${which}.svg`))
    }
  }
  write(file, `${JSON.stringify({ sets }, null, 1)}\n`)
  write(`${out}.md`, renderTable(sets, pictures))
  const done = own.models.filter((model) => isDone(own, model, budgetsOf(options).at(-1)!)).length
  say(`${out}.md: ${done} of ${all.length} models done`)
}

function write(path: string, text: string): void {
  writeFileSync(`${path}.tmp`, text)
  renameSync(`${path}.tmp`, path)
}

async function main(): Promise<void> {
  const call = parse()
  const { runs, options, recipes } = call
  const store = new Store(runs)
  store.working(process.pid)
  const audio = call.folder ?? join(runs, 'audio')
  if (call.folder === undefined)
    await store.once(AUDIO, async () => cutSample(audio).then(() => audio))
  const work = {
    ...call,
    store,
    sources: findSources(audio, options.name, runs),
    machine: await machine(),
  }
  await prepare(work)
  const refused = new Map<Recipe, string>()
  for (const budget of budgetsOf(options)) {
    for (const recipe of recipes.filter((recipe) => !refused.has(recipe))) {
      try {
        await done(work, recipe, budget)
        publish(work)
      } catch (error) {
        if (!(error instanceof OtherPlanError)) throw error
        refused.set(recipe, error.message)
      }
    }
  }
  store.idle()
  if (refused.size > 0) throw new TableError([...refused.values()].join('\n'))
}

try {
  await main()
} catch (error) {
  const isUsage = error instanceof TypeError && 'code' in error // from parseArgs
  if (!(error instanceof TableError) && !isUsage) throw error
  say(`${error.message}\n\n${USAGE}`)
  process.exitCode = 2
}
