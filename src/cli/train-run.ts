import { freemem } from 'node:os'
import { UsageError } from '../base/errors.js'
import { type Dataset, describeCodes, openDataset } from '../data/index.js'
import { openModel } from '../models/index.js'
import { ADAMW, type Schedule } from '../nn/index.js'
import { type Recipe, type RunFile, readRunFile, type TrainStage } from '../train/index.js'
import { DEFAULT_PRESET, modelOf } from './model-options.js'
import { formatCount } from './numbers.js'
import { checkLasting, lastingFlags, type TrainFlags } from './train-options.js'

interface Defaults {
  context: number
  targets: number
  targetsPerStep: number
  lr: number
  /** Factors of the rate, by the beginnings of names. */
  rates: Readonly<Record<string, number>>
  schedule: Schedule
  /** Share of all targets. */
  warmup: number
  weightDecay: number
  clip: number
  evalEvery: number
  evalTargets: number
  /** Share of the targets that the local path learns from alone, before everything does. */
  localFirst: number
}

const COMMON: Defaults = {
  context: 16000,
  targets: 10e6,
  targetsPerStep: 16000,
  lr: 1e-3,
  rates: {},
  schedule: { kind: 'cosine', floor: 0.1 },
  warmup: 0.02,
  weightDecay: 0.01,
  clip: 1,
  evalEvery: 1e6,
  evalTargets: 160e3,
  localFirst: 0,
}

/** As SaShiMi's own code: poles and their time scales at a quarter of the rate, and nothing decays. */
const SASHIMI: Partial<Defaults> = { lr: 4e-3, rates: { 'poles.': 0.25 }, weightDecay: 0 }

/** Back-propagation through 1024 samples of each of 16 streams. */
const SAMPLERNN: Partial<Defaults> = { context: 1024, targetsPerStep: 16 * 1024 }

/** Where a preset's recipe is not the common one. */
const BY_PRESET: Readonly<Record<string, Partial<Defaults>>> = {
  // as printed: 40 windows of one target, 1e-4 and then 5e-6, plain Adam
  paper: {
    context: 128e3,
    targetsPerStep: 40,
    lr: 1e-4,
    schedule: { kind: 'steps', steps: [{ share: 0.9, factor: 0.05 }] },
    warmup: 0,
    weightDecay: 0,
    evalEvery: 40e3,
    evalTargets: 40,
  },
  sashimi: SASHIMI,
  'sashimi-small': { ...SASHIMI, lr: 1e-2 },
  // many small steps; at more than a tenth of the rate the encoder runs away (docs/log.md)
  longwave: {
    context: 8000,
    targetsPerStep: 8000,
    lr: 2e-3,
    rates: { encoder: 0.1 },
    localFirst: 2 / 3,
  },
  samplernn: SAMPLERNN,
  'samplernn-small': SAMPLERNN,
}

/** A run that is about to begin, or to go on, and its data. */
export interface PlannedRun {
  file: RunFile
  data: string
  dataset: Dataset
}

/** The run that the flags ask for, defaults filled in. */
export function newRun(flags: TrainFlags, version: string): PlannedRun {
  if (flags.data === undefined) {
    throw new UsageError({
      fact: '--data DATASET is missing: the folder to learn from.',
      hint: 'Make one with: longwave prepare FOLDER --out DATASET',
    })
  }
  const dataset = openDataset(flags.data)
  const given = bounded(flags, dataset)
  const options = { data: flags.data, ...lastingFlags(given) }
  const file: RunFile = { version: 1, longwave: version, options, ...plan(given, dataset) }
  return { file, data: flags.data, dataset }
}

/**
 * The flags, with a bound on memory where the fastest cut would take more than half of what is free;
 * the run remembers it. Where there is no need for a bound, the same run is the same on any day.
 */
function bounded(flags: TrainFlags, dataset: Dataset): TrainFlags {
  const { model, recipe } = plan(flags, dataset)
  const { family, config } = model
  const half = freemem() / 2
  const { targetsPerStep } = recipe
  const takes = recipe.stages.map(
    (stage) => openModel(family, config).plan({ ...stage, targetsPerStep }).memory,
  )
  if (flags.memory !== undefined || Math.max(...takes) <= half) return flags
  return { ...flags, memory: Math.round(half / 1e8) * 1e8 }
}

/** The model and the recipe that flags ask for. */
function plan(flags: TrainFlags, dataset: Dataset): Pick<RunFile, 'model' | 'recipe'> {
  const defaults = { ...COMMON, ...BY_PRESET[flags.preset ?? DEFAULT_PRESET] }
  const stages = flags.curriculum ?? shared(flags, defaults)
  const longest = Math.max(...stages.map(({ context }) => context))
  const model = modelOf(flags, longest, dataset.meta)
  return {
    model: { family: model.family, config: model.config },
    recipe: recipeOf(flags, defaults, stages, identityOf(dataset)),
  }
}

/** The contexts asked for, each with its share of all targets, after what the local path learns alone. */
function shared({ context, targets, local }: TrainFlags, defaults: Defaults): TrainStage[] {
  const contexts = Array.isArray(context)
    ? context
    : [{ context: context ?? defaults.context, share: 1 }]
  const whole = contexts.reduce((sum, { share }) => sum + share, 0)
  const total = targets ?? defaults.targets
  const first = local === 0 ? 0 : Math.round(total * defaults.localFirst)
  const stages = contexts.map(({ context, share }): TrainStage => {
    const mine = Math.max(1, Math.round(((total - first) * share) / whole))
    return { context, part: 'all', targets: mine }
  })
  if (first === 0) return stages
  return [{ context: stages[0]!.context, part: 'local', targets: first }, ...stages]
}

function recipeOf(
  flags: TrainFlags,
  defaults: Defaults,
  stages: readonly TrainStage[],
  data: unknown,
): Recipe {
  const total = stages.reduce((sum, { targets }) => sum + targets, 0)
  return {
    seed: flags.seed ?? 0,
    stages,
    targetsPerStep: flags.targetsPerStep ?? defaults.targetsPerStep,
    memory: flags.memory ?? null,
    learningRate: {
      peak: flags.lr ?? defaults.lr,
      warmup: flags.warmup ?? defaults.warmup * total,
      total,
      schedule: flags.schedule ?? defaults.schedule,
    },
    rates: { ...defaults.rates, ...flags.rate },
    weightDecay: flags.weightDecay ?? defaults.weightDecay,
    clip: flags.clip ?? defaults.clip,
    average: flags.average ?? 0,
    adamW: ADAMW,
    evalEvery: flags.evalEvery ?? defaults.evalEvery,
    evalTargets: flags.evalTargets ?? defaults.evalTargets,
    data,
    init: flags.init ?? null,
  }
}

/** The run in the folder, after checking that the flags ask for nothing else. */
export function oldRun(flags: TrainFlags): PlannedRun {
  const file = readRunFile(flags.out)
  const data = flags.data ?? String(file.options.data)
  const dataset = openDataset(data)
  const began = { ...file.options, out: flags.out } as unknown as TrainFlags
  const unchanged = JSON.stringify(plan(began, dataset))
  checkLasting(
    flags,
    file.options,
    (flag) => JSON.stringify(plan({ ...began, ...flag }, dataset)) === unchanged,
  )
  // wherever they lie: a run refuses to go on when its data have changed
  return { file: { ...file, recipe: { ...file.recipe, data: identityOf(dataset) } }, data, dataset }
}

const identityOf = ({ meta }: Dataset) => ({
  manifestSha256: meta.manifestSha256,
  sampleRate: meta.sampleRate,
  quantizer: meta.quantizer,
})

/** The merged configuration, for a person. */
export function describeRun({ file, data, dataset }: PlannedRun): string {
  const { recipe } = file
  const model = openModel(file.model.family, file.model.config)
  const { train, valid } = dataset.meta.splits
  const minutes = (seconds: number) => `${(seconds / 60).toFixed(1)} min`
  const { memory, targetsPerStep } = recipe
  const { peak, warmup, schedule } = recipe.learningRate
  const stages = recipe.stages.map(
    ({ context, part, targets }) =>
      `${part === 'local' ? 'local@' : ''}${formatCount(context)}:${formatCount(targets)}`,
  )
  const rows: [string, string][] = [
    [
      'data',
      `${data}: train ${train.files} pieces, ${minutes(train.seconds)}; valid ${valid.files}, ` +
        `${minutes(valid.seconds)}; ${describeCodes(dataset.meta)}`,
    ],
    ['model', `${model.family}, ${formatCount(model.size)} parameters`],
    ['config', JSON.stringify(model.config)],
    ['stages', `${stages.join(', ')} (context:targets)`],
    ['step', `about ${formatCount(targetsPerStep)} targets`],
    ['memory', memory === null ? 'as it comes' : `${(memory / 1e9).toFixed(1)} GB allowed`],
    ...recipe.stages.map(({ context, part }): [string, string] => {
      const stage = { context, part, targetsPerStep, ...(memory !== null && { memory }) }
      return ['', `${formatCount(context)}: ${model.plan(stage).text}`]
    }),
    [
      'rate',
      `${peak}, warm-up ${formatCount(warmup)} targets, then ${JSON.stringify(schedule)}; ` +
        `weight decay ${recipe.weightDecay}, clip ${recipe.clip}`,
    ],
    ...Object.entries(recipe.rates).map(([prefix, factor]): [string, string] => [
      '',
      `of ${prefix}: times ${factor}`,
    ]),
    [
      'scores',
      `every ${formatCount(recipe.evalEvery)} targets, on ${formatCount(recipe.evalTargets)}`,
    ],
    ['seed', String(recipe.seed)],
    ...(recipe.init === null ? [] : [['init', recipe.init] as [string, string]]),
    ...(recipe.average > 0 ? [['average', String(recipe.average)] as [string, string]] : []),
  ]
  return rows.map(([name, value]) => `${name.padEnd(8)}${value}`).join('\n')
}
