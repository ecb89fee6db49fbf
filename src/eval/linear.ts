/**
 * Adaptive linear prediction as in the strongest lossless audio coders: recursive least squares over
 * the last `order` values, then a cascade of normalised LMS filters over what each stage before it
 * left unexplained. Every number comes from the past alone.
 */
export interface LinearPredictor {
  /** The expected next value. */
  predict(): number
  /** Takes the value that came. */
  update(value: number): void
}

export function linearPredictor(order: number, cascade: readonly number[]): LinearPredictor {
  const stages: LinearPredictor[] = [leastSquares(order)]
  for (const taps of cascade) stages.push(normalisedLms(taps))
  const parts = new Float64Array(stages.length)
  let peak = 0
  return {
    predict() {
      let sum = 0
      for (let i = 0; i < stages.length; i++) {
        // weights from few samples can be wild, and the filters would take long to forget it
        const part = stages[i]!.predict()
        parts[i] = Math.min(Math.max(part, -peak - sum), peak - sum)
        sum += parts[i]!
      }
      return sum
    },
    update(value) {
      peak = Math.max(peak, Math.abs(value))
      let left = value
      for (let i = 0; i < stages.length; i++) {
        stages[i]!.update(left)
        left -= parts[i]!
      }
    },
  }
}

/** How fast least squares forgets: it remembers about 1000 samples, 63 ms at 16 kHz. */
const FORGET = 1 - 1 / 1000
/** Ridge of the normal equations, relative to the power of the signal, and absolute for silence. */
const RIDGE = 1e-9
const RIDGE_SILENT = 1e-9

/**
 * Least squares over an exponential window. The covariance of regressors i and j is the lag product
 * of distance |i - j| as it stood min(i, j) samples ago, so each sample costs O(order), and the
 * normal equations are solved anew (Cholesky) every `order` samples.
 */
function leastSquares(order: number): LinearPredictor {
  const lags = order + 1
  const slots = order + 1
  /** [slots, lags] the lag products of the last samples, a ring. */
  const products = new Float64Array(slots * lags)
  const past = history(order)
  const weights = new Float64Array(order)
  const lower = new Float64Array(order * order)
  const solution = new Float64Array(order)
  let slot = 0
  let sinceSolve = 0

  function solve(): void {
    const ridge = products[slot * lags]! * RIDGE + RIDGE_SILENT
    for (let i = 0; i < order; i++) {
      for (let j = 0; j <= i; j++) {
        const then = slot - 1 - j
        const covariance = products[(then < 0 ? then + slots : then) * lags + i - j]!
        const rest = covariance - dot(lower, i * order, lower, j * order, j)
        if (j < i) lower[i * order + j] = rest / lower[j * order + j]!
        else if (rest + ridge > 0) lower[i * order + i] = Math.sqrt(rest + ridge)
        else return // not definite by rounding: the old weights serve until the next solve
      }
      const right = products[slot * lags + i + 1]! - dot(lower, i * order, solution, 0, i)
      solution[i] = right / lower[i * order + i]!
    }
    for (let i = order - 1; i >= 0; i--) {
      let rest = solution[i]!
      for (let k = i + 1; k < order; k++) rest -= lower[k * order + i]! * weights[k]!
      weights[i] = rest / lower[i * order + i]!
    }
  }

  return {
    predict: () => dot(weights, 0, past.values, past.start, order),
    update(value) {
      const from = slot * lags
      slot = slot + 1 === slots ? 0 : slot + 1
      const to = slot * lags
      const { values, start } = past
      products[to] = FORGET * products[from]! + value * value
      for (let d = 1; d < lags; d++) {
        products[to + d] = FORGET * products[from + d]! + value * values[start + d - 1]!
      }
      past.push(value)
      if (++sinceSolve >= order) {
        sinceSolve = 0
        solve()
      }
    },
  }
}

/** Step of the LMS filters, as a part of the step that would explain the last value fully. */
const STEP = { long: 0.1, short: 0.05 }
const SHORT_TAPS = 32
const POWER_FLOOR = 1e-7

function normalisedLms(taps: number): LinearPredictor {
  const step = taps > SHORT_TAPS ? STEP.long : STEP.short
  const past = history(taps)
  const weights = new Float64Array(taps)
  let power = 0
  let predicted = 0
  return {
    predict() {
      predicted = dot(weights, 0, past.values, past.start, taps)
      return predicted
    },
    update(value) {
      const { values, start } = past
      const scale = (step * (value - predicted)) / (power + POWER_FLOOR * taps)
      for (let k = 0; k < taps; k++) weights[k]! += scale * values[start + k]!
      const oldest = values[start + taps - 1]!
      power = Math.max(0, power + value * value - oldest * oldest)
      past.push(value)
    },
  }
}

/** The last `length` values, newest first, from `start` on in `values`; zeros before the first. */
function history(length: number) {
  const room = 4096
  const state = {
    values: new Float64Array(length + room),
    start: room,
    push(value: number) {
      if (state.start === 0) {
        state.values.copyWithin(room, 0, length)
        state.start = room
      }
      state.values[--state.start] = value
    },
  }
  return state
}

/** Four sums at once: one chain of additions would wait for itself. */
function dot(a: Float64Array, aStart: number, b: Float64Array, bStart: number, n: number): number {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  let i = 0
  for (; i + 3 < n; i += 4) {
    s0 += a[aStart + i]! * b[bStart + i]!
    s1 += a[aStart + i + 1]! * b[bStart + i + 1]!
    s2 += a[aStart + i + 2]! * b[bStart + i + 2]!
    s3 += a[aStart + i + 3]! * b[bStart + i + 3]!
  }
  for (; i < n; i++) s0 += a[aStart + i]! * b[bStart + i]!
  return s0 + s1 + (s2 + s3)
}
