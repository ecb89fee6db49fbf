/** How fast a trained model goes on with a recording, and what the sampler takes of memory. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { openCheckpoint } from 'longwave/models'
import { loadKernels, macsPerStep, pack, StreamRuntime } from 'longwave/stream'
import { loadModelFolder } from 'longwave/train'
import { longwave, say } from '../command.js'
import { TableError } from './store.js'

export interface Speed {
  node: string
  /** Of new samples, on one thread. */
  samplesPerSecond: number
  realTimeFactor: number
}

/** `longwave generate` after a second of the prompt. @throws TableError where it fails */
export async function generationSpeed(
  checkpoint: string,
  precision: 'f32' | 'int8',
  { prompt, seconds, work }: { prompt: string; seconds: number; work: string },
): Promise<Speed> {
  const out = join(work, 'continuation.wav')
  const args = [
    ...['generate', '--checkpoint', checkpoint, '--prompt', prompt, '--prompt-seconds', '1'],
    ...['--seconds', `${seconds}`, '--precision', precision, '--threads', '1', '--seed', '1'],
    ...['--out', out, '--json'],
  ]
  say(`$ longwave ${args.join(' ')}`)
  const { status, stdout } = await longwave(args, { quiet: true })
  if (status !== 0) throw new TableError(`The continuation of ${checkpoint} ended with ${status}.`)
  rmSync(out, { force: true })
  const { samplesPerSecond, realTimeFactor } = JSON.parse(stdout) as Speed
  return { node: process.version, samplesPerSecond, realTimeFactor }
}

export interface StepCost {
  /** Multiply-adds of a sample, in millions. */
  mmacs: number
  /** Weights and state of the sampler in float32, in MB. */
  memoryMB: number
}

export async function stepCost(checkpoint: string): Promise<StepCost | null> {
  const { model, weights } = openCheckpoint(loadModelFolder(checkpoint))
  if (!model.stepForm) return null
  const plan = model.stepForm.plan(weights, model.context)
  const packed = pack(plan, { precision: 'f32' })
  const runtime = new StreamRuntime(await loadKernels(), packed)
  const memoryMB = (runtime.header.state + runtime.header.stateBytes) / 1e6
  runtime.dispose()
  return { mmacs: macsPerStep(plan) / 1e6, memoryMB }
}
