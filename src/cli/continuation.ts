import { Engine, type EngineOptions } from '../engine/index.js'
import {
  type Continuation,
  continueRecording,
  openGenerator,
  type Precision,
  type Sampling,
} from '../generate/index.js'
import type { Generator } from '../models/index.js'
import type { CacheType } from '../stream/index.js'
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
export async function openMaker(
  { model, weights }: Trained,
  { context, precision = 'f32', cache = precision, engine = {} }: MakerOptions,
): Promise<Generator> {
  // where the engine makes the samples too, the work of one is too small to be shared
  const threads = model.stepForm ? engine.threads : engine.threads || 1
  const opened = await Engine.open({ ...engine, ...(threads !== undefined && { threads }) })
  return openGenerator({ model, weights }, { context, precision, cache, engine: opened })
}

/**
 * Makes a continuation under a line of progress. Ctrl-C ends it with the samples that there are, a
 * second one ends the process.
 */
export async function make(
  trained: Trained,
  { context, precision, cache, engine, ...wish }: Wish,
  line: Progress,
): Promise<Continuation & { interrupted: boolean }> {
  const { signal, release } = stopOnSignal(line, 'Stopping; once more to stop without a file.')
  const generator = await openMaker(trained, {
    context,
    ...(precision && { precision }),
    cache,
    ...(engine && { engine }),
  })
  try {
    const made = await continueRecording(generator, {
      ...wish,
      signal,
      onPrime: (samples) =>
        line.update(() => `prompt | ${formatCount(samples)}/${formatCount(wish.prompt.length)}`),
      onSample: (samples, seconds) =>
        line.update(() => describe(samples, wish.samples, seconds, trained.audio.sampleRate)),
    })
    return { ...made, interrupted: signal.aborted }
  } finally {
    line.end()
    release()
    await generator.dispose()
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

/** Figures of a continuation, for JSON. */
export function figures({ codes, seconds, primeSeconds }: Continuation, sampleRate: number) {
  const samplesPerSecond = codes.length === 0 ? 0 : codes.length / seconds
  return {
    samples: codes.length,
    samplesPerSecond,
    realTimeFactor: samplesPerSecond / sampleRate,
    seconds,
    primeSeconds,
  }
}
