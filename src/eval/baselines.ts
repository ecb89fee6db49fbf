import type { Recording } from './evaluate.js'
import { adaptiveLinearBits, orderZeroBits, uniformBits } from './reference.js'
import { commonStart } from './targets.js'

/** Bits/sample, over the same recordings, of models that need no training. */
export interface Baselines {
  /** Every code is as likely as any other. */
  uniform: number
  /** Entropy of how often each code occurs in these very recordings. */
  orderZero: number
  /** Of an adaptive linear predictor that learns from each recording as it goes. */
  linearPredictor: number
  /** Of the same, over the targets on which contexts are compared. */
  commonLinearPredictor: number
}

/**
 * @param table [256] the value of each code
 * @param longestContext tells which targets are the common ones
 * @param onPiece told the name of each recording before it is scored
 */
export function baselines(
  recordings: readonly Recording[],
  table: Float32Array,
  longestContext: number,
  onPiece: (name: string) => void = () => {},
): Baselines {
  let [bits, samples, commonBits, commonSamples] = [0, 0, 0, 0]
  for (const recording of recordings) {
    onPiece(recording.name)
    const { perSample } = adaptiveLinearBits(recording.codes(), table)
    const start = commonStart(perSample.length, longestContext)
    const common = sum(perSample.subarray(start))
    bits += sum(perSample.subarray(0, start)) + common
    samples += perSample.length
    commonBits += common
    commonSamples += perSample.length - start
  }
  return {
    uniform: uniformBits(),
    orderZero: orderZeroBits(recordings.map((recording) => recording.codes())),
    linearPredictor: bits / samples,
    commonLinearPredictor: commonBits / commonSamples,
  }
}

function sum(values: Float32Array): number {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i]!
  return total
}
