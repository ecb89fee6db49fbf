/**
 * The same over a cache of int8: queries and weights become int16, sums are exact in int32. Scales
 * of the cache's dims multiply the queries and the results, so that rows are read as they are: two
 * dims to a word (see words.ts).
 */
import { newestCount, newestRows } from './cache'
import { storeSome } from './elementwise'
import { integerSums4, most4, sum4 } from './math'
import { eight, quantiseDense } from './quantise'
import { high, low, offsetOf } from './words'

/** Tokens whose rows stay in the nearest cache while all heads read them. */
const TILE: u32 = 64

/** Scores are logarithms to the base of two: this many of natural ones. */
const LOG2E: f32 = 1.4426950408889634

/** Bytes of the int16 of 16 dims of a query: the even dims, then the odd. */
const BLOCK: usize = 32

/** What `prepare` tells about a query: what brings sums back, and what they are too large by. */
const FACTOR: usize = 0
const OFFSET: usize = 4

/** Sums of one head to scores. */
@inline
function toScores(sum: v128, about: usize, bias: v128): v128 {
  const exact = i32x4.sub(sum, v128.load32_splat(about, OFFSET))
  return f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(exact), v128.load32_splat(about, FACTOR)), bias)
}

/** The same of two tokens. */
@inline
function finishTwo(sum: v128, about: usize, bias: usize, out: usize): void {
  v128.store64_lane(out, toScores(sum, about, v128.load64_zero(bias)), 0)
}

@inline
function upper(x: v128): v128 {
  return i64x2.shuffle(x, x, 1, 0)
}

/**
 * Scores of one head for `count` tokens.
 *
 * @param q blocks one after the other
 */
function scores(
  rows: usize,
  rowBytes: usize,
  count: u32,
  padded: u32,
  q: usize,
  about: usize,
  bias: usize,
  out: usize,
): void {
  const bytes = i16x8.splat(0xff)
  for (let s: u32 = 0; s < count; s += 4) {
    let k0 = rows
    let k1 = k0 + rowBytes
    let k2 = k1 + rowBytes
    let k3 = k2 + rowBytes
    rows = k3 + rowBytes
    const end = k0 + padded
    let a0 = i32x4.splat(0)
    let a1 = i32x4.splat(0)
    let a2 = i32x4.splat(0)
    let a3 = i32x4.splat(0)
    for (let p = q; k0 < end; p += BLOCK) {
      const even = v128.load(p)
      const odd = v128.load(p, 16)
      let m = v128.load(k0)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(even, v128.and(m, bytes)))
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(odd, i16x8.shr_s(m, 8)))
      m = v128.load(k1)
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(even, v128.and(m, bytes)))
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(odd, i16x8.shr_s(m, 8)))
      m = v128.load(k2)
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(even, v128.and(m, bytes)))
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(odd, i16x8.shr_s(m, 8)))
      m = v128.load(k3)
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(even, v128.and(m, bytes)))
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(odd, i16x8.shr_s(m, 8)))
      k0 += 16
      k1 += 16
      k2 += 16
      k3 += 16
    }
    const at = (<usize>s) << 2
    const sum = integerSums4(a0, a1, a2, a3)
    v128.store(out + at, toScores(sum, about, v128.load(bias + at)))
  }
}

/** The same for rows of 16 dims, as narrow heads have them. */
function scoresOf16(
  rows: usize,
  rowBytes: usize,
  count: u32,
  q: usize,
  about: usize,
  bias: usize,
  out: usize,
): void {
  const bytes = i16x8.splat(0xff)
  const even = v128.load(q)
  const odd = v128.load(q, 16)
  const end = out + ((<usize>count) << 2)
  const toBias = bias - out
  for (let to = out; to < end; to += 16) {
    const a = dims16(rows, even, odd, bytes)
    const b = dims16(rows + rowBytes, even, odd, bytes)
    rows += 2 * rowBytes
    const c = dims16(rows, even, odd, bytes)
    const d = dims16(rows + rowBytes, even, odd, bytes)
    rows += 2 * rowBytes
    v128.store(to, toScores(integerSums4(a, b, c, d), about, v128.load(to + toBias)))
  }
}

@inline
function dims16(row: usize, even: v128, odd: v128, bytes: v128): v128 {
  const m = v128.load(row)
  return i32x4.add(
    i32x4.dot_i16x8_s(even, v128.and(m, bytes)),
    i32x4.dot_i16x8_s(odd, i16x8.shr_s(m, 8)),
  )
}

/**
 * Scores of four heads that read the same rows, two tokens at a time.
 *
 * @param q blocks of the four heads side by side
 * @param about, bias, out: of the first head; the others lie `aboutStep`, 2 `step` and `step` further
 */
function scoresOfFour(
  rows: usize,
  rowBytes: usize,
  count: u32,
  padded: u32,
  q: usize,
  about: usize,
  aboutStep: usize,
  bias: usize,
  out: usize,
  step: usize,
): void {
  const bytes = i16x8.splat(0xff)
  for (let s: u32 = 0; s < count; s += 2) {
    let k = rows
    const end = k + padded
    rows += 2 * rowBytes
    let a0 = i32x4.splat(0)
    let a1 = i32x4.splat(0)
    let a2 = i32x4.splat(0)
    let a3 = i32x4.splat(0)
    let b0 = i32x4.splat(0)
    let b1 = i32x4.splat(0)
    let b2 = i32x4.splat(0)
    let b3 = i32x4.splat(0)
    for (let p = q; k < end; p += 4 * BLOCK) {
      let m = v128.load(k)
      let n = v128.load(k + rowBytes)
      const me = v128.and(m, bytes)
      const ne = v128.and(n, bytes)
      m = i16x8.shr_s(m, 8)
      n = i16x8.shr_s(n, 8)
      let x = v128.load(p)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(x, me))
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(x, ne))
      x = v128.load(p, 16)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(x, m))
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(x, n))
      x = v128.load(p, 32)
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(x, me))
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(x, ne))
      x = v128.load(p, 48)
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(x, m))
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(x, n))
      x = v128.load(p, 64)
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(x, me))
      b2 = i32x4.add(b2, i32x4.dot_i16x8_s(x, ne))
      x = v128.load(p, 80)
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(x, m))
      b2 = i32x4.add(b2, i32x4.dot_i16x8_s(x, n))
      x = v128.load(p, 96)
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(x, me))
      b3 = i32x4.add(b3, i32x4.dot_i16x8_s(x, ne))
      x = v128.load(p, 112)
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(x, m))
      b3 = i32x4.add(b3, i32x4.dot_i16x8_s(x, n))
      k += 16
    }
    const first = integerSums4(a0, b0, a1, b1)
    const second = integerSums4(a2, b2, a3, b3)
    const at = (<usize>s) << 2
    finishTwo(first, about, bias + at, out + at)
    finishTwo(upper(first), about + aboutStep, bias + 2 * step + at, out + step + at)
    finishTwo(second, about + 2 * aboutStep, bias + 4 * step + at, out + 2 * step + at)
    finishTwo(upper(second), about + 3 * aboutStep, bias + 6 * step + at, out + 3 * step + at)
  }
}

/**
 * Adds the words of two tokens at a time under int16 weights, for one head. Of 16 dims: sums over
 * words, then over upper bytes.
 */
function mix(
  rows: usize,
  rowBytes: usize,
  count: u32,
  padded: u32,
  p: usize,
  out: usize,
): void {
  const end = p + ((<usize>((count + 1) >> 1)) << 2)
  for (let i: usize = 0; i < padded; i += 16) {
    let a0 = v128.load(out)
    let a1 = v128.load(out, 16)
    let a2 = v128.load(out, 32)
    let a3 = v128.load(out, 48)
    let row = rows + i
    for (let at = p; at < end; at += 4) {
      const u = v128.load32_splat(at)
      const m = v128.load(row)
      const n = v128.load(row + rowBytes)
      let z = low(m, n)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(u, z))
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(u, i16x8.shr_s(z, 8)))
      z = high(m, n)
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(u, z))
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(u, i16x8.shr_s(z, 8)))
      row += 2 * rowBytes
    }
    v128.store(out, a0)
    v128.store(out, a1, 16)
    v128.store(out, a2, 32)
    v128.store(out, a3, 48)
    out += 64
  }
}

/** The same for two heads that read the same rows. */
function mixOfTwo(
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
    let a0 = v128.load(out)
    let a1 = v128.load(out, 16)
    let a2 = v128.load(out, 32)
    let a3 = v128.load(out, 48)
    let b0 = v128.load(otherOut)
    let b1 = v128.load(otherOut, 16)
    let b2 = v128.load(otherOut, 32)
    let b3 = v128.load(otherOut, 48)
    let row = rows + i
    for (let at = p; at < end; at += 4) {
      const u = v128.load32_splat(at)
      const v = v128.load32_splat(at + other)
      const m = v128.load(row)
      const n = v128.load(row + rowBytes)
      let z = low(m, n)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(u, z))
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, z))
      z = i16x8.shr_s(z, 8)
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(u, z))
      b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, z))
      z = high(m, n)
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(u, z))
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, z))
      z = i16x8.shr_s(z, 8)
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(u, z))
      b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, z))
      row += 2 * rowBytes
    }
    v128.store(out, a0)
    v128.store(out, a1, 16)
    v128.store(out, a2, 32)
    v128.store(out, a3, 48)
    v128.store(otherOut, b0)
    v128.store(otherOut, b1, 16)
    v128.store(otherOut, b2, 32)
    v128.store(otherOut, b3, 48)
    out += 64
    otherOut += 64
  }
}

/**
 * The query of a head times the scales of its dims, to int16 in blocks `step` bytes apart.
 *
 * @param about FACTOR and OFFSET are written here, after numbers [padded]
 */
function prepare(
  q: usize,
  scales: usize,
  width: u32,
  padded: u32,
  about: usize,
  to: usize,
  step: usize,
): void {
  let most = f32x4.splat(1e-20)
  let i: u32 = 0
  for (; i + 4 <= width; i += 4) {
    const at = <usize>i << 2
    const v = f32x4.mul(v128.load(q + at), v128.load(scales + at))
    v128.store(about + at, v)
    most = f32x4.pmax(most, f32x4.abs(v))
  }
  for (; i < padded; i++) {
    const at = <usize>i << 2
    const v: f32 = i < width ? load<f32>(q + at) * load<f32>(scales + at) : 0
    store<f32>(about + at, v)
    most = f32x4.pmax(most, f32x4.splat(abs<f32>(v)))
  }
  const largest = most4(most)
  const limit = min<i32>(32767, i32.MAX_VALUE / 127 / padded)
  const factor = <f32>limit / largest
  let sum = i32x4.splat(0)
  const factors = f32x4.splat(factor)
  const limits = i16x8.splat(<i16>limit)
  for (i = 0; i < padded; i += 16) {
    const at = about + (<usize>i << 2)
    const m = eight(at, factors, limits)
    const n = eight(at + 32, factors, limits)
    const even = i16x8.shuffle(m, n, 0, 2, 4, 6, 8, 10, 12, 14)
    v128.store(to, even)
    v128.store(to, i16x8.shuffle(m, n, 1, 3, 5, 7, 9, 11, 13, 15), 16)
    sum = i32x4.add(sum, i32x4.dot_i16x8_s(even, i16x8.splat(128)))
    to += step
  }
  store<f32>(about, LOG2E / factor, FACTOR)
  store<i32>(about, i32x4.extract_lane(integerSums4(sum, sum, sum, sum), 0), OFFSET)
}

/** Added to a number it leaves its nearest integer in the lowest bits. */
const COARSE: f32 = 12582912 // 1.5 2^23

/** 2^x for x in [-100, 0] to 3e-6 of itself (least squares over [-1/2, 1/2]): a weight has 15 bits. */
@inline
function powers(x: v128): v128 {
  const bounded = f32x4.pmax(x, f32x4.splat(-100))
  const coarse = f32x4.add(bounded, f32x4.splat(COARSE))
  const r = f32x4.sub(bounded, f32x4.sub(coarse, f32x4.splat(COARSE)))
  let p = f32x4.add(f32x4.mul(f32x4.splat(9.58284e-3), r), f32x4.splat(5.590644e-2))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.24024099))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.69312419))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1))
  return i32x4.add(p, i32x4.shl(coarse, 23))
}

/**
 * Scores, in powers of two, to int16 weights in place, as large as sums in int32 allow; what brings sums
 * back.
 */
function weigh(p: usize, count: u32): f32 {
  const padded = (count + 7) & ~7
  for (let i = count; i < padded; i++) store<f32>(p + (<usize>i << 2), -1e30)
  const end = p + (<usize>padded << 2)
  let most = f32x4.splat(-1e30)
  let other = most
  for (let at = p; at < end; at += 32) {
    most = f32x4.pmax(most, v128.load(at))
    other = f32x4.pmax(other, v128.load(at, 16))
  }
  const largest = f32x4.splat(most4(f32x4.pmax(most, other)))
  let total = f32x4.splat(0)
  let rest = total
  for (let at = p; at < end; at += 32) {
    const e = powers(f32x4.sub(v128.load(at), largest))
    const f = powers(f32x4.sub(v128.load(at, 16), largest))
    v128.store(at, e)
    v128.store(at, f, 16)
    total = f32x4.add(total, e)
    rest = f32x4.add(rest, f)
  }
  const sum = sum4(f32x4.add(total, rest)) // what is behind the count adds 2^-100 each
  const factor = min<f32>(32767, <f32>16e6 / sum)
  quantiseDense(p, padded, factor, 32767, p)
  return <f32>1 / (factor * sum)
}

/** Sums of `mix` to numbers. */
function scaleOut(x: usize, offset: v128, scales: usize, factor: f32, width: u32, y: usize): void {
  const factors = f32x4.splat(factor)
  for (let i: u32 = 0; i < width; i += 8) {
    const words = v128.load(x)
    const odd = v128.load(x, 32)
    const even = i32x4.sub(i32x4.sub(words, i32x4.shl(odd, 8)), offset)
    storeFour(i32x4.shuffle(even, odd, 0, 4, 1, 5), scales, factors, width - i, y)
    if (width - i > 4) {
      storeFour(i32x4.shuffle(even, odd, 2, 6, 3, 7), scales + 16, factors, width - i - 4, y + 16)
    }
    x += i & 8 ? 48 : 16 // to the next eight dims of a block, or to the next block
    scales += 32
    y += 32
  }
}

@inline
function storeFour(sums: v128, scales: usize, factors: v128, rest: u32, y: usize): void {
  const v = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(sums), v128.load(scales)), factors)
  storeSome(y, v, rest)
}

/**
 * As `attendF32`, with scales [groups, padded] of the dims of keys and values, and the bias in logarithms
 * to the base of two.
 *
 * @param scratch (groups heads) (2 padded + padWindow) numbers
 */
export function attendInt8(
  position: usize,
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
  const tokens = newestCount(position)
  const count = min<u32>(tokens, window)
  const slot = (tokens - 1) % window
  const headBytes = (<usize>padded) << 2
  const scoreBytes = (<usize>padWindow) << 2
  const all = <usize>groups * heads
  const queries = scratch
  const weights = queries + all * headBytes
  const mixed = weights + all * scoreBytes
  const biasStart = bias + ((<usize>(window - 1 - slot)) << 2)
  const keyRows = newestRows(position, keys, phaseBytes)
  const valueRows = newestRows(position, values, phaseBytes)
  const step = <usize>rowBytes

  for (let h: usize = 0; h < all; h++) {
    const scales = keyScales + ((<usize>(<u32>h / heads) * padded) << 2)
    const lane = isOfFour(h, heads) ? (<u32>h % heads) & 3 : 0
    const to = queries + (h - lane) * headBytes + lane * BLOCK
    const blockStep = isOfFour(h, heads) ? 4 * BLOCK : BLOCK
    prepare(q + ((h * width) << 2), scales, width, padded, mixed + h * headBytes, to, blockStep)
  }
  for (let first: u32 = 0; first < count; first += TILE) {
    const n = min<u32>(TILE, count - first)
    const at = <usize>first << 2
    for (let h: usize = 0; h < all; h += isOfFour(h, heads) ? 4 : 1) {
      const rows = keyRows + first * step + <usize>(<u32>h / heads) * padded
      const mine = queries + h * headBytes
      const about = mixed + h * headBytes
      const from = biasStart + 2 * h * scoreBytes + at
      const to = weights + h * scoreBytes + at
      if (isOfFour(h, heads)) {
        scoresOfFour(rows, step, n, padded, mine, about, headBytes, from, to, scoreBytes)
      } else if (padded === 16) {
        scoresOf16(rows, step, n, mine, about, from, to)
      } else {
        scores(rows, step, n, padded, mine, about, from, to)
      }
    }
  }
  for (let h: usize = 0; h < all; h++) {
    const p = weights + h * scoreBytes
    store<f32>(queries + h * headBytes, weigh(p, count))
  }
  memory.fill(mixed, 0, all * headBytes)
  for (let first: u32 = 0; first < count; first += TILE) {
    const n = min<u32>(TILE, count - first)
    const at = <usize>first << 1 // weights are int16 by now
    for (let h: usize = 0; h < all; ) {
      const rows = valueRows + first * step + <usize>(<u32>h / heads) * padded
      const p = weights + h * scoreBytes + at
      const out = mixed + h * headBytes
      if (<u32>(h + 1) % heads != 0) {
        mixOfTwo(rows, step, n, padded, p, p + scoreBytes, out, out + headBytes)
        h += 2
      } else {
        mix(rows, step, n, padded, p, out)
        h++
      }
    }
  }
  for (let h: usize = 0; h < all; h++) {
    const scales = valueScales + ((<usize>(<u32>h / heads) * padded) << 2)
    const back = load<f32>(queries + h * headBytes)
    const p = weights + h * scoreBytes
    const offset = offsetOf(p, p + ((<usize>((count + 1) >> 1)) << 2))
    scaleOut(mixed + h * headBytes, offset, scales, back, width, y + ((h * width) << 2))
  }
}

/** Whether a head is one of four that are scored together. */
@inline
function isOfFour(h: usize, heads: u32): bool {
  return (<u32>h % heads | 3) < heads
}
