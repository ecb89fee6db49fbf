/**
 * Recall: an addition of ours to the flagship. A token of the printed model tells what its chunk was,
 * never what followed it, and sees one sample less than a chunk: where music repeats after whole
 * chunks, the sample that is wanted is in no token at all. So a sample looks for places that sound
 * like the newest samples, whole chunks back, and reads what came after them.
 *
 *   q(t) = norm(place * x)(t)      k(t) = q(t - chunk)      v(t) = (after * x)(t - chunk + ahead)
 *   r(t) = sum over tokens i of softmax_i(q(t) M k(t - i chunk) + bias(i)) v(t - i chunk)
 *
 * Token i of a phase thus stands for the place one chunk before it, and what it holds of that place
 * is past already: the matching of an induction head (Olsson et al. 2022, section 2), in one layer.
 */
import {
  add,
  concat,
  matmul,
  reshape,
  slice,
  softmax,
  type Tensor,
  transpose,
} from '../graph/index.js'
import { causalSpans } from '../nn/attention.js'
import { type CausalLayer, causalConv, delay, layerNorm, type Stateful } from '../nn/layers.js'
import { lecun, type Parameters } from '../nn/parameters.js'

export interface RecallConfig {
  /** Numbers that describe a place, and what followed it. */
  width: number
  heads: number
  /** Samples by which a place is told: the newest ones, and those that led to it. */
  taps: number
  /** Samples after a place that are read, 1 to chunk - 1. */
  ahead: number
}

/** What the recall of a model is built with. */
export interface WithRecall {
  chunk: number
  recall: RecallConfig
}

/** Parts of a row: query, key and value. */
export const PARTS = 3

/** Samples that tell what followed a place: those after it, and some before. */
export const afterTaps = ({ taps, ahead }: RecallConfig) => Math.max(ahead, Math.min(taps, 16))

/** The causal layers of recall, as far as they remember. */
export function recallLayers({ chunk, recall }: WithRecall) {
  const { width, taps, ahead } = recall
  const options = { channels: 1, filters: width }
  const place = (): CausalLayer =>
    causalConv('recall.place', { ...options, taps, initial: lecun(taps) })
  const count = afterTaps(recall)
  return {
    toValue: delay(chunk - ahead, 1),
    toKey: delay(ahead, 1),
    query: place(),
    key: place(),
    value: causalConv('recall.after', { ...options, taps: count, initial: lecun(count) }),
  }
}

export function recallStates(config: WithRecall): Stateful[] {
  return Object.values(recallLayers(config))
}

/** Samples before a token's own that its row depends on: a chunk, and what tells a place. */
export const recallReach = ({ chunk, recall }: WithRecall) =>
  Math.max(chunk + recall.taps, chunk - recall.ahead + afterTaps(recall)) - 1

/**
 * Rows that recall attends with.
 *
 * @param x waveform [1, 1, T]
 * @returns r [T, 3 width]: query, key, value
 */
export function recallRows(
  p: Parameters,
  config: WithRecall,
  x: Tensor,
  states: readonly Tensor[],
): { r: Tensor; states: Tensor[] } {
  const layers = recallLayers(config)
  const past = layers.toValue.forward(p, x, states[0]!) // [1, 1, T], chunk - ahead samples ago
  const older = layers.toKey.forward(p, past.y, states[1]!) // a chunk ago
  const q = layers.query.forward(p, x, states[2]!) // [1, width, T]
  const k = layers.key.forward(p, older.y, states[3]!)
  const v = layers.value.forward(p, past.y, states[4]!)
  const rows = [q, k, v].map(({ y }) => transpose(reshape(y, [config.recall.width, x.shape[2]!])))
  return {
    r: concat(rows, 1), // [T, 3 width]
    states: [past, older, q, k, v].map(({ state }) => state),
  }
}

/** How much more a place counts that is the same than one that is unlike, at first. */
const SHARPNESS = 2

/** The same place answers itself from the start: M begins as a multiple of one. */
function sameness({ width, heads }: RecallConfig): Float32Array {
  const m = new Float32Array(width * heads * width)
  const each = SHARPNESS / Math.sqrt(width)
  for (let h = 0; h < heads; h++) {
    for (let i = 0; i < width; i++) m[(i * heads + h) * width + i] = each * (1 + h / heads)
  }
  return m
}

/** Rows apart: queries and keys, normalised, and values, each [phases, tokens, width]. */
export function recallParts(
  p: Parameters,
  { recall: { width } }: WithRecall,
  r: Tensor,
): [q: Tensor, k: Tensor, v: Tensor] {
  const part = (i: number) => slice(r, 2, i * width, (i + 1) * width)
  const norm = (i: number) => layerNorm(p, 'recall.norm', part(i))
  return [norm(0), norm(1), part(2)]
}

export interface RecallLook {
  /** Newest tokens that ask. */
  queries: number
  /** Tokens that one may look at, its own among them. */
  window: number
  /** Added to all scores, [1, tokens]: very negative where no token is. */
  mask?: Tensor | undefined
}

/**
 * What followed the places that sounded like the newest samples.
 *
 * @param r rows of `recallRows`, phase by phase, [phases, tokens, 3 width]
 * @returns [phases, queries, heads width]
 */
export function recall(
  p: Parameters,
  config: WithRecall,
  r: Tensor,
  { queries, window, mask }: RecallLook,
): Tensor {
  const { width, heads } = config.recall
  const [phases, tokens] = r.shape as [number, number, number]
  return p.graph.scoped('recall', () => {
    const [all, k, v] = recallParts(p, config, r) // [phases, tokens, width]
    const q = slice(all, 1, tokens - queries, tokens)
    const m = p.get('recall.match', [width, heads * width], { values: sameness(config.recall) })
    const reach = { queries, keys: tokens, window, heads }
    const seen = causalSpans(p, 'recall', reach, { mask, initial: 0 }).map((span) => {
      const [from, to] = span.queries
      const [first, last] = span.keys
      const rows = reshape(matmul(slice(q, 1, from, to), m), [phases, (to - from) * heads, width])
      const scores = matmul(rows, slice(k, 1, first, last), { transB: true })
      const mixed = matmul(softmax(add(scores, span.bias)), slice(v, 1, first, last))
      return reshape(mixed, [phases, to - from, heads * width])
    })
    return concat(seen, 1) // [phases, queries, heads width]
  })
}
