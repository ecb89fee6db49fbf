/**
 * Two int8 in a word of 16 bits, 256 b + (a + 128). Products with the words as they are and with their
 * upper bytes sum up to 256 B + A + 128 sum(x) and to B. Sums may wrap on the way, as differences are
 * exact again. So nothing has to be widened: every word is shifted once.
 */

/** 128 sum(x) of int16 in pairs, in every lane. */
@inline
export function offsetOf(x: usize, end: usize): v128 {
  const ones = i16x8.splat(128)
  let sum = i32x4.splat(0)
  let p = x
  for (; p + 16 <= end; p += 16) sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.load(p), ones))
  for (; p < end; p += 4) sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.load32_zero(p), ones))
  sum = i32x4.add(sum, i8x16.shuffle(sum, sum, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7))
  return i32x4.add(sum, i8x16.shuffle(sum, sum, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11))
}

/** Words of two rows side by side: the first four of each. */
@inline
export function low(m: v128, n: v128): v128 {
  return i16x8.shuffle(m, n, 0, 8, 1, 9, 2, 10, 3, 11)
}

/** The last four. */
@inline
export function high(m: v128, n: v128): v128 {
  return i16x8.shuffle(m, n, 4, 12, 5, 13, 6, 14, 7, 15)
}
