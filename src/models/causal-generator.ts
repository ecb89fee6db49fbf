import { SILENCE } from '../audio/quantize.js'
import type { Engine } from '../engine/index.js'
import type { CausalNetwork } from './causal-network.js'
import { STRETCH } from './causal-plan.js'
import { CausalStream } from './causal-stream.js'
import type { Arrays, Generator } from './model.js'

const LEVELS = 256

/**
 * Steps one sample at a time, every layer keeping what it remembers. Of a prompt the newest `context`
 * samples are taken in, or as many as the network sees; afterwards nothing is forgotten but what the
 * network itself forgets.
 */
export class CausalGenerator implements Generator {
  readonly #stream: CausalStream
  /** Samples of a prompt that are taken in. */
  readonly #reach: number
  readonly #logits = new Float32Array(LEVELS)

  constructor(engine: Engine, network: CausalNetwork, parameters: Arrays, context: number) {
    this.#stream = new CausalStream(engine, network, parameters)
    this.#reach = Math.max(1, Math.min(context, network.receptiveField))
  }

  async prime(codes: Uint8Array, onProgress: (samples: number) => void = () => {}): Promise<void> {
    // the first sample follows silence; the newest one is left to a step, which gives the logits
    const whole = Int32Array.of(SILENCE, ...codes)
    const history = whole.subarray(Math.max(0, whole.length - this.#reach), -1)
    this.#stream.begin()
    for (let at = 0; at < history.length; at += STRETCH) {
      await this.#stream.run('nothing', history.subarray(at, at + STRETCH))
      onProgress(Math.min(codes.length, at + STRETCH))
    }
    await this.push(whole.at(-1)!)
  }

  async logits(): Promise<Float32Array> {
    return this.#logits
  }

  async push(code: number): Promise<void> {
    await this.#stream.run('logits', Int32Array.of(code), { into: { logits: this.#logits } })
  }

  dispose(): Promise<void> {
    return this.#stream.dispose()
  }
}
