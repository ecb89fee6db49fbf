import {
  add,
  concat,
  constant,
  matmul,
  reshape,
  type Shape,
  scale,
  slice,
  softmax,
  sum,
  type Tensor,
  take,
  transpose,
} from '../graph/index.js'
import { lecun, type Parameters } from './parameters.js'

export interface AttentionOptions {
  heads: number
  /** Dims of one head's queries, keys and values. */
  headWidth: number
}

/** Queries that look at the same stretch of keys. */
export interface Span {
  /** First query, and the one after the last. */
  queries: readonly [number, number]
  keys: readonly [number, number]
  /** Added to the scores, [queries * heads, keys] in the order (query, head). */
  bias: Tensor
}

/**
 * Multi-head attention with the key and value projections absorbed:
 *
 *   score(i, j) = (x_i Wq + bq)(x_j Wk + bk)^T -> (x_i A + c) x_j^T     A = Wq Wk^T, c = bq Wk^T
 *   out(i)      = sum_heads (sum_j a(i, j) x_j Wv + bv) Wo + bo         B = Wv Wo
 *
 * Neither keys nor values are ever made: only x is needed of the past, and heads as wide as the
 * model cost half of the plain form. The key bias, part of the printed layer, shifts all scores of a
 * query alike: the softmax cancels it, so it is declared and never computed with.
 *
 * @param x queries [batch, tokens, width]
 * @param past keys and values [batch, keys, width]
 * @param spans which keys each query looks at; together they are all queries, in order
 * @returns [batch, tokens, width]
 */
export function attention(
  p: Parameters,
  name: string,
  x: Tensor,
  past: Tensor,
  spans: readonly Span[],
  { heads, headWidth }: AttentionOptions,
): Tensor {
  return p.graph.scoped(name, () => {
    const [batch, , width] = x.shape as [number, number, number]
    const each: Shape = [heads, width, headWidth]
    const wq = p.get(`${name}.wq`, each, lecun(width))
    const wk = p.get(`${name}.wk`, each, lecun(width))
    const wv = p.get(`${name}.wv`, each, lecun(width))
    const wo = p.get(`${name}.wo`, [heads, headWidth, width], lecun(heads * headWidth))
    const bq = p.get(`${name}.bq`, [heads, 1, headWidth], 0)
    p.get(`${name}.bk`, [heads, 1, headWidth], 0)
    const bv = p.get(`${name}.bv`, [heads, 1, headWidth], 0)
    const bo = p.get(`${name}.bo`, [width], 0)

    const a = scale(matmul(wq, wk, { transB: true }), headWidth ** -0.5) // [heads, width, width]
    const c = scale(matmul(bq, wk, { transB: true }), headWidth ** -0.5) // [heads, 1, width]
    const aFlat = reshape(transpose(a, [1, 0, 2]), [width, heads * width])
    const seen = spans.map(({ queries: [from, to], keys: [first, last], bias }) => {
      const mine = slice(x, 1, from, to)
      const there = slice(past, 1, first, last) // [batch, keys, width]
      const q = matmul(mine, aFlat, { bias: reshape(c, [heads * width]) })
      const rows = reshape(q, [batch, (to - from) * heads, width])
      const scores = add(matmul(rows, there, { transB: true }), bias) // [batch, queries heads, keys]
      const mixed = matmul(softmax(scores), there) // [batch, queries heads, width]
      return reshape(mixed, [batch, to - from, heads * width])
    })
    const b = reshape(matmul(wv, wo), [heads * width, width])
    const outBias = add(bo, reshape(sum(matmul(bv, wo), [0]), [width])) // [width]
    return matmul(concat(seen, 1), b, { bias: outBias }) // [batch, tokens, width]
  })
}

/** Queries of a span: more waste scores on the future, fewer make small products. */
const SPAN = 64

/**
 * Causal attention of the last `queries` of `keys` tokens, in spans whose keys end with their last
 * query: about half of the scores of a long window are never computed.
 *
 * @param window a token sees itself and the `window - 1` before it
 * @param mask added to the scores of all queries, [1, keys], if given
 * @param initial every number of the bias before training, in place of powers of distance
 */
export function causalSpans(
  p: Parameters,
  name: string,
  { queries, keys, window, heads }: Record<'queries' | 'keys' | 'window' | 'heads', number>,
  { mask, initial }: { mask?: Tensor | undefined; initial?: number } = {},
): Span[] {
  const past = keys - queries
  const count = Math.ceil(queries / SPAN)
  return Array.from({ length: count }, (_, i) => {
    const [from, to] = [Math.floor((i * queries) / count), Math.floor(((i + 1) * queries) / count)]
    const first = Math.max(0, past + from - window + 1)
    const last = past + to
    const size = { queries: to - from, keys: last - first, window, heads }
    const bias = causalBias(p, name, size, initial)
    return {
      queries: [from, to],
      keys: [first, last],
      bias: mask ? add(bias, slice(mask, 1, first, last)) : bias,
    }
  })
}

/** Distances above this share buckets that grow by powers. */
const EXACT = 16
const PER_OCTAVE = 4

/**
 * Bucket of a distance in tokens (Raffel et al. 2020, section 2.1): every distance below 16 has its
 * own, then four per doubling, so that a model meets distances it never saw in familiar buckets.
 */
export function distanceBucket(distance: number): number {
  if (distance < EXACT) return distance
  return EXACT + Math.floor(PER_OCTAVE * Math.log2(distance / EXACT) + 1e-9)
}

/** Buckets for distances up to 16,384 tokens. */
export const BUCKETS = distanceBucket(16_384) + 1

/** The smallest distance of a bucket. */
function bucketStart(bucket: number): number {
  return bucket < EXACT ? bucket : EXACT * 2 ** ((bucket - EXACT) / PER_OCTAVE)
}

/**
 * Attention starts as a power of distance, (1 + d)^-m, with m from 1/2 in the first head to 2 in the
 * last: a longer window then dilutes little, and a model trained on short segments keeps its
 * balance on long ones.
 */
function initialBias(heads: number): Float32Array {
  return Float32Array.from({ length: BUCKETS * heads }, (_, at) => {
    const [bucket, head] = [Math.floor(at / heads), at % heads]
    const power = heads === 1 ? 1 : 0.5 + (1.5 * head) / (heads - 1)
    return -power * Math.log1p(bucketStart(bucket))
  })
}

const MASKED = -1e9

/**
 * The additive bias of causal attention: a learned number per head and distance bucket, and a mask
 * over the future and over what the window has left behind.
 *
 * @param queries tokens that attend, the last `queries` of `keys`
 * @param window a token sees itself and the `window - 1` before it
 * @param initial every number before training, in place of powers of distance
 * @returns [queries * heads, keys]
 */
export function causalBias(
  p: Parameters,
  name: string,
  { queries, keys, window, heads }: Record<'queries' | 'keys' | 'window' | 'heads', number>,
  initial?: number,
): Tensor {
  const before = initial ?? { values: initialBias(heads) }
  const table = p.get(`${name}.distance`, [BUCKETS, heads], before)
  const buckets = new Int32Array(queries * keys)
  const mask = new Float32Array(queries * keys)
  for (let i = 0; i < queries; i++) {
    for (let j = 0; j < keys; j++) {
      const distance = i + keys - queries - j
      const isSeen = distance >= 0 && distance < window
      buckets[i * keys + j] = isSeen ? distanceBucket(distance) : 0
      mask[i * keys + j] = isSeen ? 0 : MASKED
    }
  }
  const rows = take(table, constant(p.graph, buckets, [queries * keys]), 0) // [queries keys, heads]
  const learned = transpose(reshape(rows, [queries, keys, heads]), [0, 2, 1])
  const masked = add(learned, constant(p.graph, mask, [queries, 1, keys]))
  return reshape(masked, [queries * heads, keys]) // (token, head) by key
}
