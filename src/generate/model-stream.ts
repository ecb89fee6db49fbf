import { UsageError } from '../base/errors.js'
import type { Generator } from '../models/index.js'
import { checkedOptions, Draws, type DrawsState, type GenerateOptions } from './draws.js'
import type { Sampling } from './sample.js'

/** A stream at one sample. */
export interface StreamSnapshot extends DrawsState {
  readonly generator: unknown
}

/**
 * A model that makes a recording, sample by sample. Everything is codes (0 to 255) of the model's
 * quantizer. The same seed after the same prompt gives the same samples, in blocks of any size.
 */
export class ModelStream {
  readonly #generator: Generator
  readonly #draws: Draws

  /**
   * @param generator belongs to the stream from now on
   * @param seed a whole number in [0, 2^32)
   */
  constructor(generator: Generator, seed = 0) {
    this.#generator = generator
    this.#draws = new Draws(seed)
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
    this.#draws.isPrimed = false
    await this.#generator.prime(codes, onProgress)
    this.#draws.begin()
  }

  /** The next sample. Begins with silence where nothing was primed. */
  async next(sampling: Sampling): Promise<number> {
    const [generator, draws] = [this.#generator, this.#draws]
    if (!draws.isPrimed) await this.prime(new Uint8Array())
    if (draws.pending !== undefined) await generator.push(draws.pending)
    draws.pending = undefined
    return draws.next(await generator.logits(), sampling)
  }

  /**
   * Goes on from where the stream stands, block by block; the next call goes on from there.
   *
   * @throws UsageError at the first block when an option makes no sense
   */
  async *generate(options: GenerateOptions = {}): AsyncGenerator<Uint8Array, void, void> {
    const { sampling, blockSize, samples, signal } = checkedOptions(options)
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
    const { state } = this.#draws
    return { generator: this.#generator.snapshot?.() ?? noSnapshots(), ...state }
  }

  /**
   * Goes back to a snapshot of this stream, or of one that was opened alike.
   *
   * @param seed draws other samples from here on; the same as then by default
   */
  restore({ generator, ...draws }: StreamSnapshot, { seed }: { seed?: number } = {}): void {
    if (!this.#generator.restore) noSnapshots()
    this.#generator.restore(generator)
    this.#draws.restore(draws, seed)
  }

  /** Frees the memory; the stream is of no use afterwards. */
  async dispose(): Promise<void> {
    await this.#generator.dispose()
  }
}

function noSnapshots(): never {
  throw new UsageError({
    fact: 'This stream cannot be copied: its model runs in the engine.',
    hint: 'prime another stream with the same samples',
  })
}
