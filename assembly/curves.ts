/**
 * Logits of levels under a mixture of logistic curves around an expected value. The mass between two
 * edges is (1 - e^-(b - a)) s(b) s(-a): a difference of sigmoids would lose small masses.
 */
import { exp4, log4 } from './math'

/** 1 - e^-d for d >= 0. */
@inline
function rise(d: v128): v128 {
  const one = f32x4.splat(1)
  let p = f32x4.sub(one, f32x4.mul(d, f32x4.splat(1.0 / 5)))
  p = f32x4.sub(one, f32x4.mul(f32x4.mul(d, f32x4.splat(1.0 / 4)), p))
  p = f32x4.sub(one, f32x4.mul(f32x4.mul(d, f32x4.splat(1.0 / 3)), p))
  p = f32x4.sub(one, f32x4.mul(f32x4.mul(d, f32x4.splat(1.0 / 2)), p))
  const near = f32x4.mul(d, p)
  const far = f32x4.sub(one, exp4(f32x4.neg(d)))
  return v128.bitselect(near, far, f32x4.lt(d, f32x4.splat(0.05)))
}

@inline
function scalarExp(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0)
}

/**
 * Adds to `y` the logarithm of every level's probability and 1e-6.
 *
 * @param forecast mean and 1 / scale
 * @param numbers [3 curves] centres in scales, logarithms of widths, logits of weights
 * @param widths [curves] widths where their logarithms are zero
 * @param edges [levels + 1] lower edge of each level and an end, the outermost far away
 * @param gaps [levels] between them
 * @param scratch [levels], levels a multiple of 4
 */
export function curves(
  forecast: usize,
  numbers: usize,
  count: u32,
  widths: usize,
  edges: usize,
  gaps: usize,
  levels: u32,
  y: usize,
  scratch: usize,
): void {
  const mean = f32x4.splat(load<f32>(forecast))
  const inverse = load<f32>(forecast, 4)
  const bytes = <usize>count << 2
  let most = load<f32>(numbers + 2 * bytes)
  for (let k: u32 = 1; k < count; k++) {
    most = max<f32>(most, load<f32>(numbers + 2 * bytes + (<usize>k << 2)))
  }
  let total: f32 = 0
  for (let k: u32 = 0; k < count; k++) {
    total += scalarExp(load<f32>(numbers + 2 * bytes + (<usize>k << 2)) - most)
  }
  const one = f32x4.splat(1)
  const ends = f32x4.splat(80) // e^80 has a square only in doubles, but 1 / infinity is 0
  memory.fill(scratch, 0, <usize>levels << 2)
  for (let k: u32 = 0; k < count; k++) {
    const at = numbers + (<usize>k << 2)
    const weight = f32x4.splat(scalarExp(load<f32>(at + 2 * bytes) - most) / total)
    const steep = scalarExp(-load<f32>(at + bytes)) / load<f32>(widths + (<usize>k << 2))
    const steepness = f32x4.splat(steep)
    const centre = f32x4.splat(load<f32>(at))
    const perUnit = f32x4.splat(inverse * steep)
    const scale = f32x4.splat(inverse)
    for (let i: u32 = 0; i < levels; i += 4) {
      const place = <usize>i << 2
      const a = v128.load(edges + place)
      const b = v128.load(edges + place, 4)
      const from = f32x4.mul(f32x4.sub(f32x4.mul(f32x4.sub(a, mean), scale), centre), steepness)
      const to = f32x4.mul(f32x4.sub(f32x4.mul(f32x4.sub(b, mean), scale), centre), steepness)
      const low = exp4(f32x4.pmin(f32x4.pmax(from, f32x4.neg(ends)), ends))
      const high = exp4(f32x4.neg(f32x4.pmin(f32x4.pmax(to, f32x4.neg(ends)), ends)))
      const below = f32x4.div(rise(f32x4.mul(v128.load(gaps + place), perUnit)), f32x4.add(one, low))
      const mass = f32x4.div(below, f32x4.add(one, high))
      const sum = v128.load(scratch + place)
      v128.store(scratch + place, f32x4.add(sum, f32x4.mul(weight, mass)))
    }
  }
  for (let i: u32 = 0; i < levels; i += 4) {
    const place = <usize>i << 2
    const p = f32x4.add(v128.load(scratch + place), f32x4.splat(1e-6))
    v128.store(y + place, f32x4.add(v128.load(y + place), log4(p)))
  }
}
