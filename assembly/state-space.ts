/** A step of a diagonal state-space layer: complex states that turn and fade, driven by one number. */
import { madd, sum4 } from './math'

/**
 * s = a s + u and y = Re(sum of c s) + d u, for n channels of `fours` times four modes.
 *
 * @param state [n, fours, 2, 4]: real parts of four modes, then imaginary ones
 * @param modes [n, fours, 4, 4]: re a, im a, re c, im c of four modes each
 */
export function oscillate(
  u: usize,
  state: usize,
  modes: usize,
  d: usize,
  n: u32,
  fours: u32,
  y: usize,
): void {
  for (let i: u32 = 0; i < n; i++) {
    const at = <usize>i << 2
    const x = load<f32>(u + at)
    const push = f32x4.splat(x)
    let even = f32x4.splat(0)
    let odd = f32x4.splat(0)
    for (let m: u32 = 0; m < fours; m++) {
      const sr = v128.load(state)
      const si = v128.load(state, 16)
      const ar = v128.load(modes)
      const ai = v128.load(modes, 16)
      const re = madd(ar, sr, f32x4.sub(push, f32x4.mul(ai, si)))
      const im = madd(ar, si, f32x4.mul(ai, sr))
      v128.store(state, re)
      v128.store(state, im, 16)
      even = madd(v128.load(modes, 32), re, even)
      odd = madd(v128.load(modes, 48), im, odd)
      state += 32
      modes += 64
    }
    store<f32>(y + at, sum4(f32x4.sub(even, odd)) + load<f32>(d + at) * x)
  }
}
