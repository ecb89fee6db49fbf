/** Weights in the order in which the kernels read them: blocks of outputs (see assembly/matvec-*). */
import { BLOCK, SMALL_BLOCK } from './opcodes.js'

/** [first output, outputs, places] of every block. */
export function blocksOf(outputs: number): { first: number; places: number }[] {
  const blocks: { first: number; places: number }[] = []
  let first = 0
  for (; outputs - first >= BLOCK; first += BLOCK) blocks.push({ first, places: BLOCK })
  for (; first < outputs; first += SMALL_BLOCK) blocks.push({ first, places: SMALL_BLOCK })
  return blocks
}

export function paddedOutputs(outputs: number): number {
  return Math.ceil(outputs / SMALL_BLOCK) * SMALL_BLOCK
}

/** [outputs, inputs] to [blocks, inputs, places]; places without an output are zero. */
export function byInput(w: Float32Array, outputs: number, inputs: number): Float32Array {
  const y = new Float32Array(paddedOutputs(outputs) * inputs)
  let at = 0
  for (const { first, places } of blocksOf(outputs)) {
    for (let i = 0; i < inputs; i++) {
      for (let o = first; o < first + places; o++) {
        if (o < outputs) y[at] = w[o * inputs + i]!
        at++
      }
    }
  }
  return y
}

/**
 * [outputs, inputs] to words of two outputs, 256 b + (a + 128), in the order [blocks, inputs, words]; with
 * `together` = 2 in [blocks, pairs of inputs, words, 2]. The word j of its eight outputs is for j and j + 4.
 */
export function wordsByInput(
  w: Int8Array,
  outputs: number,
  inputs: number,
  together: 1 | 2 = 1,
): Int16Array {
  const steps = Math.ceil(inputs / together)
  const y = new Int16Array((paddedOutputs(outputs) / 2) * steps * together)
  const get = (o: number, i: number) => (o < outputs && i < inputs ? w[o * inputs + i]! : 0)
  let at = 0
  for (const { first, places } of blocksOf(outputs)) {
    for (let step = 0; step < steps; step++) {
      for (let word = 0; word < places / 2; word++) {
        const a = first + Math.floor(word / 4) * 8 + (word % 4)
        for (let i = step * together; i < (step + 1) * together; i++) {
          y[at++] = 256 * get(a + 4, i) + get(a, i) + 128
        }
      }
    }
  }
  return y
}

/** [channels, modes, 4] to [channels, fours of modes, 4, 4 modes]; what is padded stays silent. */
export function byFourModes(w: Float32Array, channels: number): Float32Array {
  const modes = w.length / channels / 4
  const fours = Math.ceil(modes / 4)
  const y = new Float32Array(channels * fours * 16)
  for (let c = 0; c < channels; c++) {
    for (let m = 0; m < modes; m++) {
      const four = (c * fours + Math.floor(m / 4)) * 16 + (m % 4)
      for (let k = 0; k < 4; k++) y[four + 4 * k] = w[(c * modes + m) * 4 + k]!
    }
  }
  return y
}

/** Padded by zeros to whole small blocks. */
export function paddedTo(v: Float32Array, outputs: number): Float32Array {
  const y = new Float32Array(paddedOutputs(outputs))
  y.set(v)
  return y
}

/** Weights as int8 with a scale per output. */
export interface Int8Weights {
  w: Int8Array
  /** w times this is the weight, [outputs]. */
  scales: Float32Array
  /** The largest sum of an output's |w|: what bounds the activations. */
  most: number
}

export function toInt8(w: Float32Array, outputs: number): Int8Weights {
  const inputs = w.length / outputs
  const q = new Int8Array(w.length)
  const scales = new Float32Array(outputs)
  let most = 1
  for (let o = 0; o < outputs; o++) {
    const row = w.subarray(o * inputs, (o + 1) * inputs)
    const largest = row.reduce((m, x) => Math.max(m, Math.abs(x)), 0)
    const scale = largest > 0 ? largest / 127 : 1
    let sum = 0
    for (let i = 0; i < inputs; i++) {
      const v = Math.round(row[i]! / scale)
      q[o * inputs + i] = v
      sum += Math.abs(v)
    }
    scales[o] = scale
    most = Math.max(most, sum)
  }
  return { w: q, scales, most }
}
