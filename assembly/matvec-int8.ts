/**
 * y = W x + b with int8 weights, a scale per output, and int16 activations; sums are exact in int32
 * (`pack` bounds the activations so that they cannot overflow). Two forms: one for any x, one that
 * visits only what is not zero in x, as behind a rectifier.
 */
import { LIST_HEADER } from '../src/stream/opcodes'
import { beginSmall, endSmall, finishInt } from './output'


/** @param w [blocks, pairs of inputs, 32 or 8, 2]; x int16, padded by a zero to whole pairs */
export function matvecInt8(
  w: usize,
  scales: usize,
  bias: usize,
  x: usize,
  inputs: u32,
  outputs: u32,
  y: usize,
  flags: u32,
): void {
  const end = x + (<usize>((inputs + 1) >> 1) << 2)
  let rest = outputs
  for (; rest >= 32; rest -= 32) {
    let a0 = i32x4.splat(0)
    let a1 = i32x4.splat(0)
    let a2 = i32x4.splat(0)
    let a3 = i32x4.splat(0)
    let a4 = i32x4.splat(0)
    let a5 = i32x4.splat(0)
    let a6 = i32x4.splat(0)
    let a7 = i32x4.splat(0)
    for (let p = x; p < end; p += 4) {
      const v = v128.load32_splat(p)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, v128.load8x8_s(w)))
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, v128.load8x8_s(w, 8)))
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v, v128.load8x8_s(w, 16)))
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v, v128.load8x8_s(w, 24)))
      a4 = i32x4.add(a4, i32x4.dot_i16x8_s(v, v128.load8x8_s(w, 32)))
      a5 = i32x4.add(a5, i32x4.dot_i16x8_s(v, v128.load8x8_s(w, 40)))
      a6 = i32x4.add(a6, i32x4.dot_i16x8_s(v, v128.load8x8_s(w, 48)))
      a7 = i32x4.add(a7, i32x4.dot_i16x8_s(v, v128.load8x8_s(w, 56)))
      w += 64
    }
    finishInt(a0, scales, bias, y, flags, 0)
    finishInt(a1, scales, bias, y, flags, 16)
    finishInt(a2, scales, bias, y, flags, 32)
    finishInt(a3, scales, bias, y, flags, 48)
    finishInt(a4, scales, bias, y, flags, 64)
    finishInt(a5, scales, bias, y, flags, 80)
    finishInt(a6, scales, bias, y, flags, 96)
    finishInt(a7, scales, bias, y, flags, 112)
    y += 128
    bias += 128
    scales += 128
  }
  while (rest > 0) {
    let a0 = i32x4.splat(0)
    let a1 = i32x4.splat(0)
    for (let p = x; p < end; p += 4) {
      const v = v128.load32_splat(p)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, v128.load8x8_s(w)))
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, v128.load8x8_s(w, 8)))
      w += 16
    }
    const to = beginSmall(y, rest)
    finishInt(a0, scales, bias, to, flags, 0)
    finishInt(a1, scales, bias, to, flags, 16)
    endSmall(to, y, rest)
    y += 32
    bias += 32
    scales += 32
    rest -= min<u32>(rest, 8)
  }
}

/** Weights of two inputs for four outputs, side by side. */
@inline
function low(m: v128, n: v128): v128 {
  return i16x8.shuffle(m, n, 0, 8, 1, 9, 2, 10, 3, 11)
}

@inline
function high(m: v128, n: v128): v128 {
  return i16x8.shuffle(m, n, 4, 12, 5, 13, 6, 14, 7, 15)
}

/**
 * Inputs are paired as they come: any two columns of weights are interleaved on the way.
 *
 * @param w [blocks, inputs, 32 or 8]; x a list (see quantise.ts) of `capacity` places
 */
export function matvecInt8Sparse(
  w: usize,
  scales: usize,
  bias: usize,
  x: usize,
  inputs: u32,
  outputs: u32,
  y: usize,
  flags: u32,
  capacity: u32,
): void {
  const pairs = (load<u32>(x) + 1) >> 1
  const values = x + LIST_HEADER
  const end = values + (<usize>pairs << 2)
  const toIndex = <usize>capacity << 1 // indices follow the values
  let rest = outputs
  let m: v128
  let n: v128
  for (; rest >= 32; rest -= 32) {
    let a0 = i32x4.splat(0)
    let a1 = i32x4.splat(0)
    let a2 = i32x4.splat(0)
    let a3 = i32x4.splat(0)
    let a4 = i32x4.splat(0)
    let a5 = i32x4.splat(0)
    let a6 = i32x4.splat(0)
    let a7 = i32x4.splat(0)
    for (let p = values; p < end; p += 4) {
      const v = v128.load32_splat(p)
      const j = w + (<usize>load<u16>(p + toIndex) << 5)
      const k = w + (<usize>load<u16>(p + toIndex, 2) << 5)
      m = v128.load8x8_s(j)
      n = v128.load8x8_s(k)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, low(m, n)))
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, high(m, n)))
      m = v128.load8x8_s(j, 8)
      n = v128.load8x8_s(k, 8)
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v, low(m, n)))
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v, high(m, n)))
      m = v128.load8x8_s(j, 16)
      n = v128.load8x8_s(k, 16)
      a4 = i32x4.add(a4, i32x4.dot_i16x8_s(v, low(m, n)))
      a5 = i32x4.add(a5, i32x4.dot_i16x8_s(v, high(m, n)))
      m = v128.load8x8_s(j, 24)
      n = v128.load8x8_s(k, 24)
      a6 = i32x4.add(a6, i32x4.dot_i16x8_s(v, low(m, n)))
      a7 = i32x4.add(a7, i32x4.dot_i16x8_s(v, high(m, n)))
    }
    w += <usize>inputs << 5
    finishInt(a0, scales, bias, y, flags, 0)
    finishInt(a1, scales, bias, y, flags, 16)
    finishInt(a2, scales, bias, y, flags, 32)
    finishInt(a3, scales, bias, y, flags, 48)
    finishInt(a4, scales, bias, y, flags, 64)
    finishInt(a5, scales, bias, y, flags, 80)
    finishInt(a6, scales, bias, y, flags, 96)
    finishInt(a7, scales, bias, y, flags, 112)
    y += 128
    bias += 128
    scales += 128
  }
  while (rest > 0) {
    let a0 = i32x4.splat(0)
    let a1 = i32x4.splat(0)
    for (let p = values; p < end; p += 4) {
      const v = v128.load32_splat(p)
      const j = w + (<usize>load<u16>(p + toIndex) << 3)
      const k = w + (<usize>load<u16>(p + toIndex, 2) << 3)
      m = v128.load8x8_s(j)
      n = v128.load8x8_s(k)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, low(m, n)))
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, high(m, n)))
    }
    w += <usize>inputs << 3
    const to = beginSmall(y, rest)
    finishInt(a0, scales, bias, to, flags, 0)
    finishInt(a1, scales, bias, to, flags, 16)
    endSmall(to, y, rest)
    y += 32
    bias += 32
    scales += 32
    rest -= min<u32>(rest, 8)
  }
}
