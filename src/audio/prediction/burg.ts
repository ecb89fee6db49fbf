/** Keeps reflections below 1 where a signal is exactly periodic, or silent. */
const FLOOR = 1e-12

/**
 * Linear prediction by Burg's method (J. P. Burg, *Maximum Entropy Spectral Analysis*, 1975): each
 * reflection coefficient makes the errors forwards and backwards smallest. None reaches 1, so that all
 * poles lie within the unit circle: what these weights make of a signal dies away. Least squares fits
 * better, and promises no such thing.
 *
 * @param values newest first; more than `order`
 * @returns [order] weights, of the newest value first
 */
export function burg(values: Float64Array, order: number): Float64Array {
  const n = values.length
  // the method is the same in both directions of time
  const forwards = values.slice()
  const backwards = values.slice()
  const weights = new Float64Array(order)
  const before = new Float64Array(order)
  for (let m = 0; m < order; m++) {
    let product = 0
    let power = FLOOR
    for (let t = m + 1; t < n; t++) {
      const [f, b] = [forwards[t]!, backwards[t - 1]!]
      product += f * b
      power += f * f + b * b
    }
    const reflection = (2 * product) / power
    before.set(weights)
    for (let i = 0; i < m; i++) weights[i]! -= reflection * before[m - 1 - i]!
    weights[m] = reflection
    for (let t = n - 1; t > m; t--) {
      const [f, b] = [forwards[t]!, backwards[t - 1]!]
      forwards[t] = f - reflection * b
      backwards[t] = b - reflection * f
    }
  }
  return weights
}
