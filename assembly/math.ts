/** Functions of four numbers at once, each within a few units in the last place of float32. */

/** a * b + c, in one rounding where the relaxed instructions are there. */
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c)
  return f32x4.add(f32x4.mul(a, b), c)
}

@inline
function horner(x: v128, p: v128, coefficient: f32): v128 {
  return f32x4.add(f32x4.mul(p, x), f32x4.splat(coefficient))
}

/** Added to a number it leaves its nearest integer in the lowest bits. */
const COARSE: f32 = 12582912 // 1.5 2^23

/** Constants of `exp4`, four times each: a load is quicker than the four moves that make one. */
const EXP = memory.data<f32>([
  88, 88, 88, 88,
  -87, -87, -87, -87,
  1.4426950408889634, 1.4426950408889634, 1.4426950408889634, 1.4426950408889634,
  12582912, 12582912, 12582912, 12582912,
  0.693359375, 0.693359375, 0.693359375, 0.693359375,
  -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, -2.12194440e-4,
  1.9875691500e-4, 1.9875691500e-4, 1.9875691500e-4, 1.9875691500e-4,
  1.3981999507e-3, 1.3981999507e-3, 1.3981999507e-3, 1.3981999507e-3,
  8.3334519073e-3, 8.3334519073e-3, 8.3334519073e-3, 8.3334519073e-3,
  4.1665795894e-2, 4.1665795894e-2, 4.1665795894e-2, 4.1665795894e-2,
  1.6666665459e-1, 1.6666665459e-1, 1.6666665459e-1, 1.6666665459e-1,
  5.0000001201e-1, 5.0000001201e-1, 5.0000001201e-1, 5.0000001201e-1,
  1, 1, 1, 1,
])

@inline
function constant(i: usize): v128 {
  return v128.load(EXP + (i << 4))
}

/** e^x, for x in [-87, 88]; bounded outside. Cody and Waite's reduction, polynomial as in Cephes. */
@inline
export function exp4(x: v128): v128 {
  // pmin and pmax are one instruction each, and let NaN through in this order
  const bounded = f32x4.pmax(f32x4.pmin(x, constant(0)), constant(1))
  const coarse = f32x4.add(f32x4.mul(bounded, constant(2)), constant(3))
  const n = f32x4.sub(coarse, constant(3))
  const r = f32x4.sub(f32x4.sub(bounded, f32x4.mul(n, constant(4))), f32x4.mul(n, constant(5)))
  let p = constant(6)
  p = f32x4.add(f32x4.mul(p, r), constant(7))
  p = f32x4.add(f32x4.mul(p, r), constant(8))
  p = f32x4.add(f32x4.mul(p, r), constant(9))
  p = f32x4.add(f32x4.mul(p, r), constant(10))
  p = f32x4.add(f32x4.mul(p, r), constant(11))
  const e = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r), constant(12))
  // times 2^n: n goes into the exponent
  return i32x4.add(e, i32x4.shl(coarse, 23))
}

/** Natural logarithm of positive normal numbers (as in Cephes). */
export function log4(x: v128): v128 {
  const bits = i32x4.sub(x, i32x4.splat(0x3f3504f3)) // mantissas from sqrt(1/2) to sqrt(2)
  const n = f32x4.convert_i32x4_s(i32x4.shr_s(bits, 23))
  const mantissa = i32x4.add(v128.and(bits, i32x4.splat(0x007fffff)), i32x4.splat(0x3f3504f3))
  const f = f32x4.sub(mantissa, f32x4.splat(1))
  const z = f32x4.mul(f, f)
  let p = f32x4.splat(7.0376836292e-2)
  p = horner(f, p, -1.1514610310e-1)
  p = horner(f, p, 1.1676998740e-1)
  p = horner(f, p, -1.2420140846e-1)
  p = horner(f, p, 1.4249322787e-1)
  p = horner(f, p, -1.6668057665e-1)
  p = horner(f, p, 2.0000714765e-1)
  p = horner(f, p, -2.4999993993e-1)
  p = horner(f, p, 3.3333331174e-1)
  let y = f32x4.mul(f32x4.mul(p, f), z)
  y = f32x4.add(y, f32x4.mul(n, f32x4.splat(-2.12194440e-4)))
  y = f32x4.sub(y, f32x4.mul(z, f32x4.splat(0.5)))
  return f32x4.add(f32x4.add(f, y), f32x4.mul(n, f32x4.splat(0.693359375)))
}

@inline
export function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1)
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))))
}

/** Near 0 a polynomial (as in Cephes): the quotient would lose what is small. */
@inline
export function tanh4(x: v128): v128 {
  const one = f32x4.splat(1)
  const e = exp4(f32x4.add(x, x))
  const far = f32x4.sub(one, f32x4.div(f32x4.splat(2), f32x4.add(e, one)))
  const z = f32x4.mul(x, x)
  let p = f32x4.splat(-5.70498872745e-3)
  p = horner(z, p, 2.06390887954e-2)
  p = horner(z, p, -5.37397155531e-2)
  p = horner(z, p, 1.33314422036e-1)
  p = horner(z, p, -3.33332819422e-1)
  const near = f32x4.add(f32x4.mul(f32x4.mul(p, z), x), x)
  return v128.bitselect(near, far, f32x4.lt(f32x4.abs(x), f32x4.splat(0.625)))
}

/** The error function to 2e-7 (Abramowitz and Stegun 1964, 7.1.26). */
@inline
export function erf4(x: v128): v128 {
  const one = f32x4.splat(1)
  const size = f32x4.abs(x)
  const t = f32x4.div(one, f32x4.add(one, f32x4.mul(size, f32x4.splat(0.3275911))))
  let p = f32x4.splat(1.061405429)
  p = horner(t, p, -1.453152027)
  p = horner(t, p, 1.421413741)
  p = horner(t, p, -0.284496736)
  p = horner(t, p, 0.254829592)
  const tail = f32x4.mul(f32x4.mul(p, t), exp4(f32x4.neg(f32x4.mul(x, x))))
  const sign = v128.and(x, i32x4.splat(0x80000000))
  return v128.or(f32x4.sub(one, tail), sign)
}

/** Sum of the four. */
@inline
export function sum4(x: v128): f32 {
  const pairs = f32x4.add(x, i32x4.shuffle(x, x, 2, 3, 0, 1))
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1)
}

/** The largest of the four. */
@inline
export function most4(x: v128): f32 {
  const pairs = f32x4.pmax(x, i32x4.shuffle(x, x, 2, 3, 0, 1))
  return max<f32>(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1))
}

/** [sum of a, sum of b, sum of c, sum of d]. */
@inline
export function sums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(i32x4.shuffle(a, b, 0, 4, 1, 5), i32x4.shuffle(a, b, 2, 6, 3, 7)) // a b a b
  const cd = f32x4.add(i32x4.shuffle(c, d, 0, 4, 1, 5), i32x4.shuffle(c, d, 2, 6, 3, 7))
  return f32x4.add(i64x2.shuffle(ab, cd, 0, 2), i64x2.shuffle(ab, cd, 1, 3))
}

/** The same of integers. */
@inline
export function integerSums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(i32x4.shuffle(a, b, 0, 4, 1, 5), i32x4.shuffle(a, b, 2, 6, 3, 7))
  const cd = i32x4.add(i32x4.shuffle(c, d, 0, 4, 1, 5), i32x4.shuffle(c, d, 2, 6, 3, 7))
  return i32x4.add(i64x2.shuffle(ab, cd, 0, 2), i64x2.shuffle(ab, cd, 1, 3))
}
