import { UsageError } from '../base/errors.js'
import type { Generator } from '../models/index.js'
import { ModelStream } from './model-stream.js'
import { checkSampling, type Sampling } from './sample.js'

export interface ContinueOptions {
  /** What was heard so far; empty for a recording out of nothing. */
  prompt: Uint8Array
  /** Samples to make. */
  samples: number
  sampling: Sampling
  seed: number
  /** Ends before the next sample; what there is comes back. */
  signal?: AbortSignal
  /** Told how many samples of the prompt are taken in. */
  onPrime?: (samples: number) => void
  /** Told how many samples there are, and how many seconds they took. */
  onSample?: (samples: number, seconds: number) => void
}

export interface Continuation {
  /** The new samples, without the prompt. */
  codes: Uint8Array
  /** Wall time of taking in the prompt. */
  primeSeconds: number
  /** Wall time of the samples. */
  seconds: number
}

/**
 * Lets a model go on with a recording: the same seed gives the same samples.
 *
 * @throws UsageError when an option makes no sense
 */
export async function continueRecording(
  generator: Generator,
  { prompt, samples, sampling, seed, signal, onPrime, onSample }: ContinueOptions,
): Promise<Continuation> {
  checkSampling(sampling)
  if (!Number.isSafeInteger(samples) || samples < 0) {
    throw new UsageError({ fact: '`samples` is not a count.', got: String(samples) })
  }
  const stream = new ModelStream(generator, seed)
  const codes = new Uint8Array(samples)
  const began = performance.now()
  await prime(stream, prompt, signal, onPrime)
  const primed = performance.now()
  let made = 0
  while (made < samples && !signal?.aborted) {
    codes[made++] = await stream.next(sampling)
    onSample?.(made, (performance.now() - primed) / 1000)
  }
  return {
    codes: codes.subarray(0, made),
    primeSeconds: (primed - began) / 1000,
    seconds: (performance.now() - primed) / 1000,
  }
}

/** Takes the prompt in, or ends half way when the signal is set. */
async function prime(
  stream: ModelStream,
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
