/**
 * Ring buffers of columns: [position u32, 12 bytes, columns]. A column is float32, int16 or a list
 * (see quantise.ts). A dilated convolution gathers its taps, oldest last, and is then a product.
 */
import { LIST_HEADER, RING_HEADER } from '../src/stream/opcodes'
import { endList } from './quantise'

/** Moves on by one column, to be written by the caller. */
export function advance(ring: usize, length: u32, bytes: u32): usize {
  let position = load<u32>(ring) + 1
  if (position >= length) position = 0
  store<u32>(ring, position)
  return ring + RING_HEADER + <usize>position * bytes
}

/** The position `back` columns before another. */
@inline
export function before(position: u32, back: u32, length: u32): u32 {
  return position >= back ? position - back : position + length - back
}

/** Taps of `tapBytes` one after the other, the newest first. */
export function gather(
  ring: usize,
  length: u32,
  bytes: u32,
  tapBytes: u32,
  taps: u32,
  dilation: u32,
  y: usize,
): void {
  let position = load<u32>(ring)
  const columns = ring + RING_HEADER
  for (let tap: u32 = 0; tap < taps; tap++) {
    memory.copy(y, columns + <usize>position * bytes, tapBytes)
    y += tapBytes
    position = before(position, dilation, length)
  }
}

/** Lists of the taps joined into one; tap k counts its indices from k * channels. */
export function gatherSparse(
  ring: usize,
  length: u32,
  bytes: u32,
  channels: u32,
  taps: u32,
  dilation: u32,
  capacity: u32,
  y: usize,
  yCapacity: u32,
): void {
  let position = load<u32>(ring)
  const columns = ring + RING_HEADER
  const toIndex = <usize>capacity << 1
  const yToIndex = <usize>yCapacity << 1
  let to = y + LIST_HEADER
  for (let tap: u32 = 0; tap < taps; tap++) {
    const list = columns + <usize>position * bytes
    const count = <usize>load<u32>(list) << 1
    const offset = i16x8.splat(<i16>(tap * channels))
    const from = list + LIST_HEADER
    // 8 at a time: what is written too far is written again by the next tap
    for (let i: usize = 0; i < count; i += 16) {
      v128.store(to + i, v128.load(from + i))
      v128.store(to + i + yToIndex, i16x8.add(v128.load(from + i + toIndex), offset))
    }
    to += count
    position = before(position, dilation, length)
  }
  endList(y, to, yToIndex)
}
