/**
 * Numbers of 16 bits (IEEE 754 binary16) by integers alone: no runtime in reach has them. This is the
 * scalar reference of assembly/half.ts, and what the host writes caches with.
 */

const floats = new Float32Array(1)
const words = new Int32Array(floats.buffer)

/** What is larger is bounded to it: a cache knows no infinity. */
export const LARGEST_HALF = 65504
/** The smallest number with all of its digits. */
const NORMAL = 2 ** -14
/** Added, it leaves float32 the digits that a half below `NORMAL` has. */
const COARSE = 0.5
const COARSE_WORD = 0x3f000000
const NOT_A_NUMBER = 0x7e00

/** The nearest half, halves to the even one, within +-65504. */
export function toHalf(x: number): number {
  floats[0] = x
  const sign = (words[0]! >>> 16) & 0x8000
  const size = Math.abs(floats[0]!)
  if (Number.isNaN(size)) return sign | NOT_A_NUMBER
  floats[0] = Math.min(size, LARGEST_HALF)
  if (size < NORMAL) {
    floats[0] += COARSE
    return sign | (words[0]! - COARSE_WORD)
  }
  const odd = (words[0]! >> 13) & 1
  return sign | ((words[0]! - 0x38000000 + 0xfff + odd) >> 13)
}

/** The number of a half, exactly. */
export function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 31
  const digits = half & 0x3ff
  if (exponent === 31) return digits === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  if (exponent === 0) return sign * digits * 2 ** -24
  return sign * (1024 + digits) * 2 ** (exponent - 25)
}
