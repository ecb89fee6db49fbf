/** 2^-n at n. */
const POWERS = Float64Array.from({ length: 64 }, (_, n) => 1 / 2 ** n)

/** ln 2 in two parts, the first short enough for exact products (as in fdlibm). */
const LN2_HIGH = 0.6931471803691238
const LN2_LOW = 1.9082149292705877e-10

/** 1 / k! */
const C2 = 1 / 2
const C3 = 1 / 6
const C4 = 1 / 24
const C5 = 1 / 120
const C6 = 1 / 720
const C7 = 1 / 5040
const C8 = 1 / 40320
const C9 = 1 / 362880
const C10 = 1 / 3628800
const C11 = 1 / 39916800
const C12 = 1 / 479001600
const C13 = 1 / 6227020800

/** What `expDown` takes for nothing: less than a double tells beside 1. */
export const NOTHING = -40

/**
 * e^x for x <= 0, and 0 below `NOTHING`, within 4e-16 relatively. By multiplications and additions
 * alone: the same bits in every runtime, where `Math.exp` is as each of them likes.
 */
export function expDown(x: number): number {
  if (!(x >= NOTHING)) return 0
  const n = Math.floor(x * Math.LOG2E + 0.5)
  const r = x - n * LN2_HIGH - n * LN2_LOW // within ln(2) / 2 of 0
  const r2 = r * r
  const r4 = r2 * r2
  // Taylor's series, in parts that do not wait for each other (Estrin)
  const low = 1 + r + (C2 + C3 * r) * r2
  const middle = C4 + C5 * r + (C6 + C7 * r) * r2
  const high = C8 + C9 * r + (C10 + C11 * r) * r2 + (C12 + C13 * r) * r4
  return (low + middle * r4 + high * (r4 * r4)) * POWERS[-n]!
}
