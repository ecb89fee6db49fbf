/** What is done number by number; vectors need not be whole fours. */
import { erf4, exp4, most4, sigmoid4, sum4, tanh4 } from './math'

/** Four numbers from memory of which `rest` exist. */
@inline
export function loadSome(x: usize, rest: u32): v128 {
  if (rest >= 4) return v128.load(x)
  return f32x4(load<f32>(x), rest > 1 ? load<f32>(x, 4) : 0, rest > 2 ? load<f32>(x, 8) : 0, 0)
}

/** The first `rest` of four numbers, or all. */
@inline
export function storeSome(y: usize, v: v128, rest: u32): void {
  if (rest >= 4) {
    v128.store(y, v)
    return
  }
  store<f32>(y, f32x4.extract_lane(v, 0))
  if (rest > 1) store<f32>(y, f32x4.extract_lane(v, 1), 4)
  if (rest > 2) store<f32>(y, f32x4.extract_lane(v, 2), 8)
}

/** y = tanh(first half of x) sigmoid(second half), n numbers each. */
export function gate(x: usize, n: u32, y: usize): void {
  const other = <usize>n << 2
  for (let i: u32 = 0; i < n; i += 4) {
    const at = <usize>i << 2
    const t = tanh4(loadSome(x + at, n - i))
    const s = sigmoid4(loadSome(x + other + at, n - i))
    storeSome(y + at, f32x4.mul(t, s), n - i)
  }
}

/** y = first half of x times the sigmoid of the second, n numbers each. */
export function glu(x: usize, n: u32, y: usize): void {
  const other = <usize>n << 2
  for (let i: u32 = 0; i < n; i += 4) {
    const at = <usize>i << 2
    const s = sigmoid4(loadSome(x + other + at, n - i))
    storeSome(y + at, f32x4.mul(loadSome(x + at, n - i), s), n - i)
  }
}

/** y = x (1 + erf(x / sqrt 2)) / 2 */
export function gelu(x: usize, n: u32, y: usize): void {
  for (let i: u32 = 0; i < n; i += 4) {
    const at = <usize>i << 2
    const v = loadSome(x + at, n - i)
    const half = f32x4.mul(v, f32x4.splat(0.5))
    const e = erf4(f32x4.mul(v, f32x4.splat(0.70710678)))
    storeSome(y + at, f32x4.add(half, f32x4.mul(half, e)), n - i)
  }
}

export function add(a: usize, b: usize, n: u32, y: usize): void {
  for (let i: u32 = 0; i < n; i += 4) {
    const at = <usize>i << 2
    storeSome(y + at, f32x4.add(loadSome(a + at, n - i), loadSome(b + at, n - i)), n - i)
  }
}

export function relu(x: usize, n: u32, y: usize): void {
  for (let i: u32 = 0; i < n; i += 4) {
    const at = <usize>i << 2
    storeSome(y + at, f32x4.pmax(loadSome(x + at, n - i), f32x4.splat(0)), n - i)
  }
}

/** Zero mean and unit variance, then a scale and an offset. */
export function normalise(
  x: usize,
  scale: usize,
  offset: usize,
  n: u32,
  epsilon: f32,
  y: usize,
): void {
  let total = f32x4.splat(0)
  for (let i: u32 = 0; i < n; i += 4) total = f32x4.add(total, loadSome(x + (<usize>i << 2), n - i))
  const mean = sum4(total) / <f32>n
  let squares: f32 = 0
  let four = f32x4.splat(0)
  let i: u32 = 0
  for (; i + 4 <= n; i += 4) {
    const d = f32x4.sub(v128.load(x + (<usize>i << 2)), f32x4.splat(mean))
    four = f32x4.add(four, f32x4.mul(d, d))
  }
  for (; i < n; i++) {
    const d = load<f32>(x + (<usize>i << 2)) - mean
    squares += d * d
  }
  const factor = f32x4.splat(<f32>1 / sqrt<f32>((squares + sum4(four)) / <f32>n + epsilon))
  for (i = 0; i < n; i += 4) {
    const at = <usize>i << 2
    const d = f32x4.mul(f32x4.sub(loadSome(x + at, n - i), f32x4.splat(mean)), factor)
    const v = f32x4.add(f32x4.mul(d, loadSome(scale + at, n - i)), loadSome(offset + at, n - i))
    storeSome(y + at, v, n - i)
  }
}

/** Scores to e^(score - largest), in place; numbers from `n` to the next 8 become 0. The sum. */
export function softmaxParts(scores: usize, n: u32): f32 {
  const padded = (n + 7) & ~7
  for (let i = n; i < padded; i++) store<f32>(scores + (<usize>i << 2), -1e30)
  const end = scores + (<usize>padded << 2)
  let most = f32x4.splat(-1e30)
  let other = most
  for (let at = scores; at < end; at += 32) {
    most = f32x4.pmax(most, v128.load(at))
    other = f32x4.pmax(other, v128.load(at, 16))
  }
  const largest = f32x4.splat(most4(f32x4.pmax(most, other)))
  let total = f32x4.splat(0)
  let rest = total
  for (let at = scores; at < end; at += 32) {
    const e = exp4(f32x4.sub(v128.load(at), largest))
    const f = exp4(f32x4.sub(v128.load(at, 16), largest))
    v128.store(at, e)
    v128.store(at, f, 16)
    total = f32x4.add(total, e)
    rest = f32x4.add(rest, f)
  }
  // e^-87 is not quite nothing
  for (let i = n; i < padded; i++) store<f32>(scores + (<usize>i << 2), 0)
  return sum4(f32x4.add(total, rest))
}
