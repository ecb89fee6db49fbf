import { UsageError } from '../base/errors.js'
import { Random, type RandomState } from '../base/random.js'
import type { Generator } from '../models/index.js'
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

/** A stream at one sample. */
export interface StreamSnapshot {
  readonly generator: unknown
  readonly random: RandomState
  readonly pending: number | undefined
}

/**
 * A model that makes a recording, sample by sample. Everything is codes (0 to 255) of the model's
 * quantizer. The same seed after the same prompt gives the same samples, in blocks of any size.
 */
export class ModelStream {
  readonly #generator: Generator
  readonly #seed: number
  #random: Random
  #isPrimed = false
  /** Made, but not taken in yet: it is when another is wanted. */
  #pending: number | undefined

  /**
   * @param generator belongs to the stream from now on
   * @param seed a whole number in [0, 2^32)
   */
  constructor(generator: Generator, seed = 0) {
    if (!(Number.isInteger(seed) && seed >= 0 && seed <= 0xffffffff)) {
      throw new UsageError({
        fact: '`seed` makes no sense.',
        expected: 'a whole number from 0 to 4294967295',
        got: String(seed),
      })
    }
    this.#generator = generator
    this.#seed = seed
    this.#random = new Random(seed, STREAM)
  }

  /**
   * Takes a prompt in, of any length. What was there before is forgotten, and random numbers begin
   * anew. Of a prompt longer than the context the newest part is heard.
   *
   * @param onProgress told how many samples are taken in; what it throws ends the priming
   */
  async prime(
    codes: Uint8Array,
    { onProgress }: { onProgress?: (samples: number) => void } = {},
  ): Promise<void> {
    this.#isPrimed = false
    await this.#generator.prime(codes, onProgress)
    this.#begin(new Random(this.#seed, STREAM), undefined)
  }

  /** The next sample. Begins with silence where nothing was primed. */
  async next(sampling: Sampling): Promise<number> {
    if (!this.#isPrimed) await this.prime(new Uint8Array())
    if (this.#pending !== undefined) await this.#generator.push(this.#pending)
    this.#pending = undefined
    this.#pending = sampleCode(await this.#generator.logits(), sampling, this.#random)
    return this.#pending
  }

  /**
   * Goes on from where the stream stands, block by block; the next call goes on from there.
   *
   * @throws UsageError at the first block when an option makes no sense
   */
  async *generate(options: GenerateOptions = {}): AsyncGenerator<Uint8Array, void, void> {
    const { temperature = 1, topK, topP, blockSize = 320, signal } = options
    const { samples = Number.POSITIVE_INFINITY } = options
    const sampling = {
      temperature,
      ...(topK !== undefined && { topK }),
      ...(topP !== undefined && { topP }),
    }
    checkSampling(sampling)
    if (!(Number.isSafeInteger(blockSize) && blockSize > 0)) throw notCount('blockSize', blockSize)
    if (!(samples >= 0)) throw notCount('samples', samples)
    for (let left = samples; left > 0 && !signal?.aborted; ) {
      const block = new Uint8Array(Math.min(blockSize, left))
      let made = 0
      while (made < block.length && !signal?.aborted) block[made++] = await this.next(sampling)
      left -= made
      if (made > 0) yield block.subarray(0, made)
    }
  }

  /**
   * Copies all that the stream remembers: as much memory as it takes itself.
   *
   * @throws UsageError before it is primed, and where the model runs in the engine, which has no copies
   */
  snapshot(): StreamSnapshot {
    if (!this.#isPrimed) {
      throw new UsageError({
        fact: 'The stream was not primed yet.',
        hint: 'prime it, if with nothing',
      })
    }
    const generator = this.#generator.snapshot?.() ?? noSnapshots()
    return { generator, random: this.#random.state, pending: this.#pending }
  }

  /**
   * Goes back to a snapshot of this stream, or of one that was opened alike.
   *
   * @param seed draws other samples from here on; the same as then by default
   */
  restore({ generator, random, pending }: StreamSnapshot, { seed }: { seed?: number } = {}): void {
    if (!this.#generator.restore) noSnapshots()
    this.#generator.restore(generator)
    this.#begin(seed === undefined ? Random.from(random) : new Random(seed, STREAM), pending)
  }

  #begin(random: Random, pending: number | undefined): void {
    this.#random = random
    this.#pending = pending
    this.#isPrimed = true
  }

  /** Frees the memory; the stream is of no use afterwards. */
  async dispose(): Promise<void> {
    await this.#generator.dispose()
  }
}

function notCount(option: string, got: number): UsageError {
  return new UsageError({ fact: `\`${option}\` is not a count.`, got: String(got) })
}

function noSnapshots(): never {
  throw new UsageError({
    fact: 'This stream cannot be copied: its model runs in the engine.',
    hint: 'prime another stream with the same samples',
  })
}
