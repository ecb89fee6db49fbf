/**
 * The same over a cache of int8: queries and weights become int16, sums are exact in int32. Scales
 * of the cache's dims multiply the queries and the results, so that rows are read as they are.
 */
import { newestCount, newestRows, other } from './cache'
import { softmaxParts } from './elementwise'
import { integerSums4, most4 } from './math'
import { quantiseDense } from './quantise'

/** Tokens whose rows stay in the nearest cache while all heads read them. */
const TILE: u32 = 64

/** Scores of two heads; the factors bring sums back to numbers. */
function scores(
  rows: usize,
  rowBytes: usize,
  count: u32,
  padded: u32,
  q: usize,
  r: usize,
  factor: f32,
  otherFactor: f32,
  bias: usize,
  otherBias: usize,
  out: usize,
  otherOut: usize,
): void {
  for (let s: u32 = 0; s < count; s += 4) {
    const k0 = rows
    const k1 = k0 + rowBytes
    const k2 = k1 + rowBytes
    const k3 = k2 + rowBytes
    let a0 = i32x4.splat(0)
    let a1 = i32x4.splat(0)
    let a2 = i32x4.splat(0)
    let a3 = i32x4.splat(0)
    let b0 = i32x4.splat(0)
    let b1 = i32x4.splat(0)
    let b2 = i32x4.splat(0)
    let b3 = i32x4.splat(0)
    for (let i: usize = 0; i < padded; i += 8) {
      const u = v128.load(q + (i << 1))
      const v = v128.load(r + (i << 1))
      let k = v128.load8x8_s(k0 + i)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(u, k))
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, k))
      k = v128.load8x8_s(k1 + i)
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(u, k))
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, k))
      k = v128.load8x8_s(k2 + i)
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(u, k))
      b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, k))
      k = v128.load8x8_s(k3 + i)
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(u, k))
      b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, k))
    }
    const at = (<usize>s) << 2
    const a = f32x4.convert_i32x4_s(integerSums4(a0, a1, a2, a3))
    const b = f32x4.convert_i32x4_s(integerSums4(b0, b1, b2, b3))
    const x = f32x4.add(f32x4.mul(a, f32x4.splat(factor)), v128.load(bias + at))
    const y = f32x4.add(f32x4.mul(b, f32x4.splat(otherFactor)), v128.load(otherBias + at))
    v128.store(out + at, x)
    v128.store(otherOut + at, y)
    rows = k3 + rowBytes
  }
}

/** Adds values under int16 weights of two heads, two tokens and 16 dims at a time. */
function mix(
  rows: usize,
  rowBytes: usize,
  count: u32,
  padded: u32,
  p: usize,
  r: usize,
  out: usize,
  otherOut: usize,
): void {
  const end = p + ((<usize>((count + 1) >> 1)) << 2)
  const other = r - p
  for (let i: usize = 0; i < padded; i += 16) {
    let a0 = v128.load(out + (i << 2))
    let a1 = v128.load(out + (i << 2), 16)
    let a2 = v128.load(out + (i << 2), 32)
    let a3 = v128.load(out + (i << 2), 48)
    let b0 = v128.load(otherOut + (i << 2))
    let b1 = v128.load(otherOut + (i << 2), 16)
    let b2 = v128.load(otherOut + (i << 2), 32)
    let b3 = v128.load(otherOut + (i << 2), 48)
    let row = rows + i
    for (let at = p; at < end; at += 4) {
      const u = v128.load32_splat(at)
      const v = v128.load32_splat(at + other)
      const next = row + rowBytes
      let m = v128.load8x8_s(row)
      let n = v128.load8x8_s(next)
      let x = i16x8.shuffle(m, n, 0, 8, 1, 9, 2, 10, 3, 11)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(u, x))
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, x))
      x = i16x8.shuffle(m, n, 4, 12, 5, 13, 6, 14, 7, 15)
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(u, x))
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, x))
      m = v128.load8x8_s(row, 8)
      n = v128.load8x8_s(next, 8)
      x = i16x8.shuffle(m, n, 0, 8, 1, 9, 2, 10, 3, 11)
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(u, x))
      b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, x))
      x = i16x8.shuffle(m, n, 4, 12, 5, 13, 6, 14, 7, 15)
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(u, x))
      b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, x))
      row = next + rowBytes
    }
    const to = i << 2
    v128.store(out + to, a0)
    v128.store(out + to, a1, 16)
    v128.store(out + to, a2, 32)
    v128.store(out + to, a3, 48)
    v128.store(otherOut + to, b0)
    v128.store(otherOut + to, b1, 16)
    v128.store(otherOut + to, b2, 32)
    v128.store(otherOut + to, b3, 48)
  }
}

/** Query of a head times the scales of its dims, to int16; what brings sums back. */
function prepare(q: usize, scales: usize, width: u32, padded: u32, aside: usize, to: usize): f32 {
  let most = f32x4.splat(1e-20)
  let i: u32 = 0
  for (; i + 4 <= width; i += 4) {
    const at = <usize>i << 2
    const v = f32x4.mul(v128.load(q + at), v128.load(scales + at))
    v128.store(aside + at, v)
    most = f32x4.pmax(most, f32x4.abs(v))
  }
  for (; i < padded; i++) {
    const at = <usize>i << 2
    const v: f32 = i < width ? load<f32>(q + at) * load<f32>(scales + at) : 0
    store<f32>(aside + at, v)
    most = f32x4.pmax(most, f32x4.splat(abs<f32>(v)))
  }
  const largest = most4(most)
  const limit = min<i32>(32767, i32.MAX_VALUE / 127 / padded)
  const factor = <f32>limit / largest
  quantiseDense(aside, padded, factor, limit, to)
  return <f32>1 / factor
}

/** Weights in (0, 1] to int16 in place, as large as sums in int32 allow; what brings sums back. */
function shrink(p: usize, count: u32, total: f32): f32 {
  const factor = min<f32>(32767, <f32>16e6 / total)
  quantiseDense(p, (count + 7) & ~7, factor, 32767, p)
  return <f32>1 / (factor * total)
}

function scaleOut(x: usize, scales: usize, factor: f32, n: u32, y: usize): void {
  const factors = f32x4.splat(factor)
  let i: u32 = 0
  for (; i + 4 <= n; i += 4) {
    const at = <usize>i << 2
    const v = f32x4.convert_i32x4_s(v128.load(x + at))
    v128.store(y + at, f32x4.mul(f32x4.mul(v, v128.load(scales + at)), factors))
  }
  for (; i < n; i++) {
    const at = <usize>i << 2
    store<f32>(y + at, <f32>load<i32>(x + at) * load<f32>(scales + at) * factor)
  }
}

/**
 * As `attendF32`, with scales [groups, padded] of the dims of keys and values.
 *
 * @param scratch (groups heads) (2 padded + padWindow) numbers
 */
export function attendInt8(
  keys: usize,
  values: usize,
  phaseBytes: u32,
  rowBytes: u32,
  window: u32,
  padWindow: u32,
  groups: u32,
  heads: u32,
  width: u32,
  padded: u32,
  q: usize,
  bias: usize,
  scratch: usize,
  y: usize,
  keyScales: usize,
  valueScales: usize,
): void {
  const tokens = newestCount(keys)
  const count = min<u32>(tokens, window)
  const slot = (tokens - 1) % window
  const headBytes = (<usize>padded) << 2
  const scoreBytes = (<usize>padWindow) << 2
  const all = <usize>groups * heads
  const queries = scratch
  const weights = queries + all * headBytes
  const mixed = weights + all * scoreBytes
  const biasStart = bias + ((<usize>(window - 1 - slot)) << 2)
  const keyRows = newestRows(keys, phaseBytes)
  const valueRows = newestRows(values, phaseBytes)
  const step = <usize>rowBytes

  for (let h: usize = 0; h < all; h++) {
    const to = mixed + h * headBytes
    const scales = keyScales + ((<usize>(<u32>h / heads) * padded) << 2)
    const factor = prepare(q + ((h * width) << 2), scales, width, padded, to, queries + h * headBytes)
    store<f32>(to, factor) // until the sums of the head come here
  }
  for (let first: u32 = 0; first < count; first += TILE) {
    const n = min<u32>(TILE, count - first)
    const at = <usize>first << 2
    for (let h: usize = 0; h < all; h += other(h, all, heads) - h + 1) {
      const o = other(h, all, heads)
      scores(
        keyRows + first * step + <usize>(<u32>h / heads) * padded, step, n, padded,
        queries + h * headBytes, queries + o * headBytes,
        load<f32>(mixed + h * headBytes), load<f32>(mixed + o * headBytes),
        biasStart + 2 * h * scoreBytes + at, biasStart + 2 * o * scoreBytes + at,
        weights + h * scoreBytes + at, weights + o * scoreBytes + at,
      )
    }
  }
  for (let h: usize = 0; h < all; h++) {
    const p = weights + h * scoreBytes
    store<f32>(queries + h * headBytes, shrink(p, count, softmaxParts(p, count)))
  }
  memory.fill(mixed, 0, all * headBytes)
  for (let first: u32 = 0; first < count; first += TILE) {
    const n = min<u32>(TILE, count - first)
    const at = <usize>first << 1 // weights are int16 by now
    for (let h: usize = 0; h < all; h += other(h, all, heads) - h + 1) {
      const o = other(h, all, heads)
      mix(
        valueRows + first * step + <usize>(<u32>h / heads) * padded, step, n, padded,
        weights + h * scoreBytes + at, weights + o * scoreBytes + at,
        mixed + h * headBytes, mixed + o * headBytes,
      )
    }
  }
  for (let h: usize = 0; h < all; h++) {
    const scales = valueScales + ((<usize>(<u32>h / heads) * padded) << 2)
    const back = load<f32>(queries + h * headBytes)
    scaleOut(mixed + h * headBytes, scales, back, width, y + ((h * width) << 2))
  }
}
