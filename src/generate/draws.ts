import { UsageError } from '../base/errors.js'
import { Random, type RandomState } from '../base/random.js'
import { checkSampling, type Sampling, sampleCode } from './sample.js'

/** Separates the drawing of samples from other uses of a seed. */
const STREAM = 0x5a3b

export interface GenerateOptions extends Partial<Sampling> {
  /** Samples of a block. Default: 320, 20 ms at 16 kHz. */
  blockSize?: number
  /** Samples to make; without an end by default. */
  samples?: number
  /** Ends before the next sample; what there is of a block comes. */
  signal?: AbortSignal
}

/** How a stream goes on drawing. */
export interface DrawsState {
  readonly random: RandomState
  readonly pending: number | undefined
}

/** Draws the samples of one stream. */
export class Draws {
  readonly #seed: number
  #random: Random
  /** Made, but not taken in yet: it is when another is wanted. */
  pending: number | undefined
  /** Whether there is something to draw from. */
  isPrimed = false

  /** @param seed a whole number in [0, 2^32) */
  constructor(seed: number) {
    if (!(Number.isInteger(seed) && seed >= 0 && seed <= 0xffffffff)) {
      throw new UsageError({
        fact: '`seed` makes no sense.',
        expected: 'a whole number from 0 to 4294967295',
        got: String(seed),
      })
    }
    this.#seed = seed
    this.#random = new Random(seed, STREAM)
  }

  /** After a prompt: random numbers begin anew. */
  begin(): void {
    this.#random = new Random(this.#seed, STREAM)
    this.pending = undefined
    this.isPrimed = true
  }

  next(logits: Float32Array, sampling: Sampling): number {
    this.pending = sampleCode(logits, sampling, this.#random)
    return this.pending
  }

  /** @throws UsageError before there is a prompt */
  get state(): DrawsState {
    if (this.isPrimed) return { random: this.#random.state, pending: this.pending }
    throw new UsageError({
      fact: 'The stream was not primed yet.',
      hint: 'prime it, if with nothing',
    })
  }

  /** @param seed draws other samples from here on; the same as then by default */
  restore({ random, pending }: DrawsState, seed: number | undefined): void {
    this.#random = seed === undefined ? Random.from(random) : new Random(seed, STREAM)
    this.pending = pending
    this.isPrimed = true
  }
}

/** @throws UsageError when an option makes no sense */
export function checkedOptions(options: GenerateOptions) {
  const { temperature = 1, topK, topP, blockSize = 320, signal } = options
  const { samples = Number.POSITIVE_INFINITY } = options
  const sampling: Sampling = {
    temperature,
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
  }
  checkSampling(sampling)
  if (!(Number.isSafeInteger(blockSize) && blockSize > 0)) throw notCount('blockSize', blockSize)
  if (!(samples >= 0)) throw notCount('samples', samples)
  return { sampling, blockSize, samples, signal }
}

function notCount(option: string, got: number): UsageError {
  return new UsageError({ fact: `\`${option}\` is not a count.`, got: String(got) })
}
