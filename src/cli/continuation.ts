import { availableParallelism } from 'node:os'
import { Engine, type EngineOptions } from '../engine/index.js'
import {
  type Continuation,
  type Continuations,
  type ContinueVoicesOptions,
  continueRecording,
  continueVoices,
  type GeneratorOptions,
  openGenerator,
  openVoices,
  type Precision,
  type Sampling,
} from '../generate/index.js'
import type { Generator } from '../models/index.js'
import { type CacheType, MOST_THREADS } from '../stream/index.js'
import type { Trained } from './checkpoint.js'
import { formatCount, formatDuration } from './numbers.js'
import type { Progress } from './progress.js'
import { stopOnSignal } from './stop.js'

/** How it is made. */
interface MakerOptions {
  context: number
  precision?: Precision
  /** Numbers of what is remembered; as `precision` by default. */
  cache?: CacheType | undefined
  /** Whether the forecast stands still after the prompt. */
  hold?: boolean
  /** Of what takes the prompt in. */
  engine?: EngineOptions
}

/** What is to be made. */
export interface Wish extends MakerOptions {
  prompt: Uint8Array
  samples: number
  sampling: Sampling
  seed: number
}

/** Opens what makes the samples. */
export async function openMaker(trained: Trained, options: MakerOptions): Promise<Generator> {
  return openGenerator(trained, await generatorOptions(trained, options))
}

async function generatorOptions(
  { model }: Trained,
  { context, precision = 'f32', cache = precision, hold = false, engine = {} }: MakerOptions,
): Promise<GeneratorOptions> {
  const { threads: given = 0 } = engine
  // where the engine makes the samples too, the work of one is too small to be shared
  const opened = await Engine.open({ ...engine, threads: model.stepForm ? given : given || 1 })
  const threads = Math.min(given || Math.min(2, availableParallelism()), MOST_THREADS)
  return { context, precision, cache, hold, engine: opened, threads }
}

/**
 * Makes a continuation under a line of progress. Ctrl-C ends it with the samples that there are, a
 * second one ends the process.
 */
export async function make(
  trained: Trained,
  wish: Wish,
  line: Progress,
): Promise<Continuation & { interrupted: boolean }> {
  return interruptible(trained, wish, line, async (options) => {
    const generator = await openMaker(trained, wish)
    return continueRecording(generator, { ...options, seed: wish.seed }).finally(() =>
      generator.dispose(),
    )
  })
}

/** The same of several voices: the first by the seed of the wish, the next by the next. */
export async function makeVoices(
  trained: Trained,
  count: number,
  wish: Wish,
  line: Progress,
): Promise<Continuations & { interrupted: boolean }> {
  const seeds = Array.from({ length: count }, (_, voice) => (wish.seed + voice) >>> 0)
  return interruptible(trained, wish, line, async (options) => {
    const voices = await openVoices(trained, { seeds, ...(await generatorOptions(trained, wish)) })
    return continueVoices(voices, options).finally(() => voices.dispose())
  })
}

async function interruptible<Made>(
  { audio }: Trained,
  { prompt, samples, sampling }: Wish,
  line: Progress,
  work: (options: ContinueVoicesOptions) => Promise<Made>,
): Promise<Made & { interrupted: boolean }> {
  const { signal, release } = stopOnSignal(line, 'Stopping; once more to stop without a file.')
  try {
    const made = await work({
      ...{ prompt, samples, sampling, signal },
      onPrime: (done) =>
        line.update(() => `prompt | ${formatCount(done)}/${formatCount(prompt.length)}`),
      onSample: (done, seconds) =>
        line.update(() => describe(done, samples, seconds, audio.sampleRate)),
    })
    return { ...made, interrupted: signal.aborted }
  } finally {
    line.end()
    release()
  }
}

function describe(samples: number, total: number, seconds: number, rate: number): string {
  const speed = samples / seconds
  return [
    `${(samples / rate).toFixed(2)}/${(total / rate).toFixed(2)} s`,
    `${formatCount(speed)} samples/s`,
    `${(speed / rate).toFixed(3)}x real time`,
    `${formatDuration((total - samples) / speed)} left`,
  ].join(' | ')
}

/** Figures of continuations, for JSON: samples of one, speed of all together. */
export function figures(
  codes: readonly Uint8Array[],
  { seconds, primeSeconds }: Pick<Continuation, 'seconds' | 'primeSeconds'>,
  sampleRate: number,
) {
  const samples = codes[0]!.length
  const samplesPerSecond = samples === 0 ? 0 : (samples * codes.length) / seconds
  return {
    voices: codes.length,
    samples,
    samplesPerSecond,
    realTimeFactor: samplesPerSecond / sampleRate,
    seconds,
    primeSeconds,
  }
}
