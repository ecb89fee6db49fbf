import type { Recordable } from '../../base/tape.js'
import { dot } from '../dot.js'
import { burg } from './burg.js'
import { history } from './history.js'
import { leastSquares } from './least-squares.js'
import { normalisedLms } from './lms.js'
import { mix } from './mix.js'
import { roundingFilter, roundingVariance } from './rounding.js'

/** Adaptive linear prediction, as in lossless audio coders: all that it knows comes from the past. */
export interface LinearPredictor extends Recordable {
  /** The expected next value. */
  predict(): number
  /**
   * Takes the value that came.
   * @param cell width of the interval that was rounded to this value
   */
  update(value: number, cell: number): void
}

const bounded = (x: number, most: number) => Math.min(Math.max(x, -most), most)

/** Least squares over about the last 1000 samples, solved anew every `order` samples. */
export function plainPredictor(order: number): LinearPredictor {
  const every = { stepEvery: order, factorEvery: order }
  const fit = leastSquares({ order, memory: 1000, ...every })
  const past = history(order)
  let peak = 0
  return {
    // weights from few samples can be wild
    predict: () => bounded(dot(fit.weights, 0, past.values, past.start, order), peak),
    update(value) {
      peak = Math.max(peak, Math.abs(value))
      fit.update(value)
      past.push(value)
    },
    record(tape) {
      fit.record(tape)
      past.record(tape)
      peak = tape.number(peak)
    },
  }
}

const ORDER = 160
const FIT = { order: ORDER, memory: 2000, stepEvery: 64, factorEvery: 1024 }
/** Taps and step of each filter. */
const FILTERS = [
  [512, 0.1],
  [32, 0.1],
] as const

/** Newest samples whose spectrum a held predictor keeps. */
const HELD = 4000

/** Stages of the strong predictor: least squares, each filter, and all of them weighed. */
export const STAGES = FILTERS.length + 2

/**
 * The strongest linear predictor that we know for rounded samples:
 *
 *   1. least squares over the last 160 values,
 *   2. LMS filters of 512 and of 32 taps, each over what was left before it,
 *   3. a small least squares that weighs the three.
 *
 * None of them sees rounded values. A mu-law cell is 4% of its value wide, more than what a piano's
 * decaying partials leave unexplained, so each value is first combined with what was expected of it
 * (`roundingFilter`); that is worth more than everything else here. About 5 microseconds a sample.
 *
 * It is made for signals that others make. One that is drawn from its own predictions it follows
 * wherever they lead: poles outside the unit circle let a partial grow, and errors that are followed
 * let the noise grow. Held, it predicts by stable weights alone, and nothing adapts.
 */
export function strongPredictor(): LinearPredictor & {
  /** [STAGES] what `predict` expected after each stage; the last is its result. */
  readonly stages: Float64Array
  /** Expected squared error of the prediction, without the rounding to come. */
  readonly variance: number
  /** Stands still from here on: keeps the spectrum of the last quarter of a second, and the size of its errors. */
  hold(): void
} {
  const fit = leastSquares(FIT)
  const filters = FILTERS.map(([taps, step]) => normalisedLms(taps, step))
  const count = 1 + filters.length
  const parts = new Float64Array(count)
  const stages = new Float64Array(STAGES)
  const weigh = mix(count)
  /** The last values as they may have been before rounding. */
  const past = history(ORDER)
  const rounding = roundingFilter(past)
  /** The last values as they came. */
  const heard = history(HELD)
  const held = new Float64Array(ORDER)
  let isHeld = false
  let variance = 0
  let peak = 0
  return {
    stages,
    get variance() {
      return variance
    },
    predict() {
      if (isHeld) {
        stages.fill(bounded(dot(held, 0, past.values, past.start, ORDER), peak))
        variance = rounding.expect(held)
        return stages[count]!
      }
      let sum = 0
      for (let i = 0; i < count; i++) {
        const part =
          i === 0 ? dot(fit.weights, 0, past.values, past.start, ORDER) : filters[i - 1]!.predict()
        // weights from few samples can be wild, and the filters would take long to forget it
        const bound = bounded(sum + part, peak)
        parts[i] = bound - sum
        sum = stages[i] = bound
      }
      stages[count] = bounded(weigh.predict(parts), peak)
      variance = rounding.expect(fit.weights)
      return stages[count]
    },
    update(value, cell) {
      // before the first sound there is nothing to learn: any silence in front is the same
      if (peak === 0 && value === 0) return
      peak = Math.max(peak, Math.abs(value))
      rounding.update(value, cell, stages[count]!)
      if (isHeld) return
      heard.push(value)
      const estimate = past.values[past.start]!
      fit.update(estimate)
      let left = estimate - parts[0]!
      for (let i = 1; i < count; i++) {
        filters[i - 1]!.update(left)
        left -= parts[i]!
      }
      weigh.update(parts, value, 1 / (variance + roundingVariance(cell)))
    },
    hold() {
      // of rounded values: their noise keeps the poles off the circle, and what a network adds within bounds
      held.set(burg(heard.values.subarray(heard.start, heard.start + HELD), ORDER))
      rounding.hold()
      isHeld = true
    },
    record(tape) {
      for (const part of [fit, ...filters, weigh, past, heard, rounding]) part.record(tape)
      for (const array of [parts, stages, held]) tape.array(array)
      isHeld = tape.number(Number(isHeld)) === 1
      variance = tape.number(variance)
      peak = tape.number(peak)
    },
  }
}
