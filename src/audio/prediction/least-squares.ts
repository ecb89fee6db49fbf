import type { Recordable } from '../../base/tape.js'
import { dot } from '../dot.js'
import { history } from './history.js'

export interface LeastSquaresOptions {
  /** Values that are weighed. */
  order: number
  /** Time constant of the exponential window, samples. */
  memory: number
  /** Samples between updates of the weights. */
  stepEvery: number
  /** Samples after which the normal equations are solved exactly; a multiple of `stepEvery`. */
  factorEvery: number
}

export interface LeastSquares extends Recordable {
  /** [order] of the newest value first. */
  readonly weights: Float64Array
  /** Takes the next value of the signal. */
  update(value: number): void
}

/** Ridge of the normal equations, relative to the power of the signal, and absolute for silence. */
const RIDGE = 1e-9
const RIDGE_SILENT = 1e-9
/** A signal that has grown by this factor in power has outgrown its old factorisation. */
const OUTGROWN = 1.5

/**
 * Linear prediction by least squares over an exponential window. The covariance of regressors i and j
 * is the lag product of distance |i - j| as it stood min(i, j) samples ago, so a sample costs
 * O(order). The normal equations are factored (Cholesky) now and then; in between, single steps of
 * steepest descent, preconditioned by the last factor, keep the weights up to date for O(order^2).
 */
export function leastSquares(options: LeastSquaresOptions): LeastSquares {
  const { order: n, memory, stepEvery, factorEvery } = options
  const forget = 1 - 1 / memory
  const lags = n + 1
  const slots = n + 1
  /** [slots, lags] the lag products of the last samples, a ring. */
  const products = new Float64Array(slots * lags)
  const past = history(n)
  const weights = new Float64Array(n)
  /** The factor; its diagonal holds reciprocals. */
  const lower = new Float64Array(n * n)
  const y = new Float64Array(n)
  const rest = new Float64Array(n)
  const step = new Float64Array(n)
  const image = new Float64Array(n)
  let slot = 0
  let samples = 0
  /** Of the last factorisation; none yet is outgrown by anything. */
  let factoredPower = 0
  let factoredAt = 0

  const rowOf = (back: number) => {
    const at = slot - 1 - back
    return (at < 0 ? at + slots : at) * lags
  }
  const ridge = () => products[slot * lags]! * RIDGE + RIDGE_SILENT

  /** Returns whether the covariance was definite; by rounding it may not be. */
  function factor(): boolean {
    const extra = ridge()
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) {
        const left = products[rowOf(j) + i - j]! - dot(lower, i * n, lower, j * n, j)
        if (j < i) lower[i * n + j] = left * lower[j * n + j]!
        else if (left + extra > 0) lower[i * n + i] = 1 / Math.sqrt(left + extra)
        else return false
      }
    }
    return true
  }

  /** into = (lower lower^T)^-1 right */
  function substitute(right: Float64Array, start: number, into: Float64Array): void {
    for (let i = 0; i < n; i++) {
      y[i] = (right[start + i]! - dot(lower, i * n, y, 0, i)) * lower[i * n + i]!
    }
    for (let i = n - 1; i >= 0; i--) {
      const value = y[i]! * lower[i * n + i]!
      into[i] = value
      for (let k = 0; k < i; k++) y[k]! -= lower[i * n + k]! * value
    }
  }

  /** into = covariance x */
  function multiply(x: Float64Array, into: Float64Array): void {
    const extra = ridge()
    into.fill(0)
    for (let j = 0; j < n; j++) {
      const row = rowOf(j)
      const xj = x[j]!
      let sum = (products[row]! + extra) * xj
      for (let d = 1; d < n - j; d++) {
        const product = products[row + d]!
        into[j + d]! += product * xj
        sum += product * x[j + d]!
      }
      into[j]! += sum
    }
  }

  function descend(): void {
    multiply(weights, image)
    for (let i = 0; i < n; i++) rest[i] = products[slot * lags + i + 1]! - image[i]!
    substitute(rest, 0, step)
    multiply(step, image)
    const curvature = dot(step, 0, image, 0, n)
    if (!(curvature > 0)) return
    const far = dot(step, 0, rest, 0, n) / curvature
    for (let i = 0; i < n; i++) weights[i]! += far * step[i]!
  }

  function learn(): void {
    const power = products[slot * lags]!
    const isStale = samples - factoredAt >= factorEvery || power > OUTGROWN * factoredPower
    if (!isStale) {
      descend()
      return
    }
    // where it fails the old weights serve until the next try, which has no factor to go by
    factoredPower = 0
    if (!factor()) return
    substitute(products, slot * lags + 1, weights)
    factoredPower = power
    factoredAt = samples
  }

  return {
    weights,
    update(value) {
      const from = slot * lags
      slot = slot + 1 === slots ? 0 : slot + 1
      const to = slot * lags
      const { values, start } = past
      products[to] = forget * products[from]! + value * value
      for (let d = 1; d < lags; d++) {
        products[to + d] = forget * products[from + d]! + value * values[start + d - 1]!
      }
      past.push(value)
      if (++samples % stepEvery === 0) learn()
    },
    record(tape) {
      for (const array of [products, weights, lower]) tape.array(array)
      past.record(tape)
      slot = tape.number(slot)
      samples = tape.number(samples)
      factoredPower = tape.number(factoredPower)
      factoredAt = tape.number(factoredAt)
    },
  }
}
