import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command, CommanderError } from 'commander'
import { vi } from 'vitest'
import { encodeWav } from '../../src/audio/index.js'
import { LongwaveError } from '../../src/base/errors.js'
import { Random } from '../../src/base/random.js'
import { encodeSafetensors } from '../../src/formats/index.js'
import { type Arrays, type FlagshipConfig, openModel } from '../../src/models/index.js'

/** A flagship of a few hundred parameters per part: a chunk is 40 samples, a window 320. */
export const TINY: FlagshipConfig = {
  form: 'stream',
  chunk: 40,
  tokens: 8,
  kernel: 3,
  filters: [4, 5],
  strides: [2, 3],
  width: 6,
  layers: 2,
  heads: 2,
  headWidth: 3,
  feedForward: 7,
  hidden: 9,
  levels: 256,
  local: { channels: 3, dilations: [1, 2, 4], skip: 8 },
  forecast: null,
  audio: { sampleRate: 8000, quantizer: 'mu-law' },
  dropout: { encoder: 0, attention: 0, feedForward: 0, head: 0, token: 0 },
}

/** The tiny model and weights of which none is zero, so that every part has a say. */
export function tinyModel(config: FlagshipConfig = TINY) {
  const model = openModel('flagship', config)
  const random = new Random(5)
  const stirred = Object.entries(model.initialise(1)).map(
    ([name, array]) => [name, array.map((x) => x + 0.3 * random.normal())] as const,
  )
  const weights: Arrays = Object.fromEntries(stirred)
  return { model, weights }
}

/** Writes the tiny model as a folder to ship. */
export function tinyCheckpoint(folder: string, config: FlagshipConfig = TINY): string {
  const { model, weights } = tinyModel(config)
  const tensors = model.parameters.map(
    ({ name, shape }) => [name, { dtype: 'F32', shape, data: weights[name]! }] as const,
  )
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'model.safetensors'), encodeSafetensors(Object.fromEntries(tensors)))
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ family: 'flagship', config }))
  return folder
}

/** A WAV file of a tone under a little noise: something to predict, and something not. */
export function noisyTone(samples: number, seed: number, rate = 8000): Uint8Array {
  const random = new Random(seed)
  const tone = Float32Array.from(
    { length: samples },
    (_, n) => 0.4 * Math.sin(0.1 * n * (1 + 0.1 * seed)) + 0.02 * random.normal(),
  )
  return encodeWav([tone], rate)
}

export interface Run {
  code: number
  stdout: string
  stderr: string
}

/** Runs a command in this process, as the main program would. */
export async function runCommand(command: Command, ...args: string[]): Promise<Run> {
  const run: Run = { code: 0, stdout: '', stderr: '' }
  const take = (key: 'stdout' | 'stderr') =>
    vi.spyOn(process[key], 'write').mockImplementation((text) => {
      run[key] += text
      return true
    })
  const writes = [take('stdout'), take('stderr')]
  const before = process.exitCode
  try {
    const writeErr = (text: string) => {
      run.stderr += text
    }
    await command.exitOverride().configureOutput({ writeErr }).parseAsync(args, { from: 'user' })
    run.code = Number(process.exitCode ?? 0)
  } catch (thrown) {
    if (!(thrown instanceof LongwaveError) && !isUsage(thrown)) throw thrown
    run.code = thrown.exitCode
    if (thrown instanceof LongwaveError) run.stderr += thrown.describe()
  } finally {
    process.exitCode = before
    for (const write of writes) write.mockRestore()
  }
  return run
}

const isUsage = (thrown: unknown): thrown is CommanderError =>
  thrown instanceof Error && thrown.name === 'CommanderError'
