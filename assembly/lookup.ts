/** Rows of tables, one for each of the newest numbers. */
import { RING_HEADER } from '../src/stream/opcodes'
import { add } from './elementwise'
import { before } from './ring'

/** y = sum over taps k of row x[t - k] scale + offset of table k; tables [taps, rows, n]. */
export function lookup(
  ring: usize,
  length: u32,
  taps: u32,
  scale: f32,
  offset: f32,
  tables: usize,
  rows: u32,
  n: u32,
  y: usize,
): void {
  let position = load<u32>(ring)
  const bytes = <usize>n << 2
  memory.fill(y, 0, bytes)
  for (let tap: u32 = 0; tap < taps; tap++) {
    const x = load<f32>(ring + RING_HEADER + (<usize>position << 2))
    const row = nearest<f32>(x * scale + offset)
    const bounded = <u32>min<f32>(max<f32>(row, 0), <f32>(rows - 1))
    add(y, tables + <usize>bounded * bytes, n, y)
    tables += <usize>rows * bytes
    position = before(position, 1, length)
  }
}
