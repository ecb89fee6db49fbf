import { plainPredictor, strongPredictor } from '../audio/index.js'
import type { Recording } from './evaluate.js'
import { linearBits, orderZeroBits, uniformBits } from './reference.js'
import { commonStart } from './targets.js'

const ORDER = 32

/** Bits/sample, over the same recordings, of models that need no training. */
export interface Baselines {
  /** Every code is as likely as any other. */
  uniform: number
  /** Entropy of how often each code occurs in these very recordings. */
  orderZero: number
  /** Of an adaptive linear predictor of order 32 that learns from each recording as it goes. */
  linearPredictor: number
  /** Of the same, over the targets on which contexts are compared. */
  commonLinearPredictor: number
  /** Of the strongest adaptive predictor, that of a model's forecast, alone. */
  strongPredictor: number
  commonStrongPredictor: number
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
  const plain = new Total(longestContext)
  const strong = new Total(longestContext)
  for (const recording of recordings) {
    onPiece(recording.name)
    const codes = recording.codes()
    plain.add(linearBits(codes, table, plainPredictor(ORDER)).perSample)
    strong.add(linearBits(codes, table, strongPredictor()).perSample)
  }
  return {
    uniform: uniformBits(),
    orderZero: orderZeroBits(recordings.map((recording) => recording.codes())),
    linearPredictor: plain.mean,
    commonLinearPredictor: plain.commonMean,
    strongPredictor: strong.mean,
    commonStrongPredictor: strong.commonMean,
  }
}

/** Bits of all targets, and of the common ones among them. */
class Total {
  #bits = 0
  #samples = 0
  #commonBits = 0
  #commonSamples = 0

  constructor(readonly longestContext: number) {}

  add(perSample: Float32Array): void {
    const start = commonStart(perSample.length, this.longestContext)
    const common = sum(perSample.subarray(start))
    this.#bits += sum(perSample.subarray(0, start)) + common
    this.#samples += perSample.length
    this.#commonBits += common
    this.#commonSamples += perSample.length - start
  }

  get mean(): number {
    return this.#bits / this.#samples
  }

  get commonMean(): number {
    return this.#commonBits / this.#commonSamples
  }
}

function sum(values: Float32Array): number {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i]!
  return total
}
