import { SILENCE } from '../audio/quantize.js'
import type { Engine } from '../engine/index.js'
import type { CausalNetwork } from './causal-network.js'
import { STRETCH, stretches } from './causal-plan.js'
import { CausalStream } from './causal-stream.js'
import type { Arrays, Scorer } from './model.js'

/**
 * Scores pieces from their first sample on, all in one stream: every prediction sees as far as the
 * network does. A context that is shorter than that is a strict bound: the stream then begins again
 * every half context, half a context before what it scores, so that no prediction sees more than the
 * context, and all but the beginning of a piece at least half of it.
 */
export class CausalScorer implements Scorer {
  readonly #stream: CausalStream
  readonly #receptiveField: number

  constructor(engine: Engine, network: CausalNetwork, parameters: Arrays) {
    this.#stream = new CausalStream(engine, network, parameters)
    this.#receptiveField = network.receptiveField
  }

  async score(
    codes: Uint8Array,
    context: number,
    onProgress: (samples: number) => void = () => {},
  ): Promise<Float32Array> {
    const samples = codes.length
    if (samples === 0) return new Float32Array(0)
    const isBound = context < Math.min(this.#receptiveField, samples)
    const half = stretches(context / 2)
    const time = isBound ? half.time : Math.min(STRETCH, samples)
    const hop = isBound ? half.time * half.count : time * Math.ceil(samples / time)
    const before = context < 2 ? 0 : hop

    const padded = Math.ceil(samples / time) * time
    // the first sample follows silence; silence fills the last stretch, where nobody looks
    const inputs = new Int32Array(padded).fill(SILENCE)
    inputs.set(codes.subarray(0, -1), 1)
    const targets = new Int32Array(padded)
    targets.set(codes)
    const nats = new Float32Array(padded)

    for (let first = 0; first < samples; first += hop) {
      this.#stream.begin()
      for (let at = Math.max(0, first - before); at < first; at += time) {
        await this.#stream.run('nothing', inputs.subarray(at, at + time))
      }
      for (let at = first; at < Math.min(samples, first + hop); at += time) {
        await this.#stream.run('nats', inputs.subarray(at, at + time), {
          targets: targets.subarray(at, at + time),
          into: { nats: nats.subarray(at, at + time) },
        })
        onProgress(Math.min(samples, at + time))
      }
    }
    return nats.slice(0, samples)
  }

  dispose(): Promise<void> {
    return this.#stream.dispose()
  }
}
