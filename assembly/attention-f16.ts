/**
 * Attention over a cache of halves: a tile of rows at a time becomes float32 beside the sums, near
 * enough for all heads to read it, and is then attended to as any float32 rows.
 */
import { attendRows } from './attention-f32'
import { nextRow } from './cache'
import { toHalves } from './half'

/** As `rememberF32`, halves of the numbers. */
export function rememberF16(
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
    toHalves(x, width, to)
    x += (<usize>width) << 2
    to += (<usize>padded) << 1
  }
}

/**
 * As `attendF32`.
 *
 * @param scratch (groups heads) (2 padded + padWindow) numbers, then a tile of rows in float32
 */
export function attendF16(
  position: usize,
  keys: usize,
  values: usize,
  phaseBytes: u32,
  rowBytes: u32,
  window: u32,
  padWindow: u32,
  groups: u32,
  heads: u32,
  width: u32,
  padded: u32,
  q: usize,
  bias: usize,
  scratch: usize,
  y: usize,
): void {
  attendRows(
    position, keys, values, phaseBytes, rowBytes, window, padWindow, groups, heads, width, padded, q, bias, scratch, y, true,
  )
}
