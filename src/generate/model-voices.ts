import { UsageError } from '../base/errors.js'
import { checkedOptions, Draws, type GenerateOptions } from './draws.js'
import type { StreamSnapshot } from './model-stream.js'
import type { Sampling } from './sample.js'
import type { StepSnapshot } from './step-host.js'
import type { StepVoices } from './step-voices.js'

export interface VoicesOptions extends GenerateOptions {
  /** Of every voice, what is not as for all. */
  each?: readonly Partial<Sampling>[]
}

/**
 * Several recordings that a model makes at the same time, over the same weights. A voice gives the same
 * samples as a `ModelStream` of its seed, prompt and options would, and their snapshots are alike.
 */
export class ModelVoices {
  readonly #steps: StepVoices
  readonly #draws: readonly Draws[]

  /**
   * @param steps belongs to the voices from now on
   * @param seeds of every voice, whole numbers in [0, 2^32)
   */
  constructor(steps: StepVoices, seeds: readonly number[]) {
    this.#steps = steps
    this.#draws = seeds.map((seed) => new Draws(seed))
  }

  get size(): number {
    return this.#draws.length
  }

  /**
   * Takes prompts in: one for all voices, or one for each. What was there before is forgotten, and random
   * numbers begin anew.
   *
   * @param onProgress told how many samples of all prompts are taken in; what it throws ends the priming
   */
  async prime(
    prompts: Uint8Array | readonly Uint8Array[],
    { onProgress = () => {} }: { onProgress?: (samples: number) => void } = {},
  ): Promise<void> {
    if (prompts instanceof Uint8Array) {
      await this.primeVoice(0, prompts, { onProgress })
      if (this.size === 1) return
      const snapshot = this.#steps.snapshot(0)
      for (const [i, draws] of this.#draws.slice(1).entries()) {
        this.#steps.restore(i + 1, snapshot)
        draws.begin()
      }
      return
    }
    this.#checkCount('prompts', prompts.length)
    let before = 0
    for (const [voice, codes] of prompts.entries()) {
      await this.primeVoice(voice, codes, { onProgress: (samples) => onProgress(before + samples) })
      before += codes.length
    }
  }

  /** Takes a prompt into one voice alone; the others stay as they are. */
  async primeVoice(
    voice: number,
    codes: Uint8Array,
    { onProgress }: { onProgress?: (samples: number) => void } = {},
  ): Promise<void> {
    const draws = this.#of(voice)
    draws.isPrimed = false
    await this.#steps.prime(voice, codes, onProgress)
    draws.begin()
  }

  /**
   * The next sample of every voice, [voices]. A voice that nothing was primed into begins with silence.
   *
   * @param samplings of every voice
   */
  async next(samplings: readonly Sampling[]): Promise<Uint8Array> {
    const voices: number[] = []
    const codes: number[] = []
    for (const [voice, draws] of this.#draws.entries()) {
      if (!draws.isPrimed) await this.primeVoice(voice, new Uint8Array())
      if (draws.pending === undefined) continue
      voices.push(voice)
      codes.push(draws.pending)
      draws.pending = undefined
    }
    await this.#steps.push(voices, codes)
    return Uint8Array.from(this.#draws, (draws, voice) =>
      draws.next(this.#steps.logits(voice), samplings[voice]!),
    )
  }

  /**
   * Goes on from where the voices stand: blocks of all of them, [voices] of equal length.
   *
   * @throws UsageError at the first block when an option makes no sense
   */
  async *generate(options: VoicesOptions = {}): AsyncGenerator<Uint8Array[], void, void> {
    const { each, ...all } = options
    if (each) this.#checkCount('each', each.length)
    const { blockSize, samples, signal } = checkedOptions(all)
    const samplings = this.#draws.map((_, i) => checkedOptions({ ...all, ...each?.[i] }).sampling)
    for (let left = samples; left > 0 && !signal?.aborted; ) {
      const length = Math.min(blockSize, left)
      const blocks = this.#draws.map(() => new Uint8Array(length))
      let made = 0
      for (; made < length && !signal?.aborted; made++) {
        const codes = await this.next(samplings)
        for (const [voice, block] of blocks.entries()) block[made] = codes[voice]!
      }
      left -= made
      if (made > 0) yield blocks.map((block) => block.subarray(0, made))
    }
  }

  /**
   * Copies all that a voice remembers.
   *
   * @throws UsageError before it is primed
   */
  snapshot(voice: number): StreamSnapshot {
    const { state } = this.#of(voice)
    return { generator: this.#steps.snapshot(voice), ...state }
  }

  /**
   * Goes back to a snapshot of any voice, or of a stream that was opened alike.
   *
   * @param seed draws other samples from here on; the same as then by default
   */
  restore(
    voice: number,
    { generator, ...state }: StreamSnapshot,
    { seed }: { seed?: number } = {},
  ): void {
    const draws = this.#of(voice)
    this.#steps.restore(voice, generator as StepSnapshot)
    draws.restore(state, seed)
  }

  #of(voice: number): Draws {
    const draws = this.#draws[voice]
    if (draws) return draws
    throw new UsageError({
      fact: `There is no voice ${voice}.`,
      expected: `0 to ${this.size - 1}`,
    })
  }

  #checkCount(option: string, got: number): void {
    if (got === this.size) return
    throw new UsageError({
      fact: `\`${option}\` does not fit the voices.`,
      expected: `one for each of ${this.size}`,
      got: String(got),
    })
  }

  /** Frees the memory; the voices are of no use afterwards. */
  async dispose(): Promise<void> {
    this.#steps.dispose()
  }
}
