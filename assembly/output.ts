/** What all products do with a block of results: bias, sum, rectifier, and ends that are not whole. */
import { Flag } from '../src/stream/opcodes'
import { loadSome, storeSome } from './elementwise'

@inline
function finished(sum: v128, bias: usize, before: v128, flags: u32): v128 {
  let v = f32x4.add(sum, v128.load(bias))
  if (flags & Flag.Add) v = f32x4.add(v, before)
  if (flags & Flag.Relu) v = f32x4.pmax(v, f32x4.splat(0))
  return v
}

/** Adds a bias, and what is there if asked, rectifies if asked, and stores four results. */
@inline
export function finish(sum: v128, bias: usize, y: usize, flags: u32, at: usize): void {
  v128.store(y + at, finished(sum, bias + at, v128.load(y + at), flags))
}

/** The same of eight of which the first `rest` exist. */
@inline
export function finishEight(a: v128, b: v128, bias: usize, y: usize, flags: u32, rest: u32): void {
  finishSome(a, bias, y, flags, rest)
  finishSome(b, bias + 16, y + 16, flags, <i32>rest - 4)
}

function finishSome(sum: v128, bias: usize, y: usize, flags: u32, rest: i32): void {
  if (rest <= 0) return
  storeSome(y, finished(sum, bias, loadSome(y, rest), flags), rest)
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

export function finishSomeInt(
  sum: v128,
  scales: usize,
  bias: usize,
  y: usize,
  flags: u32,
  rest: i32,
): void {
  finishSome(f32x4.mul(f32x4.convert_i32x4_s(sum), v128.load(scales)), bias, y, flags, rest)
}
