/** What all products do with a block of results: bias, sum, rectifier, and ends that are not whole. */
import { Flag } from '../src/stream/opcodes'

/** Where a block goes that has fewer than eight results. */
const SPILL = memory.data(32, 16)

/** Adds a bias, and what is there if asked, rectifies if asked, and stores four results. */
@inline
export function finish(sum: v128, bias: usize, y: usize, flags: u32, at: usize): void {
  let v = f32x4.add(sum, v128.load(bias + at))
  if (flags & Flag.Add) v = f32x4.add(v, v128.load(y + at))
  if (flags & Flag.Relu) v = f32x4.pmax(v, f32x4.splat(0))
  v128.store(y + at, v)
}

/** Integer sums to numbers, then as `finish`. */
@inline
export function finishInt(
  sum: v128,
  scales: usize,
  bias: usize,
  y: usize,
  flags: u32,
  at: usize,
): void {
  finish(f32x4.mul(f32x4.convert_i32x4_s(sum), v128.load(scales + at)), bias, y, flags, at)
}

/** Where to write a block of eight of which `rest` exist: `y` itself, or aside. */
export function beginSmall(y: usize, rest: u32): usize {
  if (rest >= 8) return y
  memory.copy(SPILL, y, <usize>rest << 2)
  return SPILL
}

/** Brings back what was written aside. */
export function endSmall(to: usize, y: usize, rest: u32): void {
  if (to != y) memory.copy(y, to, <usize>rest << 2)
}
