import type { Recordable } from '../../base/tape.js'
import { dot } from '../dot.js'

export interface Mix extends Recordable {
  predict(parts: Float64Array): number
  /** @param weight how much this sample counts, such as one over its expected squared error */
  update(parts: Float64Array, value: number, weight: number): void
}

/** Time constant of the exponential window, samples. */
const MEMORY = 4000
/** Samples between solutions. */
const SOLVE_EVERY = 8
const RIDGE = 1e-6

/** Weighted least squares of a few parts of a prediction; begins as their plain sum. */
export function mix(n: number): Mix {
  const forget = 1 - 1 / MEMORY
  const covariance = new Float64Array(n * n)
  const cross = new Float64Array(n)
  const weights = new Float64Array(n).fill(1)
  const lower = new Float64Array(n * n)
  const y = new Float64Array(n)
  let since = 0

  function solve(): void {
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) {
        const left = covariance[i * n + j]! - dot(lower, i * n, lower, j * n, j)
        lower[i * n + j] = left / lower[j * n + j]!
      }
      // a ridge towards 1, each part at its own size: where nothing is known it stays a sum
      const own = covariance[i * n + i]!
      const square = own * (1 + RIDGE) + RIDGE - dot(lower, i * n, lower, i * n, i)
      if (!(square > 0)) return
      lower[i * n + i] = Math.sqrt(square)
      const right = cross[i]! + own * RIDGE + RIDGE
      y[i] = (right - dot(lower, i * n, y, 0, i)) / lower[i * n + i]!
    }
    for (let i = n - 1; i >= 0; i--) {
      weights[i] = y[i]! / lower[i * n + i]!
      for (let k = 0; k < i; k++) y[k]! -= lower[i * n + k]! * weights[i]!
    }
  }

  return {
    predict: (parts) => dot(weights, 0, parts, 0, n),
    update(parts, value, weight) {
      for (let i = 0; i < n; i++) {
        const weighted = parts[i]! * weight
        for (let j = 0; j <= i; j++) {
          covariance[i * n + j] = forget * covariance[i * n + j]! + weighted * parts[j]!
        }
        cross[i] = forget * cross[i]! + weighted * value
      }
      if (++since < SOLVE_EVERY) return
      since = 0
      solve()
    },
    record(tape) {
      // the factor too: where no solution is found, it keeps what was computed before
      for (const array of [covariance, cross, weights, lower, y]) tape.array(array)
      since = tape.number(since)
    },
  }
}
