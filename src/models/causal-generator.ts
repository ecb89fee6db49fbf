import { SILENCE } from '../audio/quantize.js'
import type { Engine } from '../engine/index.js'
import type { CausalNetwork } from './causal-network.js'
import { longestStretch } from './causal-plan.js'
import { CausalStream } from './causal-stream.js'
import type { Arrays, Generator } from './model.js'

const LEVELS = 256

/**
 * Steps one sample at a time, every layer keeping what it remembers; a network of longer steps computes
 * the current one anew for every sample of it. Of a prompt the newest `context`
 * samples are taken in, or as many as the network sees; afterwards nothing is forgotten but what the
 * network itself forgets.
 */
export class CausalGenerator implements Generator {
  readonly #stream: CausalStream
  /** Samples of a prompt that are taken in. */
  readonly #reach: number
  readonly #stretch: number
  /** The samples of the current period, silence where none came yet, and logits after each. */
  readonly #period: Int32Array
  readonly #all: Float32Array
  /** Samples of it that came. */
  #taken = 0
  #logits: Float32Array

  constructor(engine: Engine, network: CausalNetwork, parameters: Arrays, context: number) {
    this.#stream = new CausalStream(engine, network, parameters)
    this.#reach = Math.max(1, Math.min(context, network.receptiveField))
    this.#stretch = longestStretch(network)
    const { period = 1 } = network
    this.#period = new Int32Array(period).fill(SILENCE)
    this.#all = new Float32Array(period * LEVELS)
    this.#logits = this.#all.subarray(0, LEVELS)
  }

  async prime(codes: Uint8Array, onProgress: (samples: number) => void = () => {}): Promise<void> {
    // the first sample follows silence; the newest one is left to a step, which gives the logits
    const whole = Int32Array.of(SILENCE, ...codes)
    const history = whole.subarray(Math.max(0, whole.length - this.#reach))
    const rest = 1 + ((history.length - 1) % this.#period.length)
    const end = history.length - rest
    this.#stream.begin()
    this.#taken = 0
    for (let at = 0; at < end; at += this.#stretch) {
      const stop = Math.min(end, at + this.#stretch)
      await this.#stream.run('nothing', history.subarray(at, stop))
      onProgress(Math.min(codes.length, stop))
    }
    for (const code of history.subarray(end, -1)) this.#period[this.#taken++] = code
    await this.push(whole.at(-1)!)
  }

  async logits(): Promise<Float32Array> {
    return this.#logits
  }

  async push(code: number): Promise<void> {
    const period = this.#period
    period[this.#taken] = code
    // causal: what stands behind the newest sample changes nothing before it
    const isTrial = this.#taken + 1 < period.length
    await this.#stream.run('logits', period, { into: { logits: this.#all }, isTrial })
    this.#logits = this.#all.subarray(this.#taken * LEVELS, (this.#taken + 1) * LEVELS)
    this.#taken = isTrial ? this.#taken + 1 : 0
  }

  dispose(): Promise<void> {
    return this.#stream.dispose()
  }
}
