/**
 * y = W x + b in float32. Weights lie in blocks of 32 outputs, within a block by input, so that a
 * block is read in one stretch and its sums stay in registers; what is left comes in blocks of 8.
 */
import { madd } from './math'
import { finish, finishEight } from './output'

/** @param w [blocks, inputs, 32 or 8], bias padded to 8, x [inputs], y [outputs] */
export function matvecF32(
  w: usize,
  bias: usize,
  x: usize,
  inputs: u32,
  outputs: u32,
  y: usize,
  flags: u32,
): void {
  const end = x + ((<usize>inputs) << 2)
  let rest = outputs
  for (; rest >= 32; rest -= 32) {
    let a0 = f32x4.splat(0)
    let a1 = f32x4.splat(0)
    let a2 = f32x4.splat(0)
    let a3 = f32x4.splat(0)
    let a4 = f32x4.splat(0)
    let a5 = f32x4.splat(0)
    let a6 = f32x4.splat(0)
    let a7 = f32x4.splat(0)
    for (let p = x; p < end; p += 4) {
      const v = v128.load32_splat(p)
      a0 = madd(v, v128.load(w), a0)
      a1 = madd(v, v128.load(w, 16), a1)
      a2 = madd(v, v128.load(w, 32), a2)
      a3 = madd(v, v128.load(w, 48), a3)
      a4 = madd(v, v128.load(w, 64), a4)
      a5 = madd(v, v128.load(w, 80), a5)
      a6 = madd(v, v128.load(w, 96), a6)
      a7 = madd(v, v128.load(w, 112), a7)
      w += 128
    }
    finish(a0, bias, y, flags, 0)
    finish(a1, bias, y, flags, 16)
    finish(a2, bias, y, flags, 32)
    finish(a3, bias, y, flags, 48)
    finish(a4, bias, y, flags, 64)
    finish(a5, bias, y, flags, 80)
    finish(a6, bias, y, flags, 96)
    finish(a7, bias, y, flags, 112)
    y += 128
    bias += 128
  }
  while (rest > 0) {
    let a0 = f32x4.splat(0)
    let a1 = f32x4.splat(0)
    for (let p = x; p < end; p += 4) {
      const v = v128.load32_splat(p)
      a0 = madd(v, v128.load(w), a0)
      a1 = madd(v, v128.load(w, 16), a1)
      w += 32
    }
    finishEight(a0, a1, bias, y, flags, rest)
    y += 32
    bias += 32
    rest -= min<u32>(rest, 8)
  }
}
