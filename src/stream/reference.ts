/**
 * What every kernel computes, as plainly as can be and in float64: the yardstick of the kernels'
 * tests. Nothing here is fast, and nothing at run time uses it.
 */
import type { Every } from '../nn/step-plan.js'

type Numbers = ArrayLike<number>

/** Whether an instruction runs at sample `t`, counted from 0. */
export function isDue(every: Every | undefined, t: number): boolean {
  return every === undefined || t % every.period === every.phase
}

export interface AffineOptions {
  relu?: boolean
  /** Added to the result, [outputs]. */
  plus?: Numbers
}

/** y = W x + b, W [outputs, inputs]; a convolution's x are its taps, newest first. */
export function affine(
  w: Numbers,
  bias: Numbers,
  x: Numbers,
  options: AffineOptions = {},
): number[] {
  return Array.from({ length: bias.length }, (_, o) => {
    let sum = bias[o]! + (options.plus?.[o] ?? 0)
    for (let i = 0; i < x.length; i++) sum += w[o * x.length + i]! * x[i]!
    return options.relu ? Math.max(sum, 0) : sum
  })
}

/** The same of integers, the sum of output o times `scales[o]`. */
export function affineInt8(
  w: Numbers,
  scales: Numbers,
  bias: Numbers,
  x: Numbers,
  options: AffineOptions = {},
): number[] {
  return Array.from({ length: bias.length }, (_, o) => {
    let sum = 0
    for (let i = 0; i < x.length; i++) sum += w[o * x.length + i]! * x[i]!
    const y = sum * scales[o]! + bias[o]! + (options.plus?.[o] ?? 0)
    return options.relu ? Math.max(y, 0) : y
  })
}

/** Numbers times a factor as integers within +-limit, halves to the even one. */
export function quantise(x: Numbers, factor: number, limit: number): number[] {
  return Array.from(x, (value) => {
    const scaled = Math.fround(value * Math.fround(factor))
    const down = Math.floor(scaled)
    const rest = scaled - down
    const rounded = rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down
    return Math.min(Math.max(rounded, -limit), limit) + 0
  })
}

/** Zero mean and unit variance, then a scale and an offset. */
export function normalise(x: Numbers, scale: Numbers, offset: Numbers, epsilon: number): number[] {
  const all = Array.from(x)
  const mean = all.reduce((sum, v) => sum + v, 0) / all.length
  const variance = all.reduce((sum, v) => sum + (v - mean) ** 2, 0) / all.length
  return all.map((v, i) => ((v - mean) / Math.sqrt(variance + epsilon)) * scale[i]! + offset[i]!)
}

/** tanh of the first half times the sigmoid of the second. */
export function gate(x: Numbers): number[] {
  const n = x.length / 2
  return Array.from({ length: n }, (_, i) => Math.tanh(x[i]!) / (1 + Math.exp(-x[n + i]!)))
}

/** The first half times the sigmoid of the second. */
export function glu(x: Numbers): number[] {
  const n = x.length / 2
  return Array.from({ length: n }, (_, i) => x[i]! / (1 + Math.exp(-x[n + i]!)))
}

/** x Phi(x), Phi the normal distribution function, integrated by Simpson's rule. */
export function gelu(x: Numbers): number[] {
  const bell = (t: number) => Math.exp(-0.5 * t * t) / Math.sqrt(2 * Math.PI)
  return Array.from(x, (value) => {
    const end = Math.max(-9, Math.min(9, value))
    const parts = 400
    const h = end / parts
    let sum = bell(0) + bell(end)
    for (let k = 1; k < parts; k++) sum += (k % 2 ? 4 : 2) * bell(k * h)
    return value * (0.5 + (sum * h) / 3)
  })
}

/**
 * One step of a diagonal state-space layer: s = a s + u, y = Re(sum of c s) + d u.
 *
 * @param modes [channels, modes, 4]: re a, im a, re c, im c
 * @param state [channels, modes, 2]: changed
 */
export function oscillate(u: Numbers, state: number[], modes: Numbers, d: Numbers): number[] {
  const count = state.length / u.length / 2
  return Array.from(u, (push, channel) => {
    let y = d[channel]! * push
    for (let m = channel * count; m < (channel + 1) * count; m++) {
      const [ar, ai] = [modes[4 * m]!, modes[4 * m + 1]!]
      const [sr, si] = [state[2 * m]!, state[2 * m + 1]!]
      state[2 * m] = ar * sr - ai * si + push
      state[2 * m + 1] = ar * si + ai * sr
      y += modes[4 * m + 2]! * state[2 * m]! - modes[4 * m + 3]! * state[2 * m + 1]!
    }
    return y
  })
}

/** The sum over taps k of row x[k] scale + offset of table k: x newest first, tables [taps, rows, n]. */
export function lookup(
  x: Numbers,
  { scale, offset }: { scale: number; offset: number },
  tables: Numbers,
  rows: number,
): number[] {
  const n = tables.length / x.length / rows
  const at = Array.from(x, (v, k) => (k * rows + Math.round(v * scale + offset)) * n)
  return Array.from({ length: n }, (_, i) => at.reduce((sum, row) => sum + tables[row + i]!, 0))
}

/** One step of a gated recurrent unit whose state h is kept less `first`. */
export function recur(x: Numbers, u: Numbers, first: Numbers, h: Numbers): number[] {
  const n = h.length
  return Array.from({ length: n }, (_, i) => {
    const r = sigmoid(x[i]! + u[i]!)
    const z = sigmoid(x[n + i]! + u[n + i]!)
    const c = Math.tanh(x[2 * n + i]! + r * u[2 * n + i]!)
    return (1 - z) * c + z * (h[i]! + first[i]!) - first[i]!
  })
}

export interface Attention {
  groups: number
  /** Heads of each group. */
  heads: number
  width: number
}

/**
 * Attention of one token.
 *
 * @param q [groups heads, width]
 * @param keys rows [groups width] of the tokens seen, the newest last; `values` the same
 * @param bias [groups heads, window] by distance
 * @returns [groups heads, width]
 */
export function attend(
  { groups, heads, width }: Attention,
  q: Numbers,
  keys: readonly Numbers[],
  values: readonly Numbers[],
  bias: Numbers,
): number[] {
  const all = groups * heads
  const window = bias.length / all
  const y: number[] = []
  for (let h = 0; h < all; h++) {
    const part = Math.floor(h / heads) * width
    const scores = keys.map((row, j) => {
      let score = bias[h * window + keys.length - 1 - j]!
      for (let i = 0; i < width; i++) score += q[h * width + i]! * row[part + i]!
      return score
    })
    const most = Math.max(...scores)
    const weights = scores.map((score) => Math.exp(score - most))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    for (let i = 0; i < width; i++) {
      const sum = values.reduce((s, row, j) => s + weights[j]! * row[part + i]!, 0)
      y.push(sum / total)
    }
  }
  return y
}

/**
 * Log-probabilities, with 1e-6 added to each probability, of the levels between edges under logistic
 * curves around an expected value.
 *
 * @param numbers [3 curves]: centres in scales, logarithms of widths, logits of weights
 * @param edges [levels - 1]
 */
export function curves(
  mean: number,
  inverse: number,
  numbers: Numbers,
  widths: Numbers,
  edges: Numbers,
): number[] {
  const count = widths.length
  const logits = Array.from({ length: count }, (_, k) => numbers[2 * count + k]!)
  const most = Math.max(...logits)
  const weights = logits.map((x) => Math.exp(x - most))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  // on the side where probabilities are small, lest they vanish in a difference of ones
  const between = (a: number, b: number) =>
    a > 0 ? sigmoid(-a) - sigmoid(-b) : sigmoid(b) - sigmoid(a)
  return Array.from({ length: edges.length + 1 }, (_, level) => {
    let p = 0
    for (let k = 0; k < count; k++) {
      const steep = Math.exp(-numbers[count + k]!) / widths[k]!
      const at = (edge: number) => ((edge - mean) * inverse - numbers[k]!) * steep
      const low = level === 0 ? Number.NEGATIVE_INFINITY : at(edges[level - 1]!)
      const high = level === edges.length ? Number.POSITIVE_INFINITY : at(edges[level]!)
      p += (weights[k]! / total) * between(low, high)
    }
    return Math.log(p + 1e-6)
  })
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
