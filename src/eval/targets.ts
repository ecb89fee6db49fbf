/** Which targets a figure is about, and how sure it is. */

/**
 * The first of the targets on which contexts are compared: all that have the longest context before
 * them, or the last half of a piece that is too short for any to have it.
 */
export function commonStart(samples: number, longestContext: number): number {
  return samples > longestContext ? longestContext : Math.floor(samples / 2)
}

/** Mean bits of samples `from` to `to`; null of none. */
export function meanBits(nats: Float32Array, from: number, to: number): number | null {
  let sum = 0
  for (let i = from; i < to; i++) sum += nats[i]!
  return to > from ? sum / (to - from) / Math.LN2 : null
}

/**
 * Standard error of the weighted mean of pieces: that of a mean of n, s / sqrt(n), when all weigh
 * the same. Null for one piece, which says nothing about others.
 */
export function standardError(pieces: readonly { weight: number; mean: number }[]): number | null {
  const n = pieces.length
  if (n < 2) return null
  const total = pieces.reduce((sum, { weight }) => sum + weight, 0)
  const mean = pieces.reduce((sum, p) => sum + p.weight * p.mean, 0) / total
  const squares = pieces.reduce((sum, p) => sum + ((p.weight / total) * (p.mean - mean)) ** 2, 0)
  return Math.sqrt((squares * n) / (n - 1))
}
