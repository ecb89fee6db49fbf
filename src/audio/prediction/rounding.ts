import type { Recordable } from '../../base/tape.js'
import { dot } from '../dot.js'
import type { History } from './history.js'

/** How many of the last values are still uncertain; older ones are taken as they are. */
const TRACKED = 4
/** Variance of rounding relative to cell^2 / 12: trusting a value less than theory says pays. */
const ROUNDING = 1.7
/** Decay of the mean squared error beyond rounding. */
const EXCESS_DECAY = 0.015
/** An error counts at most so many expected squares: one attack must not blind the filter. */
const MOST_SURPRISE = 25

export interface RoundingFilter extends Recordable {
  /**
   * Looks ahead: the expected squared error of the prediction, without the rounding to come.
   * @param weights of the linear prediction, newest value first
   */
  expect(weights: Float64Array): number
  /** Pushes the estimate of a rounded value onto the history and mends those before it. */
  update(value: number, cell: number, predicted: number): void
  /** From here on errors are expected to be as large as they have been, whatever comes. */
  hold(): void
}

/** The variance that rounding to a cell adds to an error. */
export function roundingVariance(cell: number): number {
  return (ROUNDING * cell * cell) / 12
}

/**
 * A Kalman filter of values before they were rounded. Its model: the next value is the prediction,
 * plus noise whose variance follows recent errors, and it is seen through the noise of rounding. Of
 * the errors of older values only those of the last few are followed.
 *
 * @param past the values that are weighed; the filter writes them, their owner records them
 */
export function roundingFilter(past: History): RoundingFilter {
  const n = TRACKED
  /** [n, n] covariance of the errors of the last n estimates. */
  const errors = new Float64Array(n * n)
  const ahead = new Float64Array(n)
  const gain = new Float64Array(n)
  let inherited = 0
  let excess = 0
  let prior = 0
  let isHeld = false
  return {
    expect(weights) {
      // what the errors of the regressors do to the prediction
      for (let i = 0; i < n; i++) ahead[i] = dot(errors, i * n, weights, 0, n)
      inherited = Math.min(Math.max(dot(weights, 0, ahead, 0, n), 0), 1)
      prior = inherited + Math.max(excess, 1e-12)
      return prior
    },
    update(value, cell, predicted) {
      const noise = roundingVariance(cell)
      const error = value - predicted
      const variance = prior + noise
      // one sample on: rows and columns move by one
      errors.copyWithin(n + 1, 0, n * n - n - 1)
      errors[0] = prior
      for (let i = 1; i < n; i++) errors[i] = errors[i * n] = ahead[i - 1]!
      past.push(predicted)
      const { values, start } = past
      for (let i = 0; i < n; i++) gain[i] = errors[i]! / variance
      for (let i = 0; i < n; i++) {
        values[start + i]! += gain[i]! * error
        const f = gain[i]! * variance
        for (let j = 0; j < n; j++) errors[i * n + j]! -= f * gain[j]!
      }
      values[start] = Math.min(Math.max(values[start]!, value - cell / 2), value + cell / 2)
      if (isHeld) return
      const square = Math.min(error * error, MOST_SURPRISE * variance)
      excess += EXCESS_DECAY * (Math.max(0, square - noise - inherited) - excess)
      excess = Math.min(excess, 1)
    },
    hold() {
      isHeld = true
    },
    record(tape) {
      tape.array(errors)
      tape.array(ahead)
      inherited = tape.number(inherited)
      excess = tape.number(excess)
      prior = tape.number(prior)
      isHeld = tape.number(Number(isHeld)) === 1
    },
  }
}
