import { SILENCE } from '../audio/quantize.js'
import type { Engine } from '../engine/index.js'
import type { CausalNetwork } from './causal-network.js'
import { longestStretch, stretches } from './causal-plan.js'
import { CausalStream } from './causal-stream.js'
import type { Arrays, Scorer } from './model.js'

/**
 * Scores pieces from their first sample on, all in one stream: every prediction sees as far as the
 * network does. A context that is shorter than that is a strict bound: the stream then begins again
 * every half context, half a context before what it scores, so that no prediction sees more than the
 * context, and all but the beginning of a piece at least half of it. Where only the end of a piece is
 * wanted, the stream begins as late as the network allows.
 */
export class CausalScorer implements Scorer {
  readonly #stream: CausalStream
  readonly #network: CausalNetwork

  constructor(engine: Engine, network: CausalNetwork, parameters: Arrays) {
    this.#stream = new CausalStream(engine, network, parameters)
    this.#network = network
  }

  async score(
    codes: Uint8Array,
    context: number,
    onProgress: (samples: number) => void = () => {},
    from = 0,
  ): Promise<Float32Array> {
    const samples = codes.length
    if (from >= samples) return new Float32Array(0)
    const { receptiveField, period = 1 } = this.#network
    const isBound = context < Math.min(receptiveField, samples)
    const longest = longestStretch(this.#network)
    const hop = isBound ? Math.max(1, Math.floor(context / 2)) : samples
    const before = isBound && context > 1 ? hop : 0
    const time = isBound
      ? Math.ceil(stretches(hop, longest).time / period) * period
      : Math.min(longest, Math.ceil(samples / period) * period)

    // the first sample follows silence; silence fills the last stretch, where nobody looks
    const inputs = new Int32Array(samples + time).fill(SILENCE)
    inputs.set(codes.subarray(0, -1), 1)
    const targets = new Int32Array(samples + time)
    targets.set(codes)
    const nats = new Float32Array(samples - from)
    const found = new Float32Array(time)
    const heard = Math.max(0, from + 1 - receptiveField)
    const start = Math.floor(heard / period) * period

    for (let first = Math.floor(from / hop) * hop; first < samples; first += hop) {
      this.#stream.begin()
      const wanted = Math.max(first, from)
      const end = Math.min(samples, first + hop)
      for (let at = isBound ? Math.max(0, first - before) : start; at < end; at += time) {
        const cut = inputs.subarray(at, at + time)
        if (at + time <= wanted) {
          await this.#stream.run('nothing', cut)
          continue
        }
        const known = { targets: targets.subarray(at, at + time), into: { nats: found } }
        await this.#stream.run('nats', cut, known)
        const [low, high] = [Math.max(wanted, at), Math.min(end, at + time)]
        nats.set(found.subarray(low - at, high - at), low - from)
        onProgress(high - from)
      }
    }
    return nats
  }

  dispose(): Promise<void> {
    return this.#stream.dispose()
  }
}
