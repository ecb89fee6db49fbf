import { cellEdges, cellOf, cellWidths } from '../audio/index.js'

/**
 * The probability of each of 256 levels around an expected value: a mixture of bell curves, each
 * integrated over the level's cell, whose scale follows the recent errors and the width of the cells,
 * and whose weights follow how well each curve did. All from the past alone, and sums to 1.
 */
export interface LevelModel {
  /** Centres the distribution on the expected value of the next level. */
  expect(mean: number): void
  /** Probability of a level under the present distribution, above 0. */
  probability(code: number): number
  /** Takes the level that came, and returns the probability that it had. */
  update(code: number): number
}

/** A cumulative distribution of unit scale, on a grid: fast, and monotone by construction. */
const STEPS_PER_UNIT = 64
const REACH = 24
const CENTRE = STEPS_PER_UNIT * REACH

function cumulative(density: (x: number) => number): Float64Array {
  const grid = new Float64Array(2 * CENTRE + 1)
  for (let i = 1; i < grid.length; i++) {
    grid[i] = grid[i - 1]! + density((i - 0.5 - CENTRE) / STEPS_PER_UNIT)
  }
  return grid.map((sum) => sum / grid[grid.length - 1]!)
}

function lookUp(grid: Float64Array, x: number): number {
  const at = x * STEPS_PER_UNIT + CENTRE
  if (at <= 0) return 0
  if (at >= 2 * CENTRE) return 1
  const low = at | 0
  const below = grid[low]!
  return below + (at - low) * (grid[low + 1]! - below)
}

const GAUSS = cumulative((x) => Math.exp((-x * x) / 2))
/** Student's t with 4 degrees of freedom: for the attacks of notes. */
const STUDENT = cumulative((x) => (1 + (x * x) / 4) ** -2.5)

/** The curves of the mixture: shape, and scale relative to the common one. */
const CURVES: readonly (readonly [Float64Array, number])[] = [
  [GAUSS, 0.45],
  [GAUSS, 0.7],
  [GAUSS, 1],
  [STUDENT, 1],
  [STUDENT, 3],
]
/** After the curves comes the histogram of all levels so far, for codes that no line explains. */
const PARTS = CURVES.length + 1
/** Weight that all parts share anew at each sample, so that a beaten one can come back. */
const SHARE = 0.001
/** Weight of the uniform distribution: no level is ever impossible. */
const FLOOR = 1e-4

/** Decay of the mean squared errors that the scale is made of: about 10, 50 and 300 samples. */
const DECAYS = [0.1, 0.02, 0.003] as const
/** Learning rate of the scale, bound of its features and of its gradient. */
const RATE = 0.001
const MOST_FEATURE = 3
const MOST_GRADIENT = 2

export function levelModel(table: Float32Array): LevelModel {
  const levels = table.length
  const edges = cellEdges(table)
  const widths = cellWidths(edges)
  const weights = new Float64Array(PARTS).fill(1 / PARTS)
  const shares = new Float64Array(PARTS)
  const counts = new Float64Array(levels).fill(0.5)
  let total = levels / 2
  // one log-linear model of the scale: its logarithm is that of the middle error plus theta . features
  const squares = new Float64Array(DECAYS.length).fill((table[levels - 1]! - table[0]!) ** 2 / 256)
  const features = new Float64Array(4)
  const theta = new Float64Array(4)
  const finest = Math.min(...widths) / 10
  let mean = 0
  let scale = 1

  function mixture(code: number): number {
    const low = edges[code]! - mean
    const high = edges[code + 1]! - mean
    let sum = 0
    for (let i = 0; i < CURVES.length; i++) {
      const [grid, relative] = CURVES[i]!
      const inverse = 1 / (scale * relative)
      shares[i] = lookUp(grid, high * inverse) - lookUp(grid, low * inverse)
      sum += weights[i]! * shares[i]!
    }
    shares[PARTS - 1] = counts[code]! / total
    return sum + weights[PARTS - 1]! * shares[PARTS - 1]!
  }
  const withFloor = (p: number) => (1 - FLOOR) * p + FLOOR / levels

  return {
    expect(value) {
      mean = Math.min(Math.max(value, table[0]!), table[levels - 1]!)
      // a rounded value is off by the width of its cell / sqrt(12), whatever the predictor does
      const rounding = widths[cellOf(edges, mean)]! ** 2 / 12
      const least = rounding / 10 + finest * finest
      const middle = Math.log(squares[1]! + least) / 2
      features[0] = bounded(Math.log(squares[0]! + least) / 2 - middle, MOST_FEATURE)
      features[1] = bounded(Math.log(squares[2]! + least) / 2 - middle, MOST_FEATURE)
      features[2] = bounded(Math.log(rounding + least) / 2 - middle, MOST_FEATURE)
      features[3] = 1
      let log = middle
      for (let i = 0; i < 4; i++) log += theta[i]! * features[i]!
      scale = Math.max(finest, Math.exp(log))
    },
    probability: (code) => withFloor(mixture(code)),
    update(code) {
      const p = mixture(code)
      for (let i = 0; i < PARTS; i++) {
        const posterior = p > 0 ? (weights[i]! * shares[i]!) / p : 1 / PARTS
        weights[i] = (1 - SHARE) * posterior + SHARE / PARTS
      }
      counts[code]!++
      total++
      const error = table[code]! - mean
      // the gradient of a logistic density's logarithm: near Gauss in the middle, bounded outside
      const z = (1.8 * Math.abs(error)) / scale
      const gradient = Math.max(-MOST_GRADIENT, 1 - z * Math.tanh(z / 2))
      for (let i = 0; i < 4; i++) theta[i]! -= RATE * gradient * features[i]!
      for (let i = 0; i < DECAYS.length; i++) {
        squares[i]! += DECAYS[i]! * (error * error - squares[i]!)
      }
      return withFloor(p)
    },
  }
}

const bounded = (x: number, most: number) => Math.min(Math.max(x, -most), most)
