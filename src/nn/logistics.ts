import {
  add,
  concat,
  constant,
  div,
  exp,
  log,
  mul,
  relu,
  scale,
  shift,
  slice,
  softmax,
  sub,
  type Tensor,
  tanh,
} from '../graph/index.js'

/** Probability that every level has at least, however far it is from the centre. */
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
  const [graph, rows] = [mean.graph, numbers.shape[0]!]
  const at = constant(graph, edges, [1, edges.length])
  const distance = mul(sub(at, mean), inverse) // [n, levels - 1], in scales
  const gaps = mul(gapsOf(at), inverse) // [n, levels]
  const one = constant(graph, new Float32Array(rows).fill(1), [rows, 1])
  const weights = softmax(slice(numbers, 1, 2 * curves, 3 * curves)) // [n, curves]
  let mass: Tensor | undefined // of all curves between the edges of every level
  for (let k = 0; k < curves; k++) {
    const centre = slice(numbers, 1, k, k + 1) // [n, 1]
    const width = slice(numbers, 1, curves + k, curves + k + 1)
    const steepness = exp(scale(shift(width, Math.log(CURVE_WIDTHS[k % CURVE_WIDTHS.length]!)), -1))
    const edge = mul(sub(distance, centre), steepness) // [n, levels - 1]
    // s(b) - s(a) = s(b) s(-a) (1 - e^(a - b)), which loses no small mass
    const above = concat([logistic(edge), one], 1) // [n, levels]
    const below = concat([one, logistic(scale(edge, -1))], 1)
    const half = tanh(scale(mul(gaps, steepness), 0.5))
    const rise = scale(div(half, shift(half, 1)), 2)
    const part = mul(mul(mul(above, below), rise), slice(weights, 1, k, k + 1))
    mass = mass ? add(mass, part) : part
  }
  return log(shift(mass!, LEAST))
}

/** 1 / (1 + e^-x): ONNX Runtime's own sigmoid is near in absolute terms alone, and small masses count. */
function logistic(x: Tensor): Tensor {
  const one = constant(x.graph, Float32Array.of(1), [1, 1])
  const bounded = shift(scale(relu(shift(x, FAR)), -1), FAR) // min(-x, FAR), lest the exponential overflow
  return div(one, shift(exp(bounded), 1))
}

/** e^-FAR is nothing beside the floor. */
const FAR = 40

/** Widths of all levels [1, levels]; the outermost have no end. */
function gapsOf(edges: Tensor): Tensor {
  const count = edges.shape[1]!
  const far = constant(edges.graph, Float32Array.of(1e6), [1, 1])
  const between = sub(slice(edges, 1, 1, count), slice(edges, 1, 0, count - 1))
  return concat([far, between, far], 1)
}
