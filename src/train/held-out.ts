import { Random } from '../base/random.js'
import { type Piece, segmentAt } from '../data/index.js'
import type { Learner } from '../models/model.js'

/** Separates the choice of held-out segments from other uses of a seed. */
const STREAM = 0x4e1d

/**
 * The same `count` segments that the learner takes for the same seed, spread evenly over all
 * positions of the pieces; none when every piece is shorter.
 */
export function heldOutSegments(
  pieces: readonly Piece[],
  { segmentLength: length, lead }: Pick<Learner, 'segmentLength' | 'lead'>,
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
    return segmentAt(pieces[index]!, at, { length, lead })
  })
}
