import {
  add,
  concat,
  constant,
  exp,
  log,
  mul,
  pad,
  scale,
  shift,
  sigmoid,
  slice,
  softmax,
  sub,
  type Tensor,
} from '../graph/index.js'

/** Probability that every level has at least: float32 cannot tell smaller ones far from the centre. */
const LEAST = 1e-6

/** Numbers that `logisticLevels` takes for each curve: centre, width and weight. */
export const CURVE_NUMBERS = 3

/** Widths of curves before training, relative to the scale: a middle, a narrow and a wide one. */
export const CURVE_WIDTHS = [0.5, 0.25, 1.5] as const

/**
 * Logits of levels under a mixture of logistic curves around an expected value, each integrated over
 * the cell of a level (Salimans et al. 2017, section 2.1). The centre and the width of a curve are
 * relative to `mean` and to the scale, so that zeros are already a sensible distribution.
 *
 * @param edges the values between neighbouring levels, rising, levels - 1 of them
 * @param mean expected value [n, 1]
 * @param inverse 1 / scale [n, 1], in the same unit
 * @param numbers [n, 3 curves]: centres in scales, logarithms of widths, logits of weights
 * @returns logarithms of probabilities [n, levels]
 */
export function logisticLevels(
  edges: Float32Array,
  mean: Tensor,
  inverse: Tensor,
  numbers: Tensor,
): Tensor {
  const curves = numbers.shape[1]! / CURVE_NUMBERS
  const at = constant(mean.graph, edges, [1, edges.length])
  const distance = mul(sub(at, mean), inverse) // [n, levels - 1], in scales
  const weights = softmax(slice(numbers, 1, 2 * curves, 3 * curves)) // [n, curves]
  let below: Tensor | undefined // probability of all levels up to each edge
  for (let k = 0; k < curves; k++) {
    const centre = slice(numbers, 1, k, k + 1) // [n, 1]
    const width = slice(numbers, 1, curves + k, curves + k + 1)
    const steepness = exp(scale(shift(width, Math.log(CURVE_WIDTHS[k % CURVE_WIDTHS.length]!)), -1))
    const curve = sigmoid(mul(sub(distance, centre), steepness)) // [n, levels - 1]
    const part = mul(curve, slice(weights, 1, k, k + 1))
    below = below ? add(below, part) : part
  }
  const rows = numbers.shape[0]!
  const all = constant(mean.graph, new Float32Array(rows).fill(1), [rows, 1])
  const upper = concat([below!, all], 1) // [n, levels]
  return log(shift(sub(upper, pad(below!, 1, 1, 0)), LEAST))
}
