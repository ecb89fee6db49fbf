/** Our training, as a user runs it: `longwave train` on the bundled recording. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { readMetrics } from 'longwave/train'
import { CLI, run } from './command.js'

export interface TrainingRate {
  command: string
  /** Of the best step but the first, which fills the caches. */
  targetsPerSecond: number
  medianTargetsPerSecond: number
  /** Of the best step. */
  gflops: number
  memoryGB: number
}

export interface TrainingWish {
  preset: string
  context: number
  targetsPerStep: number
  seconds: number
  /** Folder of data and runs. */
  work: string
}

/** Makes the data in `work`. */
export function prepareTraining(work: string): void {
  mkdirSync(work, { recursive: true })
  const args = [CLI, 'prepare', 'samples', '--out', join(work, 'data'), '--split', '1,0,0']
  if (run(process.execPath, args) === undefined) {
    throw new Error('the bundled recording could not be prepared')
  }
}

export function trainingRate(wish: TrainingWish): TrainingRate {
  const { preset, context, targetsPerStep, seconds, work } = wish
  const out = join(work, `${preset}-${context}`)
  rmSync(out, { recursive: true, force: true })
  // the command needs whole steps: at least three of them
  const minutes = Math.max(seconds / 60, (4 * targetsPerStep) / 3000 / 60)
  const args = ['train', '--data', join(work, 'data'), '--out', out, '--preset', preset]
  const rest = ['--context', `${context}`, '--targets-per-step', `${targetsPerStep}`]
  const limits = ['--targets', '1e9', '--minutes', minutes.toFixed(2), '--eval-every', '1e9']
  const command = [...args, ...rest, ...limits]
  if (run(process.execPath, [CLI, ...command]) === undefined) {
    throw new Error('our own training failed')
  }
  const steps = readMetrics(out).map(({ timing }) => timing)
  const counted = steps.length > 1 ? steps.slice(1) : steps
  const best = counted.reduce((a, b) => (b.targetsPerSecond > a.targetsPerSecond ? b : a))
  return {
    command: `longwave ${command.join(' ')}`,
    targetsPerSecond: best.targetsPerSecond,
    medianTargetsPerSecond: median(counted.map(({ targetsPerSecond }) => targetsPerSecond)),
    gflops: best.gflops,
    memoryGB: Math.max(...steps.map(({ rssMB }) => rssMB)) / 1024,
  }
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}
