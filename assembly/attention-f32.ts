/**
 * Attention of the newest token of a phase over the phase's cache, in float32. All heads of a group
 * read the same part of a row. Four tokens of two heads at a time: eight sums stay in registers.
 */
import { ATTENTION_TILE } from '../src/stream/opcodes'
import { newestCount, newestRows, other } from './cache'
import { softmaxParts } from './elementwise'
import { fromHalves } from './half'
import { madd, sums4 } from './math'

/**
 * Scores of one or two heads. The second head repeats the first where there is none.
 *
 * @param rows first row of the group; @param q [2, padded]; @param out where heads' scores go
 */
function scores(
  rows: usize,
  rowBytes: usize,
  count: u32,
  padded: u32,
  q: usize,
  r: usize,
  bias: usize,
  otherBias: usize,
  out: usize,
  otherOut: usize,
): void {
  const bytes = (<usize>padded) << 2
  for (let s: u32 = 0; s < count; s += 4) {
    const k0 = rows
    const k1 = k0 + rowBytes
    const k2 = k1 + rowBytes
    const k3 = k2 + rowBytes
    let a0 = f32x4.splat(0)
    let a1 = f32x4.splat(0)
    let a2 = f32x4.splat(0)
    let a3 = f32x4.splat(0)
    let b0 = f32x4.splat(0)
    let b1 = f32x4.splat(0)
    let b2 = f32x4.splat(0)
    let b3 = f32x4.splat(0)
    for (let i: usize = 0; i < bytes; i += 16) {
      const u = v128.load(q + i)
      const v = v128.load(r + i)
      let k = v128.load(k0 + i)
      a0 = madd(u, k, a0)
      b0 = madd(v, k, b0)
      k = v128.load(k1 + i)
      a1 = madd(u, k, a1)
      b1 = madd(v, k, b1)
      k = v128.load(k2 + i)
      a2 = madd(u, k, a2)
      b2 = madd(v, k, b2)
      k = v128.load(k3 + i)
      a3 = madd(u, k, a3)
      b3 = madd(v, k, b3)
    }
    const at = (<usize>s) << 2
    v128.store(out + at, f32x4.add(sums4(a0, a1, a2, a3), v128.load(bias + at)))
    v128.store(otherOut + at, f32x4.add(sums4(b0, b1, b2, b3), v128.load(otherBias + at)))
    rows = k3 + rowBytes
  }
}

/** Adds values under the weights of two heads, 16 dims at a time. */
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
  const bytes = (<usize>padded) << 2
  const end = p + ((<usize>count) << 2)
  const other = r - p
  for (let i: usize = 0; i < bytes; i += 64) {
    let a0 = v128.load(out + i)
    let a1 = v128.load(out + i, 16)
    let a2 = v128.load(out + i, 32)
    let a3 = v128.load(out + i, 48)
    let b0 = v128.load(otherOut + i)
    let b1 = v128.load(otherOut + i, 16)
    let b2 = v128.load(otherOut + i, 32)
    let b3 = v128.load(otherOut + i, 48)
    let row = rows + i
    for (let at = p; at < end; at += 4) {
      const u = v128.load32_splat(at)
      const v = v128.load32_splat(at + other)
      let x = v128.load(row)
      a0 = madd(u, x, a0)
      b0 = madd(v, x, b0)
      x = v128.load(row, 16)
      a1 = madd(u, x, a1)
      b1 = madd(v, x, b1)
      x = v128.load(row, 32)
      a2 = madd(u, x, a2)
      b2 = madd(v, x, b2)
      x = v128.load(row, 48)
      a3 = madd(u, x, a3)
      b3 = madd(v, x, b3)
      row += rowBytes
    }
    v128.store(out + i, a0)
    v128.store(out + i, a1, 16)
    v128.store(out + i, a2, 32)
    v128.store(out + i, a3, 48)
    v128.store(otherOut + i, b0)
    v128.store(otherOut + i, b1, 16)
    v128.store(otherOut + i, b2, 32)
    v128.store(otherOut + i, b3, 48)
  }
}

const TILE: u32 = ATTENTION_TILE

/**
 * @param position of the cache of keys; that of values stands at the same
 * @param q [groups * heads, width], y the same
 * @param bias [groups * heads, 2 padWindow]: of distance (window - 1 - i) mod window at i
 * @param scratch (groups heads) (2 padded + padWindow) numbers
 */
export function attendF32(
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
): void {
  attendRows(
    position, keys, values, phaseBytes, rowBytes, window, padWindow, groups, heads, width, padded, q, bias, scratch, y, false,
  )
}

/** @param isHalf rows are halves, and a tile of them in float32 goes behind the scratch */
@inline
export function attendRows(
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
  isHalf: bool,
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
  const tile = mixed + all * headBytes
  const biasStart = bias + ((<usize>(window - 1 - slot)) << 2)
  for (let h: usize = 0; h < all; h++) {
    memory.fill(queries + h * headBytes, 0, headBytes)
    memory.copy(queries + h * headBytes, q + ((h * width) << 2), (<usize>width) << 2)
  }
  const keyRows = newestRows(position, keys, phaseBytes)
  const valueRows = newestRows(position, values, phaseBytes)
  const floats = groups * padded
  const step: usize = isHalf ? <usize>floats << 2 : rowBytes
  for (let first: u32 = 0; first < count; first += TILE) {
    const n = min<u32>(TILE, count - first)
    const at = <usize>first << 2
    let rows = keyRows + <usize>first * rowBytes
    if (isHalf) {
      // scores come four at a time
      fromHalves(rows, floats * ((n + 3) & ~3), tile)
      rows = tile
    }
    for (let h: usize = 0; h < all; h += other(h, all, heads) - h + 1) {
      const o = other(h, all, heads)
      scores(
        rows + <usize>(<u32>h / heads) * headBytes, step, n, padded,
        queries + h * headBytes, queries + o * headBytes,
        biasStart + 2 * h * scoreBytes + at, biasStart + 2 * o * scoreBytes + at,
        weights + h * scoreBytes + at, weights + o * scoreBytes + at,
      )
    }
  }
  for (let h: usize = 0; h < all; h++) {
    // the query was of use, its place holds the sum
    store<f32>(queries + h * headBytes, softmaxParts(weights + h * scoreBytes, count))
  }
  memory.fill(mixed, 0, all * headBytes)
  for (let first: u32 = 0; first < count; first += TILE) {
    const n = min<u32>(TILE, count - first)
    const at = <usize>first << 2
    let rows = valueRows + <usize>first * rowBytes
    if (isHalf) {
      fromHalves(rows, floats * n, tile)
      rows = tile
    }
    for (let h: usize = 0; h < all; h += other(h, all, heads) - h + 1) {
      const o = other(h, all, heads)
      mix(
        rows + <usize>(<u32>h / heads) * headBytes, step, n, padded,
        weights + h * scoreBytes + at, weights + o * scoreBytes + at,
        mixed + h * headBytes, mixed + o * headBytes,
      )
    }
  }
  for (let h: usize = 0; h < all; h++) {
    scaleOut(mixed + h * headBytes, load<f32>(queries + h * headBytes), width, y + ((h * width) << 2))
  }
}

function scaleOut(x: usize, total: f32, n: u32, y: usize): void {
  const factor = <f32>1 / total
  const end = x + ((<usize>n) << 2)
  for (; x + 16 <= end; x += 16, y += 16) {
    v128.store(y, f32x4.mul(v128.load(x), f32x4.splat(factor)))
  }
  for (; x < end; x += 4, y += 4) store<f32>(y, load<f32>(x) * factor)
}
