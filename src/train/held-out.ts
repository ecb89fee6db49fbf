import { Random } from '../base/random.js'
import type { Piece } from '../data/index.js'

/** Separates the choice of held-out segments from other uses of a seed. */
const STREAM = 0x4e1d

/**
 * The same `count` segments of `length + 1` codes for the same seed, spread evenly over all
 * positions of the pieces; none when every piece is shorter.
 */
export function heldOutSegments(
  pieces: readonly Piece[],
  length: number,
  count: number,
  seed: number,
): Uint8Array[] {
  const places = pieces.map((piece) => Math.max(0, piece.samples - length))
  const total = places.reduce((sum, n) => sum + n, 0)
  if (total === 0) return []
  const random = new Random(seed, STREAM)
  return Array.from({ length: count }, (_, i) => {
    let at = Math.min(total - 1, Math.floor(((i + random.uniform()) / count) * total))
    let index = 0
    while (at >= places[index]!) at -= places[index++]!
    return pieces[index]!.codes().slice(at, at + length + 1)
  })
}
