import { cellEdges, cellWidths, type LinearPredictor } from '../audio/index.js'
import { UsageError } from '../base/errors.js'
import { levelModel } from './levels.js'

/** Scores that need no training: what a model's bits/sample has to be seen beside. */

const LEVELS = 256

/** Bits/sample of a model that knows nothing: every level is as likely as any other. */
export function uniformBits(levels = LEVELS): number {
  return Math.log2(levels)
}

/**
 * Bits/sample of a model that knows how often each level occurs, and nothing of what came before.
 *
 * Without `trainCounts` the frequencies are those of the pieces themselves: their order-0 entropy,
 * which no order-0 model can beat. With `trainCounts` they are those of the training set, where each
 * level counts half a sample more than was seen, so that none is impossible.
 *
 * @param codes pieces of codes in [0, 255], of any length each
 * @param trainCounts [256] how often each code occurs in the training set
 * @throws UsageError when there is no code at all, or `trainCounts` is not [256]
 */
export function orderZeroBits(
  codes: readonly Uint8Array[],
  trainCounts?: ArrayLike<number>,
): number {
  const counts = codeCounts(codes)
  const total = sum(counts)
  if (total === 0) throw new UsageError({ fact: 'there are no codes to score' })
  if (trainCounts !== undefined && trainCounts.length !== LEVELS) {
    const got = `[${trainCounts.length}]`
    throw new UsageError({ fact: '`trainCounts` has a wrong size', expected: `[${LEVELS}]`, got })
  }
  const model = trainCounts === undefined ? counts : Float64Array.from(trainCounts, (n) => n + 0.5)
  const modelTotal = sum(model)
  let bits = 0
  for (let code = 0; code < LEVELS; code++) {
    const n = counts[code]!
    if (n > 0) bits -= n * Math.log2(model[code]! / modelTotal)
  }
  return bits / total
}

/** [256] how often each code occurs. */
export function codeCounts(codes: readonly Uint8Array[]): Float64Array {
  const counts = new Float64Array(LEVELS)
  for (const piece of codes) {
    for (let i = 0; i < piece.length; i++) counts[piece[i]!]!++
  }
  return counts
}

export interface LinearBits {
  /** Mean bits/sample. */
  bits: number
  /** [n] bits of each sample, for averages over some of the targets. */
  perSample: Float32Array
}

/**
 * Bits/sample of an adaptive linear predictor, as in lossless audio coders: it learns from the past
 * of this very piece and gives the next code a proper probability, so it could code the file.
 *
 * @param codes [n] codes in [0, 255] of one piece
 * @param table [256] the value of each code in [-1, 1], rising: prediction is linear in these
 * @param predictor one that has seen nothing yet
 * @throws UsageError when there is no code, or `table` makes no sense
 */
export function linearBits(
  codes: Uint8Array,
  table: Float32Array,
  predictor: LinearPredictor,
): LinearBits {
  if (codes.length === 0) throw new UsageError({ fact: 'there are no codes to score' })
  const model = linearModel(table, predictor)
  const perSample = new Float32Array(codes.length)
  let bits = 0
  for (let i = 0; i < codes.length; i++) {
    const b = -Math.log2(model.update(codes[i]!))
    perSample[i] = b
    bits += b
  }
  return { bits: bits / codes.length, perSample }
}

/** The model behind `linearBits`, sample by sample. */
export interface LinearModel {
  /** Probability that the next code is `code`, above 0; the 256 of them sum to 1. */
  probability(code: number): number
  /** Takes the next code, and returns the probability that it had. */
  update(code: number): number
}

/** @throws UsageError when `table` makes no sense */
export function linearModel(table: Float32Array, predictor: LinearPredictor): LinearModel {
  if (table.length !== LEVELS || table.some((value, i) => i > 0 && !(value > table[i - 1]!))) {
    throw new UsageError({ fact: '`table` is not 256 rising values' })
  }
  const widths = cellWidths(cellEdges(table))
  const levels = levelModel(table)
  levels.expect(predictor.predict())
  return {
    probability: levels.probability,
    update(code) {
      const p = levels.update(code)
      predictor.update(table[code]!, widths[code]!)
      levels.expect(predictor.predict())
      return p
    },
  }
}

function sum(values: Float64Array): number {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i]!
  return total
}
