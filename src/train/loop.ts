import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { FileError, messageOf } from '../base/errors.js'
import { Random } from '../base/random.js'
import type { Piece } from '../data/index.js'
import type { Engine } from '../engine/index.js'
import { DamagedCheckpointError, type FloatTensors, fitTensors } from '../models/checkpoint.js'
import type { Arrays, Learner, Model, Score } from '../models/model.js'
import { learningRate } from '../nn/index.js'
import { loadCheckpoint, saveCheckpoint } from './checkpoint.js'
import { DivergedError, runExists } from './errors.js'
import { heldOutSegments } from './held-out.js'
import { type Loader, loaderFor } from './loader.js'
import { MetricsLog, type StepMetrics } from './metrics.js'
import { Optimiser } from './optimiser.js'
import { holdsRun } from './run-file.js'
import { checkSame, parseState, type Recipe, type RunState } from './state.js'

/** Streams of the run's seed. */
const MASKS = 0x3a5c

/** All that `trainLoop` needs. */
export interface TrainOptions extends TrainHooks {
  runDir: string
  model: Model
  engine: Engine
  train: readonly Piece[]
  /** Held-out pieces; none are scored where there are none. */
  valid: readonly Piece[]
  recipe: Recipe
  /** Weights to begin with, in place of the model's own; not asked for when a run goes on. */
  initial?: () => Arrays
  /** Goes on with the run in `runDir`. */
  resume?: boolean
  /** Goes on from this step instead of the last one saved. */
  from?: number
  /** A checkpoint at the latest after so many seconds or steps. */
  saveEvery: { seconds?: number; steps?: number }
  /** Stops gracefully after so many minutes. */
  minutes?: number
  /** Stops gracefully when set. */
  signal?: AbortSignal
}

/** Called while a run goes on. */
export interface TrainHooks {
  onStep?: (metrics: StepMetrics) => void
  /** Something that a person should read. */
  onNote?: (text: string) => void
  /** Held-out segments were scored, or the run ends: time to draw curves. */
  onMilestone?: () => void
}

/** How a run, or this part of it, ended. */
export interface TrainResult {
  /** All stages done, time over, or stopped from outside. */
  reason: 'finished' | 'minutes' | 'stopped'
  step: number
  targets: number
  heldOutBits: number | null
  best: RunState['best']
  /** The last checkpoint. */
  folder: string
}

/** What the functions below share. */
interface Run {
  options: TrainOptions
  state: RunState
  optimiser: Optimiser
  /** Opened by the first stage: only then the length of segments is known. */
  loader: Loader | undefined
  /** What the learner remembers from step to step. */
  carried: Readonly<Arrays>
  log: MetricsLog
  started: number
  saved: { at: number; step: number; folder: string }
}

/**
 * Trains a model, stage after stage, and keeps checkpoints and metrics in `runDir`. The same recipe
 * gives the same losses and weights bit for bit on one machine, stopped and resumed or not.
 *
 * @throws DivergedError when a loss or a gradient is not finite; checkpoints stay as they were
 * @throws RunExistsError, ContradictionError, DamagedCheckpointError before anything is changed
 */
export async function trainLoop(options: TrainOptions): Promise<TrainResult> {
  const run = begin(options)
  const { state, log } = run
  const { stages } = options.recipe
  try {
    if (state.stage >= stages.length) {
      options.onNote?.('The run has already seen all its targets.')
      return resultOf(run, 'finished')
    }
    while (state.stage < stages.length) {
      const stop = await runStage(run)
      if (stop) return resultOf(run, stop)
    }
    return resultOf(run, 'finished')
  } finally {
    log.close()
    await run.optimiser.dispose()
  }
}

function resultOf({ state, saved }: Run, reason: TrainResult['reason']): TrainResult {
  const { step, targets, heldOutBits, best } = state
  return { reason, step, targets, heldOutBits, best, folder: saved.folder }
}

// ------------------------------------------------------------------------------- beginning

function begin(options: TrainOptions): Run {
  const { runDir, model, engine, recipe } = options
  if (holdsRun(runDir) && !options.resume) throw runExists(runDir)
  try {
    mkdirSync(runDir, { recursive: true })
  } catch (error) {
    throw new FileError(
      { fact: `${runDir} cannot be made.`, got: messageOf(error) },
      { cause: error },
    )
  }
  const found = options.resume ? load(options) : undefined
  const state = found?.state ?? firstState(options)
  const optimiser = new Optimiser(
    engine,
    model.parameters,
    recipe.adamW,
    recipe.average > 0,
    recipe.rates,
  )
  if (found) {
    fitTensors(found.folder, found.model, model.parameters)
    fitTensors(found.folder, found.optim, optimiser.optimSpecs)
    optimiser.restore(found.model, found.optim, state.updates)
  } else {
    optimiser.begin(options.initial?.() ?? model.initialise(recipe.seed))
  }
  const log = new MetricsLog(runDir, state.step)
  const started = performance.now()
  const saved = { at: started, step: found ? state.step : -1, folder: found?.folder ?? '' }
  const carried = found ? carriedOf(found.optim) : {}
  return { options, state, optimiser, loader: undefined, carried, log, started, saved }
}

/** Names of what a learner remembers, among the tensors of a checkpoint. */
const CARRIED = 'carried.'

function carriedOf(optim: FloatTensors): Arrays {
  const names = Object.keys(optim).filter((name) => name.startsWith(CARRIED))
  return Object.fromEntries(names.map((name) => [name.slice(CARRIED.length), optim[name]!.data]))
}

function firstState({ model, recipe }: TrainOptions): RunState {
  return {
    version: 1,
    config: { family: model.family, config: model.config },
    recipe: { ...recipe },
    step: 0,
    targets: 0,
    stage: 0,
    stageTargets: 0,
    cursor: null,
    updates: {},
    unscored: null,
    heldOutBits: null,
    best: null,
  }
}

function load({ runDir, from, model, recipe, onNote }: TrainOptions) {
  if (from === undefined && !existsSync(join(runDir, 'ckpt', 'last.json'))) {
    onNote?.('Nothing was saved before the run was stopped: it begins again.')
    return undefined
  }
  const which = from === undefined ? 'last' : `step_${String(from).padStart(6, '0')}`
  const { folder, state, ...tensors } = loadOffering(runDir, which)
  const parsed = parseState(state)
  if (!parsed.success) {
    throw new DamagedCheckpointError(join(folder, 'state.json'), {
      expected: 'the state of a training run',
      got: parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join(),
    })
  }
  const now = { family: model.family, config: model.config }
  checkSame('model', parsed.data.config, now)
  checkSame('recipe', parsed.data.recipe, recipe)
  onNote?.(`Going on after step ${parsed.data.step} from ${folder}.`)
  return { folder, state: parsed.data, ...tensors }
}

/** Turns the hint of a damaged checkpoint into the option that goes around it. */
function loadOffering(runDir: string, which: string) {
  try {
    return loadCheckpoint(runDir, which)
  } catch (error) {
    if (!(error instanceof DamagedCheckpointError)) throw error
    const step = /step_0*(\d+)(?:\.\d+)?$/.exec(error.failure.hint ?? '')?.[1]
    if (step === undefined) throw error
    const { expected = '', got = '' } = error.failure
    const hint = `The one of step ${step} is intact: go on from it with --resume --from ${step}`
    throw new DamagedCheckpointError(error.file, { expected, got, hint }, { cause: error })
  }
}

// -------------------------------------------------------------------------------- running

/** Trains to the end of the current stage, or to a reason to stop. */
async function runStage(run: Run): Promise<TrainResult['reason'] | undefined> {
  const { options, state } = run
  const { model, engine, recipe, valid } = options
  const { context, part, targets } = recipe.stages[state.stage]!
  const { memory } = recipe
  const { targetsPerStep } = recipe
  const stage = { context, part, targetsPerStep, ...(memory !== null && { memory }) }
  const learner = await model.learner(engine, stage)
  try {
    carryOn(run, learner)
    run.loader = loaderFor(learner, run.loader, {
      pieces: options.train,
      seed: recipe.seed,
      cursor: state.cursor,
    })
    const loader = run.loader
    const wanted = learner.heldOut?.(recipe.evalTargets)
    const { count, length } = wanted ?? {
      count: learner.segmentsPerStep(recipe.evalTargets),
      length: learner.segmentLength,
    }
    const size = { segmentLength: length, lead: learner.lead }
    const heldOut = heldOutSegments(valid, size, count, recipe.seed)
    if (heldOut.length === 0) {
      options.onNote?.(
        `No held-out piece is longer than ${length} samples: this stage is not scored.`,
      )
    }
    for (;;) {
      const { targets: before, unscored } = state
      const line = unscored ?? (await takeStep(run, learner, loader))
      const ends = state.stageTargets >= targets
      const isDue = ends || unscored || crossed(before, state.targets, recipe.evalEvery)
      const scored = isDue && heldOut.length > 0 ? await score(run, learner, heldOut) : undefined
      if (scored === 'stopped') {
        state.unscored = line
        save(run, false)
        return 'stopped'
      }
      state.unscored = null
      if (scored) line.heldOutBits = scored.bits
      const improved = scored?.improved ?? false
      run.log.append(line)
      options.onStep?.(line)
      if (ends) {
        state.stage++
        state.stageTargets = 0
        run.carried = {}
      }
      // lets messages and signals in: programs run without giving way
      await setImmediate()
      const stop = reasonToStop(run)
      if (ends || improved || stop || isSaveDue(run)) save(run, improved)
      if (isDue || stop) options.onMilestone?.()
      if (ends || stop) return state.stage < recipe.stages.length ? stop : undefined
    }
  } finally {
    await learner.dispose()
  }
}

/** Lets the learner of a stage go on from what was saved of one that was stopped. */
function carryOn(run: Run, { carried }: Learner): void {
  for (const [name, array] of Object.entries(carried?.state ?? {})) {
    const before = run.carried[name]
    if (before && before.length !== array.length) {
      throw new DamagedCheckpointError(run.saved.folder, {
        expected: `\`${CARRIED}${name}\` of ${array.length} numbers`,
        got: `${before.length}`,
      })
    }
    if (before) array.set(before)
  }
  run.carried = carried?.state ?? {}
}

const crossed = (before: number, now: number, every: number) =>
  Math.floor(now / every) > Math.floor(before / every)

async function takeStep(run: Run, learner: Learner, loader: Loader): Promise<StepMetrics> {
  const { options, state, optimiser } = run
  const { recipe } = options
  const began = performance.now()
  const step = state.step + 1
  const count = learner.segmentsPerStep(recipe.targetsPerStep)
  const segments = Array.from({ length: count }, () => loader.next())
  const lesson = await learner.learn(
    optimiser.parameters,
    segments.map(({ codes }) => codes),
    maskSeed(recipe.seed, step),
    segments.map(({ begins }) => begins),
  )
  const bits = bitsOf(lesson)
  if (!Number.isFinite(bits)) throw diverged(run, step, 'loss', bits)

  const targets = state.targets + lesson.targets
  const lr = learningRate(targets, recipe.learningRate)
  const gradNorm = await optimiser.update(lesson.gradients, {
    rate: lr,
    decay: recipe.weightDecay,
    clip: recipe.clip,
    average: recipe.average,
  })
  if (!Number.isFinite(gradNorm)) throw diverged(run, step, 'gradient', gradNorm)

  state.step = step
  state.targets = targets
  state.stageTargets += lesson.targets
  state.cursor = loader.cursor
  const seconds = (performance.now() - began) / 1000
  const targetsPerSecond = lesson.targets / seconds
  const timing = {
    targetsPerSecond,
    // two operations per multiply-accumulate; a backward pass costs twice a forward one
    gflops: (6 * learner.macsPerTarget * targetsPerSecond) / 1e9,
    rssMB: process.memoryUsage.rss() / 2 ** 20,
    seconds,
  }
  return { step, targets, bits, lr, gradNorm, stage: state.stage, timing }
}

const bitsOf = ({ nats, targets }: Score) => nats / targets / Math.LN2

const maskSeed = (seed: number, step: number) => new Random(seed, MASKS, 2 * step).uint32()

/**
 * Scores the held-out segments; `improved` when the weights are the best so far. A run that is stopped
 * meanwhile scores when it goes on.
 */
async function score(run: Run, learner: Learner, segments: readonly Uint8Array[]) {
  const { options, state, optimiser } = run
  const total = { nats: 0, targets: 0 }
  const together = learner.carried?.streams ?? 1
  for (let at = 0; at < segments.length; at += together) {
    const found = await learner.score(optimiser.weights, segments.slice(at, at + together))
    total.nats += found.nats
    total.targets += found.targets
    await setImmediate()
    if (options.signal?.aborted) return 'stopped'
  }
  const bits = bitsOf(total)
  if (!Number.isFinite(bits)) throw diverged(run, state.step, 'held-out loss', bits)
  // segments of another length are other music: figures of two stages cannot be compared
  const improved = state.best?.stage !== state.stage || bits < state.best.bits
  state.heldOutBits = bits
  if (improved) {
    state.best = { step: state.step, targets: state.targets, stage: state.stage, bits }
  }
  return { bits, improved }
}

function reasonToStop({ options, started }: Run): TrainResult['reason'] | undefined {
  if (options.signal?.aborted) return 'stopped'
  const { minutes } = options
  if (minutes !== undefined && performance.now() - started >= minutes * 60_000) return 'minutes'
  return undefined
}

function isSaveDue({ options, state, saved }: Run): boolean {
  const { seconds = Number.POSITIVE_INFINITY, steps = Number.POSITIVE_INFINITY } = options.saveEvery
  if (state.step - Math.max(0, saved.step) >= steps) return true
  return performance.now() - saved.at >= seconds * 1000
}

function save(run: Run, best: boolean): void {
  const { options, state, optimiser, log } = run
  const { model, optim, updates } = optimiser.save()
  state.updates = updates
  log.sync()
  for (const [name, data] of Object.entries(run.carried)) {
    optim[CARRIED + name] = { shape: [data.length], data }
  }
  const folder = saveCheckpoint(options.runDir, state.step, { model, optim, state, best })
  run.saved = { at: performance.now(), step: state.step, folder }
}

function diverged(run: Run, step: number, what: string, value: number): DivergedError {
  const { saved } = run
  const kept = saved.folder === '' ? 'Nothing was saved yet' : `${saved.folder} is intact`
  return new DivergedError({
    fact: `The ${what} of step ${step} is not a finite number.`,
    expected: 'a finite number',
    got: String(value),
    hint: `${kept}. Begin again with a lower --lr, a longer --warmup or a lower --clip.`,
  })
}
