import type { Recordable } from '../../base/tape.js'
import { dot } from '../dot.js'
import { history } from './history.js'

export interface Lms extends Recordable {
  predict(): number
  /** Takes the value that came. */
  update(value: number): void
}

const POWER_FLOOR = 1e-7

/**
 * A normalised LMS filter.
 *
 * @param step part of the step that would explain the last value fully
 */
export function normalisedLms(taps: number, step: number): Lms {
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
    record(tape) {
      past.record(tape)
      tape.array(weights)
      power = tape.number(power)
      predicted = tape.number(predicted)
    },
  }
}
