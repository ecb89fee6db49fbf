/** Runs of `longwave train`, begun or gone on with, and what became of them. */
import { existsSync } from 'node:fs'
import { openModel } from 'longwave/models'
import { loadCheckpoint, readMetrics, readRunFile, wasBegun } from 'longwave/train'
import { longwave, say, threadsFlag } from '../command.js'
import { TableError } from './store.js'

/** A finished run. */
export interface Trained {
  /** Flags of `longwave train` but for --data and --out. */
  flags: readonly string[]
  parameters: number
  /** Samples of history that predictions are made for. */
  context: number
  /** Samples of the longest segments that were trained on. */
  trainedOn: number
  targets: number
  steps: number
  targetsPerStep: number
  /** Of the schedule of the learning rate; below 1 where time was over first. */
  share: number
  /** Of all steps, without held-out scores and checkpoints. */
  seconds: number
  /** Of all steps. */
  targetsPerSecond: number
  /** Resident memory of the process at its highest, in MB. */
  memoryMB: number
  heldOutBits: number | null
  /** Held-out bits on the way: [targets, seconds, bits]. */
  curve: [number, number, number][]
}

export interface Training {
  out: string
  data: string
  flags: readonly string[]
  /** 0 for all cores. */
  threads: number
  /** Over all parts of a run that was stopped in between. */
  minutes?: number
  onStart: (pid: number) => void
}

/** Exit status of a run whose loss or gradient is not finite any more. */
const DIVERGED = 7

/** Trains to the end. @returns undefined where the run diverged @throws TableError where it cannot run */
export async function train(training: Training): Promise<Trained | undefined> {
  const { out, data, flags, threads, minutes, onStart } = training
  const left = minutes === undefined ? undefined : minutes - secondsOf(out) / 60
  if (left === undefined || left > 0) {
    const begun = existsSync(out) && wasBegun(out)
    const args = [
      ...['train', '--out', out],
      ...(begun ? ['--resume'] : ['--data', data, ...flags]),
      ...threadsFlag(threads),
      ...(left === undefined ? [] : ['--minutes', left.toFixed(4)]),
    ]
    say(`$ longwave ${args.join(' ')}`)
    const { status } = await longwave(args, { onStart })
    if (status === DIVERGED) return undefined
    if (status !== 0) throw new TableError(`The training in ${out} ended with ${status}.`)
  }
  return trainedIn(out, flags)
}

const secondsOf = (out: string) =>
  existsSync(out) ? readMetrics(out).reduce((sum, { timing }) => sum + timing.seconds, 0) : 0

function trainedIn(out: string, flags: readonly string[]): Trained {
  const { model, recipe } = readRunFile(out)
  const { size, context } = openModel(model.family, model.config)
  const metrics = readMetrics(out)
  const { step, targets } = metrics.at(-1)!
  let seconds = 0
  const curve: Trained['curve'] = []
  for (const { timing, targets, heldOutBits } of metrics) {
    seconds += timing.seconds
    if (heldOutBits !== undefined) curve.push([targets, seconds, heldOutBits])
  }
  return {
    flags,
    parameters: size,
    context,
    trainedOn: Math.max(...recipe.stages.map((stage) => stage.context)),
    targets,
    steps: step,
    targetsPerStep: targets / step,
    share: Math.min(1, targets / recipe.learningRate.total),
    seconds,
    targetsPerSecond: targets / seconds,
    memoryMB: Math.max(...metrics.map(({ timing }) => timing.rssMB)),
    heldOutBits: curve.at(-1)?.[2] ?? null,
    curve,
  }
}

/** The folder of the last weights of a run: every model is taken as its schedule leaves it. */
export const lastWeights = (out: string) => loadCheckpoint(out, 'last').folder
