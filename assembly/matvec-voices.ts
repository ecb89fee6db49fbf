/**
 * The product of matvec-f32.ts for several voices: what is loaded of the weights serves four voices, or
 * two. Every sum is made in the same order as for a voice alone, so that the results are the same bits.
 * Products in integers gain nothing from it: their arithmetic is what takes the time.
 */
import { madd } from './math'
import { matvecF32 } from './matvec-f32'
import { finish, finishEight } from './output'

@inline
function state(states: usize, voice: u32): usize {
  return <usize>load<u32>(states + (<usize>voice << 2))
}

/**
 * As `matvecF32`, once for every state.
 *
 * @param x, y counted from the start of a state
 * @param states [count] addresses
 */
export function matvecF32Voices(
  w: usize,
  bias: usize,
  x: usize,
  inputs: u32,
  outputs: u32,
  y: usize,
  flags: u32,
  states: usize,
  count: u32,
): void {
  for (; count >= 4; count -= 4, states += 16) {
    fourF32(
      w, bias, inputs, outputs, flags,
      x + state(states, 0), x + state(states, 1), x + state(states, 2), x + state(states, 3),
      y + state(states, 0), y + state(states, 1), y + state(states, 2), y + state(states, 3),
    )
  }
  for (; count >= 2; count -= 2, states += 8) {
    twoF32(
      w, bias, inputs, outputs, flags,
      x + state(states, 0), x + state(states, 1), y + state(states, 0), y + state(states, 1),
    )
  }
  if (count) matvecF32(w, bias, x + state(states, 0), inputs, outputs, y + state(states, 0), flags)
}

function fourF32(
  w: usize,
  bias: usize,
  inputs: u32,
  outputs: u32,
  flags: u32,
  x0: usize,
  x1: usize,
  x2: usize,
  x3: usize,
  y0: usize,
  y1: usize,
  y2: usize,
  y3: usize,
): void {
  const bytes = <usize>inputs << 2
  let rest = outputs
  while (rest > 0) {
    const isWhole = rest >= 32
    const step: usize = isWhole ? 128 : 32
    const columns = isWhole ? 4 : 1
    for (let column = 0; column < columns; column++) {
      let a0 = f32x4.splat(0)
      let a1 = f32x4.splat(0)
      let b0 = f32x4.splat(0)
      let b1 = f32x4.splat(0)
      let c0 = f32x4.splat(0)
      let c1 = f32x4.splat(0)
      let d0 = f32x4.splat(0)
      let d1 = f32x4.splat(0)
      let at = w + (<usize>column << 5)
      for (let p: usize = 0; p < bytes; p += 4) {
        const m = v128.load(at)
        const n = v128.load(at, 16)
        let v = v128.load32_splat(x0 + p)
        a0 = madd(v, m, a0)
        a1 = madd(v, n, a1)
        v = v128.load32_splat(x1 + p)
        b0 = madd(v, m, b0)
        b1 = madd(v, n, b1)
        v = v128.load32_splat(x2 + p)
        c0 = madd(v, m, c0)
        c1 = madd(v, n, c1)
        v = v128.load32_splat(x3 + p)
        d0 = madd(v, m, d0)
        d1 = madd(v, n, d1)
        at += step
      }
      finishEight(a0, a1, bias, y0, flags, rest)
      finishEight(b0, b1, bias, y1, flags, rest)
      finishEight(c0, c1, bias, y2, flags, rest)
      finishEight(d0, d1, bias, y3, flags, rest)
      y0 += 32
      y1 += 32
      y2 += 32
      y3 += 32
      bias += 32
      rest -= min<u32>(rest, 8)
    }
    w += step * inputs
  }
}

function twoF32(
  w: usize,
  bias: usize,
  inputs: u32,
  outputs: u32,
  flags: u32,
  x0: usize,
  x1: usize,
  y0: usize,
  y1: usize,
): void {
  const bytes = <usize>inputs << 2
  let rest = outputs
  while (rest >= 32) {
    for (let column = 0; column < 2; column++) {
      let a0 = f32x4.splat(0)
      let a1 = f32x4.splat(0)
      let a2 = f32x4.splat(0)
      let a3 = f32x4.splat(0)
      let b0 = f32x4.splat(0)
      let b1 = f32x4.splat(0)
      let b2 = f32x4.splat(0)
      let b3 = f32x4.splat(0)
      let at = w + (<usize>column << 6)
      for (let p: usize = 0; p < bytes; p += 4) {
        const u = v128.load32_splat(x0 + p)
        const v = v128.load32_splat(x1 + p)
        let m = v128.load(at)
        a0 = madd(u, m, a0)
        b0 = madd(v, m, b0)
        m = v128.load(at, 16)
        a1 = madd(u, m, a1)
        b1 = madd(v, m, b1)
        m = v128.load(at, 32)
        a2 = madd(u, m, a2)
        b2 = madd(v, m, b2)
        m = v128.load(at, 48)
        a3 = madd(u, m, a3)
        b3 = madd(v, m, b3)
        at += 128
      }
      finishEight(a0, a1, bias, y0, flags, 8)
      finishEight(b0, b1, bias, y1, flags, 8)
      finishEight(a2, a3, bias + 32, y0 + 32, flags, 8)
      finishEight(b2, b3, bias + 32, y1 + 32, flags, 8)
      y0 += 64
      y1 += 64
      bias += 64
    }
    w += bytes << 5
    rest -= 32
  }
  while (rest > 0) {
    let a0 = f32x4.splat(0)
    let a1 = f32x4.splat(0)
    let b0 = f32x4.splat(0)
    let b1 = f32x4.splat(0)
    for (let p: usize = 0; p < bytes; p += 4) {
      const u = v128.load32_splat(x0 + p)
      const v = v128.load32_splat(x1 + p)
      const m = v128.load(w)
      const n = v128.load(w, 16)
      a0 = madd(u, m, a0)
      a1 = madd(u, n, a1)
      b0 = madd(v, m, b0)
      b1 = madd(v, n, b1)
      w += 32
    }
    finishEight(a0, a1, bias, y0, flags, rest)
    finishEight(b0, b1, bias, y1, flags, rest)
    y0 += 32
    y1 += 32
    bias += 32
    rest -= min<u32>(rest, 8)
  }
}
