import { UsageError } from '../base/errors.js'
import type { Generator } from '../models/index.js'
import { ModelStream } from './model-stream.js'
import type { ModelVoices } from './model-voices.js'
import { checkSampling, type Sampling } from './sample.js'

export interface ContinueVoicesOptions {
  /** What was heard so far; empty for a recording out of nothing. */
  prompt: Uint8Array
  /** Samples to make. */
  samples: number
  sampling: Sampling
  /** Ends before the next sample; what there is comes back. */
  signal?: AbortSignal
  /** Told how many samples of the prompt are taken in. */
  onPrime?: (samples: number) => void
  /** Told how many samples there are, and how many seconds they took. */
  onSample?: (samples: number, seconds: number) => void
}

export interface ContinueOptions extends ContinueVoicesOptions {
  seed: number
}

interface Times {
  /** Wall time of taking in the prompt. */
  primeSeconds: number
  /** Wall time of the samples. */
  seconds: number
}

export interface Continuation extends Times {
  /** The new samples, without the prompt. */
  codes: Uint8Array
}

export interface Continuations extends Times {
  /** The new samples of every voice, equally many, without the prompt. */
  codes: Uint8Array[]
}

/**
 * Lets a model go on with a recording: the same seed gives the same samples.
 *
 * @throws UsageError when an option makes no sense
 */
export async function continueRecording(
  generator: Generator,
  { seed, ...options }: ContinueOptions,
): Promise<Continuation> {
  const { sampling, samples } = options
  check(options)
  const stream = new ModelStream(generator, seed)
  const codes = new Uint8Array(samples)
  const { made, ...times } = await proceed(stream, options, async (i) => {
    codes[i] = await stream.next(sampling)
  })
  return { codes: codes.subarray(0, made), ...times }
}

/**
 * The same by several voices, each by its own seed.
 *
 * @throws UsageError when an option makes no sense
 */
export async function continueVoices(
  voices: ModelVoices,
  options: ContinueVoicesOptions,
): Promise<Continuations> {
  const { sampling, samples } = options
  check(options)
  const samplings = Array.from({ length: voices.size }, () => sampling)
  const codes = samplings.map(() => new Uint8Array(samples))
  const { made, ...times } = await proceed(voices, options, async (i) => {
    const next = await voices.next(samplings)
    for (let voice = 0; voice < codes.length; voice++) codes[voice]![i] = next[voice]!
  })
  return { codes: codes.map((one) => one.subarray(0, made)), ...times }
}

function check({ sampling, samples }: ContinueVoicesOptions): void {
  checkSampling(sampling)
  if (Number.isSafeInteger(samples) && samples >= 0) return
  throw new UsageError({ fact: '`samples` is not a count.', got: String(samples) })
}

/** Primes, then makes one sample after the other. */
async function proceed(
  stream: Pick<ModelStream, 'prime'>,
  { prompt, samples, signal, onPrime, onSample }: ContinueVoicesOptions,
  next: (i: number) => Promise<void>,
): Promise<Times & { made: number }> {
  const began = performance.now()
  await prime(stream, prompt, signal, onPrime)
  const primed = performance.now()
  let made = 0
  while (made < samples && !signal?.aborted) {
    await next(made++)
    onSample?.(made, (performance.now() - primed) / 1000)
  }
  const seconds = (performance.now() - primed) / 1000
  return { made, primeSeconds: (primed - began) / 1000, seconds }
}

/** Takes the prompt in, or ends half way when the signal is set. */
async function prime(
  stream: Pick<ModelStream, 'prime'>,
  prompt: Uint8Array,
  signal: AbortSignal | undefined,
  onPrime: (samples: number) => void = () => {},
): Promise<void> {
  try {
    await stream.prime(prompt, {
      onProgress(samples) {
        signal?.throwIfAborted()
        onPrime(samples)
      },
    })
  } catch (thrown) {
    if (!signal?.aborted) throw thrown
  }
}
