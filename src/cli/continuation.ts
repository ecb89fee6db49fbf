import type { Engine } from '../engine/index.js'
import { type Continuation, continueRecording, type Sampling } from '../generate/index.js'
import type { Trained } from './checkpoint.js'
import { formatCount, formatDuration } from './numbers.js'
import type { Progress } from './progress.js'

export const INTERRUPTED = 130

/** What is to be made. */
export interface Wish {
  prompt: Uint8Array
  samples: number
  context: number
  sampling: Sampling
  seed: number
}

/**
 * Makes a continuation under a line of progress. Ctrl-C ends it with the samples that there are, a
 * second one ends the process.
 */
export async function make(
  { model, weights, audio }: Trained,
  engine: Engine,
  { context, ...wish }: Wish,
  line: Progress,
): Promise<Continuation & { interrupted: boolean }> {
  const stop = new AbortController()
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(INTERRUPTED)
    line.note('Stopping; once more to stop without a file.')
    stop.abort()
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  const generator = await model.generator(engine, weights, context)
  try {
    const made = await continueRecording(generator, {
      ...wish,
      signal: stop.signal,
      onPrime: (samples) =>
        line.update(() => `prompt | ${formatCount(samples)}/${formatCount(wish.prompt.length)}`),
      onSample: (samples, seconds) =>
        line.update(() => describe(samples, wish.samples, seconds, audio.sampleRate)),
    })
    return { ...made, interrupted: stop.signal.aborted }
  } finally {
    line.end()
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
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
