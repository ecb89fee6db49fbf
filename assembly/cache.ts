/**
 * Caches: what a layer remembers of every token, phase by phase, so that a sample reads one stretch. A
 * phase is a ring of `window` rows; a row has `groups` parts of `width` numbers, each padded to
 * `padded`. Its position lies apart, one for each thread: [next phase, next token, newest phase, newest
 * token: u32].
 */

/** Moves on by one row, to be written by the caller. */
export function nextRow(
  position: usize,
  rows: usize,
  phases: u32,
  phaseBytes: u32,
  rowBytes: u32,
  window: u32,
): usize {
  const phase = load<u32>(position)
  const token = load<u32>(position, 4)
  store<u32>(position, phase, 8)
  store<u32>(position, token, 12)
  const isLast = phase + 1 >= phases
  store<u32>(position, isLast ? 0 : phase + 1)
  if (isLast) store<u32>(position, token + 1, 4)
  return rows + <usize>phase * phaseBytes + <usize>(token % window) * rowBytes
}

/** Rows of the newest phase. */
export function newestRows(position: usize, rows: usize, phaseBytes: u32): usize {
  return rows + <usize>load<u32>(position, 8) * phaseBytes
}

/** Tokens so far of the newest phase. */
export function newestCount(position: usize): u32 {
  return load<u32>(position, 12) + 1
}

/** The head that goes with `h`: the next of its group, or itself. */
@inline
export function other(h: usize, all: usize, heads: u32): usize {
  return h + 1 < all && <u32>(h + 1) % heads != 0 ? h + 1 : h
}

export function rememberF32(
  position: usize,
  rows: usize,
  phases: u32,
  phaseBytes: u32,
  rowBytes: u32,
  window: u32,
  x: usize,
  groups: u32,
  width: u32,
  padded: u32,
): void {
  let to = nextRow(position, rows, phases, phaseBytes, rowBytes, window)
  for (let g: u32 = 0; g < groups; g++) {
    memory.copy(to, x, (<usize>width) << 2)
    x += (<usize>width) << 2
    to += (<usize>padded) << 2
  }
}

@inline
function scaled(x: usize, factors: usize): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), v128.load(factors))))
}

/**
 * Bytes of even dims are 128 larger, so that two dims make a word (see words.ts).
 *
 * @param factors [groups, padded] what numbers are multiplied with to be int8
 */
export function rememberInt8(
  position: usize,
  rows: usize,
  phases: u32,
  phaseBytes: u32,
  rowBytes: u32,
  window: u32,
  x: usize,
  groups: u32,
  width: u32,
  padded: u32,
  factors: usize,
): void {
  let to = nextRow(position, rows, phases, phaseBytes, rowBytes, window)
  for (let g: u32 = 0; g < groups; g++) {
    let i: u32 = 0
    for (; i + 8 <= width; i += 8) {
      const at = (<usize>i) << 2
      const words = i16x8.narrow_i32x4_s(scaled(x + at, factors + at), scaled(x + at + 16, factors + at + 16))
      const bounded = i16x8.max_s(i16x8.min_s(words, i16x8.splat(127)), i16x8.splat(-127))
      const bytes = i8x16.narrow_i16x8_s(bounded, bounded)
      v128.store64_lane(to + i, v128.xor(bytes, i16x8.splat(0x80)), 0) // 128 more or less is the same
    }
    for (; i < width; i++) {
      const at = (<usize>i) << 2
      const q = nearest<f32>(load<f32>(x + at) * load<f32>(factors + at))
      const byte = <i32>max<f32>(min<f32>(q, 127), -127)
      store<i8>(to + i, <i8>(i & 1 ? byte : byte + 128))
    }
    x += (<usize>width) << 2
    factors += (<usize>padded) << 2
    to += padded
  }
}
