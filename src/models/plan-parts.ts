/** Layers that step plans of several models have, with the weights of their graphs. */
import type { PlanBuilder } from '../nn/step-plan.js'
import type { Arrays } from './model.js'

/** What the functions below write to and read from. */
export interface PlanParts {
  readonly b: PlanBuilder
  readonly p: Arrays
}

/** Weights `${name}.w` and `.b` of a causal convolution, newest tap first; a bias is 0 if there is none. */
export function convolution(
  { b, p }: PlanParts,
  name: string,
  [outputs, channels, taps]: readonly [number, number, number],
): string[] {
  const from = p[`${name}.w`]! // [outputs, channels, taps], oldest tap first
  const w = new Float32Array(from.length)
  for (let o = 0; o < outputs; o++) {
    for (let c = 0; c < channels; c++) {
      for (let k = 0; k < taps; k++) {
        w[(o * taps + k) * channels + c] = from[(o * channels + c) * taps + taps - 1 - k]!
      }
    }
  }
  return [
    b.weight(`${name}.w`, [outputs, taps, channels], w),
    b.weight(`${name}.b`, [outputs], p[`${name}.b`] ?? new Float32Array(outputs)),
  ]
}

/** Weights of a convolution of one tap. */
export function pointwise(
  { b, p }: PlanParts,
  name: string,
  outputs: number,
  inputs: number,
): string[] {
  return [
    b.weight(`${name}.w`, [outputs, inputs], p[`${name}.w`]!),
    b.weight(`${name}.b`, [outputs], p[`${name}.b`] ?? new Float32Array(outputs)),
  ]
}

export interface GatedStack {
  /** Prefix of the layers' names. */
  name: string
  channels: number
  taps: number
  dilations: readonly number[]
  /** Vector of all gates side by side, [layers channels]. */
  all: string
}

/** A stack of gated layers (src/nn/gated.ts) over the residual stream `h`, whose gates go to `all`. */
export function gatedStack(making: PlanParts, h: string, stack: GatedStack): void {
  const { b } = making
  const { channels, taps, dilations, all } = stack
  for (const [i, dilation] of dilations.entries()) {
    const name = `${stack.name}.${i}`
    const ring = b.ring(h, (taps - 1) * dilation + 1)
    const gates = b.vector(`${name}.gate`, 2 * channels)
    const w = convolution(making, gates, [2 * channels, channels, taps])
    b.add('convolve', [ring], gates, w, { dilation })
    const gated = b.vector(`${name}.gated`, channels, { of: all, at: i * channels })
    b.add('gate', [gates], gated)
    if (i === dilations.length - 1) break
    const residual = b.vector(`${name}.residual`, channels)
    b.add('affine', [gated], residual, pointwise(making, residual, channels, channels))
    h = b.add('add', [h, residual], b.vector(`${name}.h`, channels))
  }
}

/** [rows, columns] to [columns, rows]. */
export function transposed(w: Float32Array, rows: number, columns: number): Float32Array {
  const y = new Float32Array(w.length)
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) y[c * rows + r] = w[r * columns + c]!
  }
  return y
}

/** x y + plus in float64: x [rows, inner], y and plus [inner or rows, columns]. */
export function product(
  x: Float32Array,
  y: Float32Array,
  [rows, inner, columns]: readonly [number, number, number],
  plus?: Float32Array,
): Float32Array {
  const z = new Float64Array(rows * columns)
  if (plus) z.set(plus)
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < inner; i++) {
      const factor = x[r * inner + i]!
      for (let c = 0; c < columns; c++) z[r * columns + c]! += factor * y[i * columns + c]!
    }
  }
  return Float32Array.from(z)
}
