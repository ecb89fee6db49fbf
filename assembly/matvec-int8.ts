/**
 * y = W x + b with int8 weights, a scale per output, and int16 activations; sums are exact in int32
 * (`pack` bounds the activations so that they cannot overflow). Two forms: one for any x, one that
 * visits only what is not zero in x, as behind a rectifier.
 * Weights come two to a word (see words.ts).
 */
import { LIST_HEADER } from '../src/stream/opcodes'
import { finishInt, finishSomeInt } from './output'
import { high, low, offsetOf } from './words'

@inline
function lowerOf(words: v128, upper: v128, offset: v128): v128 {
  return i32x4.sub(i32x4.sub(words, i32x4.shl(upper, 8)), offset)
}

/** Eight results from the sums over words and those over upper bytes. */
@inline
function finishWords(
  words: v128,
  upper: v128,
  offset: v128,
  scales: usize,
  bias: usize,
  y: usize,
  flags: u32,
  at: usize,
): void {
  finishInt(lowerOf(words, upper, offset), scales, bias, y, flags, at)
  finishInt(upper, scales, bias, y, flags, at + 16)
}

/** @param w [blocks, pairs of inputs, 16 or 4 words of outputs, 2]; x int16, padded by a zero to whole pairs */
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
  const offset = offsetOf(x, end)
  let rest = outputs
  let m: v128
  for (; rest >= 32; rest -= 32) {
    let a0 = i32x4.splat(0)
    let a1 = i32x4.splat(0)
    let a2 = i32x4.splat(0)
    let a3 = i32x4.splat(0)
    let b0 = i32x4.splat(0)
    let b1 = i32x4.splat(0)
    let b2 = i32x4.splat(0)
    let b3 = i32x4.splat(0)
    for (let p = x; p < end; p += 4) {
      const v = v128.load32_splat(p)
      m = v128.load(w)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, m))
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, i16x8.shr_s(m, 8)))
      m = v128.load(w, 16)
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, m))
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, i16x8.shr_s(m, 8)))
      m = v128.load(w, 32)
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v, m))
      b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, i16x8.shr_s(m, 8)))
      m = v128.load(w, 48)
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v, m))
      b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, i16x8.shr_s(m, 8)))
      w += 64
    }
    finishWords(a0, b0, offset, scales, bias, y, flags, 0)
    finishWords(a1, b1, offset, scales, bias, y, flags, 32)
    finishWords(a2, b2, offset, scales, bias, y, flags, 64)
    finishWords(a3, b3, offset, scales, bias, y, flags, 96)
    y += 128
    bias += 128
    scales += 128
  }
  while (rest > 0) {
    let a = i32x4.splat(0)
    let b = i32x4.splat(0)
    for (let p = x; p < end; p += 4) {
      const v = v128.load32_splat(p)
      m = v128.load(w)
      a = i32x4.add(a, i32x4.dot_i16x8_s(v, m))
      b = i32x4.add(b, i32x4.dot_i16x8_s(v, i16x8.shr_s(m, 8)))
      w += 16
    }
    finishSomeInt(lowerOf(a, b, offset), scales, bias, y, flags, rest)
    finishSomeInt(b, scales + 16, bias + 16, y + 16, flags, rest - 4)
    y += 32
    bias += 32
    scales += 32
    rest -= min<u32>(rest, 8)
  }
}

/**
 * Inputs are paired as they come: any two columns of weights are interleaved on the way.
 *
 * @param w [blocks, inputs, 16 or 4 words of outputs]; x a list (see quantise.ts) of `capacity` places
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
  const offset = offsetOf(values, end)
  let rest = outputs
  let m: v128
  let n: v128
  let z: v128
  for (; rest >= 32; rest -= 32) {
    let a0 = i32x4.splat(0)
    let a1 = i32x4.splat(0)
    let a2 = i32x4.splat(0)
    let a3 = i32x4.splat(0)
    let b0 = i32x4.splat(0)
    let b1 = i32x4.splat(0)
    let b2 = i32x4.splat(0)
    let b3 = i32x4.splat(0)
    for (let p = values; p < end; p += 4) {
      const v = v128.load32_splat(p)
      const j = w + (<usize>load<u16>(p + toIndex) << 5)
      const k = w + (<usize>load<u16>(p + toIndex, 2) << 5)
      m = v128.load(j)
      n = v128.load(k)
      z = low(m, n)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, z))
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, i16x8.shr_s(z, 8)))
      z = high(m, n)
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, z))
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, i16x8.shr_s(z, 8)))
      m = v128.load(j, 16)
      n = v128.load(k, 16)
      z = low(m, n)
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v, z))
      b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, i16x8.shr_s(z, 8)))
      z = high(m, n)
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v, z))
      b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, i16x8.shr_s(z, 8)))
    }
    w += <usize>inputs << 5
    finishWords(a0, b0, offset, scales, bias, y, flags, 0)
    finishWords(a1, b1, offset, scales, bias, y, flags, 32)
    finishWords(a2, b2, offset, scales, bias, y, flags, 64)
    finishWords(a3, b3, offset, scales, bias, y, flags, 96)
    y += 128
    bias += 128
    scales += 128
  }
  while (rest > 0) {
    let a = i32x4.splat(0)
    let b = i32x4.splat(0)
    for (let p = values; p < end; p += 4) {
      const v = v128.load32_splat(p)
      m = v128.load64_zero(w + (<usize>load<u16>(p + toIndex) << 3))
      n = v128.load64_zero(w + (<usize>load<u16>(p + toIndex, 2) << 3))
      z = low(m, n)
      a = i32x4.add(a, i32x4.dot_i16x8_s(v, z))
      b = i32x4.add(b, i32x4.dot_i16x8_s(v, i16x8.shr_s(z, 8)))
    }
    w += <usize>inputs << 3
    finishSomeInt(lowerOf(a, b, offset), scales, bias, y, flags, rest)
    finishSomeInt(b, scales + 16, bias + 16, y + 16, flags, rest - 4)
    y += 32
    bias += 32
    scales += 32
    rest -= min<u32>(rest, 8)
  }
}
