// by file: a sampler in a browser needs no decoders
import { cellEdges, cellOf, cellWidths } from '../audio/cells.js'
import { STAGES, strongPredictor } from '../audio/prediction/predictor.js'
import type { Recordable, Tape } from '../base/tape.js'

/**
 * What adaptive linear prediction says of the sample after each, as numbers for a network: where it
 * expects the sample, how wrong it has lately been, and how its stages disagree. Everything comes
 * from the past, whose memory fades within a second.
 *
 * A row is [mean, 1 / scale, features ...]: the mean in [-1, 1], the scale (the root mean square of
 * recent errors) in its unit, and features about 1 in size.
 */
export const FORECAST_WIDTH = 2 + 7 + STAGES - 1
/** The first of the features. */
export const FORECAST_FEATURES = 2

/** History before the first target that makes a forecast about as good as an endless one, samples. */
export const FORECAST_LEAD = 8000

/** Decay of the mean squared errors: about 10, 50 and 300 samples. */
const DECAYS = [0.1, 0.02, 0.003] as const
/** Features are bounded to this, either side of 0. */
const MOST = 3

/** Forecasts of one recording, from its first sample on; begins as after endless silence. */
export class Forecaster implements Recordable {
  readonly #table: Float32Array
  readonly #edges: Float64Array
  readonly #widths: Float64Array
  /** Well below the finest cell: no scale is smaller. */
  readonly #finest: number
  readonly #predictor = strongPredictor()
  /** Mean squared errors of the predictor. */
  readonly #squares = new Float64Array(DECAYS.length)
  #mean = 0
  #cell = 0
  #rounding = 0
  #logScale = 0
  /** Of the newest sample: its error in scales. */
  #surprise = 0
  #isHeld = false

  /** @param table [256] the value of each code */
  constructor(table: Float32Array) {
    this.#table = table
    this.#edges = cellEdges(table)
    this.#widths = cellWidths(this.#edges)
    this.#finest = this.#widths.reduce((least, width) => Math.min(least, width)) / 10
    this.#lookAhead()
  }

  /**
   * Takes the next codes [n].
   * @param rows [n, FORECAST_WIDTH] where forecasts of the sample after each go, if they are wanted
   */
  run(codes: ArrayLike<number>, rows?: Float32Array): void {
    for (let i = 0; i < codes.length; i++) {
      this.#take(codes[i]!)
      this.#lookAhead()
      if (rows) this.#describe(rows, i * FORECAST_WIDTH)
    }
  }

  /**
   * Stands still from here on, for a model that goes on with the recording: what follows the samples
   * that are drawn from it can grow without end, or die (docs/log.md). The spectrum of the last quarter
   * of a second is kept, and how wrong the forecast has lately been.
   */
  hold(): void {
    this.#predictor.hold()
    this.#isHeld = true
  }

  record(tape: Tape): void {
    this.#predictor.record(tape)
    tape.array(this.#squares)
    this.#mean = tape.number(this.#mean)
    this.#cell = tape.number(this.#cell)
    this.#rounding = tape.number(this.#rounding)
    this.#logScale = tape.number(this.#logScale)
    this.#surprise = tape.number(this.#surprise)
    this.#isHeld = tape.number(Number(this.#isHeld)) === 1
  }

  #take(code: number): void {
    const value = this.#table[code]!
    const error = value - this.#mean
    this.#surprise = error * Math.exp(-this.#logScale)
    for (let i = 0; i < DECAYS.length && !this.#isHeld; i++) {
      this.#squares[i]! += DECAYS[i]! * (error * error - this.#squares[i]!)
    }
    this.#predictor.update(value, this.#widths[code]!)
  }

  #lookAhead(): void {
    const [lowest, highest] = [this.#table[0]!, this.#table[this.#table.length - 1]!]
    this.#mean = Math.min(Math.max(this.#predictor.predict(), lowest), highest)
    this.#cell = cellOf(this.#edges, this.#mean)
    // a rounded value is off by the width of its cell / sqrt(12), whatever the predictor does
    this.#rounding = this.#widths[this.#cell]! ** 2 / 12
    this.#logScale = this.#logOf(this.#squares[1]!)
  }

  /** Logarithm of the root of a mean squared error, bounded below by a part of the rounding. */
  #logOf(square: number): number {
    return Math.log(square + this.#rounding / 10 + this.#finest * this.#finest) / 2
  }

  #describe(rows: Float32Array, at: number): void {
    const [mean, cell, log] = [this.#mean, this.#cell, this.#logScale]
    const inverse = Math.exp(-log)
    rows[at] = mean
    rows[at + 1] = inverse
    const position = cell + (mean - this.#table[cell]!) / this.#widths[cell]! // in codes
    rows[at + 2] = position / 128 - 1
    rows[at + 3] = bounded((log + 6) / 2)
    rows[at + 4] = bounded(this.#logOf(this.#squares[0]!) - log)
    rows[at + 5] = bounded(this.#logOf(this.#squares[2]!) - log)
    rows[at + 6] = bounded(this.#logOf(this.#rounding) - log)
    rows[at + 7] = bounded(this.#logOf(this.#predictor.variance) - log)
    rows[at + 8] = bounded(this.#surprise)
    const { stages } = this.#predictor
    for (let i = 0; i < STAGES - 1; i++) rows[at + 9 + i] = bounded((stages[i]! - mean) * inverse)
  }
}

const bounded = (x: number) => Math.min(Math.max(x, -MOST), MOST)
