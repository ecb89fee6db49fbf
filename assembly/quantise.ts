/**
 * Numbers to int16 by a fixed factor, bounded to +-limit. Dense: one after the other. As a list: only
 * what is not zero, [count u32, 12 bytes, values int16 x capacity, indices uint16 x capacity]; behind
 * its last value a list has a zero, so that it can be read in pairs. Capacities leave room for
 * 8 more places, because lists are written 8 at a time.
 */
import { LIST_HEADER } from '../src/stream/opcodes'

/** For every mask of eight lanes, the bytes that bring its lanes to the front. */
const COMPACT = memory.data(256 * 16, 16)

for (let mask = 0; mask < 256; mask++) {
  let to = COMPACT + (<usize>mask << 4)
  memory.fill(to, 0xff, 16) // out of range: zeros
  for (let lane = 0; lane < 8; lane++) {
    if (!((mask >> lane) & 1)) continue
    store<u8>(to, <u8>(2 * lane))
    store<u8>(to, <u8>(2 * lane + 1), 1)
    to += 2
  }
}

@inline
function integers(x: usize, factor: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), factor)))
}

/** Eight numbers to int16. */
@inline
export function eight(x: usize, factor: v128, limit: v128): v128 {
  const q = i16x8.narrow_i32x4_s(integers(x, factor), integers(x + 16, factor))
  return i16x8.max_s(i16x8.min_s(q, limit), i16x8.neg(limit))
}

/** One number, as `eight` does it. */
@inline
function one(x: usize, factor: f32, limit: i32): i32 {
  const q = <i32>nearest<f32>(max<f32>(min<f32>(load<f32>(x) * factor, 32767), -32767))
  return max<i32>(min<i32>(q, limit), -limit)
}

/** @param y int16 [n], and a zero more if n is odd */
export function quantiseDense(x: usize, n: u32, factor: f32, limit: i32, y: usize): void {
  const factors = f32x4.splat(factor)
  const limits = i16x8.splat(<i16>limit)
  let i: u32 = 0
  for (; i + 8 <= n; i += 8) {
    v128.store(y, eight(x, factors, limits))
    x += 32
    y += 16
  }
  for (; i < n; i++) {
    store<i16>(y, <i16>one(x, factor, limit))
    x += 4
    y += 2
  }
  if (n & 1) store<i16>(y, 0)
}

/** @param y a list of `capacity` places */
export function quantiseSparse(
  x: usize,
  n: u32,
  factor: f32,
  limit: i32,
  y: usize,
  capacity: u32,
): void {
  const factors = f32x4.splat(factor)
  const limits = i16x8.splat(<i16>limit)
  const toIndex = <usize>capacity << 1
  let to = y + LIST_HEADER
  let at = i16x8(0, 1, 2, 3, 4, 5, 6, 7)
  let i: u32 = 0
  for (; i + 8 <= n; i += 8) {
    const q = eight(x, factors, limits)
    const mask = i16x8.bitmask(i16x8.ne(q, i16x8.splat(0)))
    const order = v128.load(COMPACT + (<usize>mask << 4))
    v128.store(to, i8x16.swizzle(q, order))
    v128.store(to + toIndex, i8x16.swizzle(at, order))
    to += <usize>popcnt<i32>(mask) << 1
    at = i16x8.add(at, i16x8.splat(8))
    x += 32
  }
  for (; i < n; i++) {
    const q = one(x, factor, limit)
    store<i16>(to, <i16>q)
    store<u16>(to + toIndex, <u16>i)
    if (q != 0) to += 2
    x += 4
  }
  endList(y, to, toIndex)
}

/** Writes how long a list is and the zero behind it. */
@inline
export function endList(list: usize, to: usize, toIndex: usize): void {
  store<i16>(to, 0)
  store<u16>(to + toIndex, 0)
  store<u32>(list, <u32>((to - list - LIST_HEADER) >> 1))
}
