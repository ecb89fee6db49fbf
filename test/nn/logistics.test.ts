import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { quantizer } from '../../src/audio/quantize.js'
import { exp, Graph, input } from '../../src/graph/index.js'
import { CURVE_NUMBERS, logisticLevels } from '../../src/nn/logistics.js'
import { engine, gradientError } from '../graph/gradcheck.js'

/** A few uneven levels: by hand and by the graph. */
const FEW = Float32Array.of(-0.9, -0.4, -0.1, 0.05, 0.1, 0.5)

const edgesOf = (name: 'mu-law' | 'linear') => {
  const { table } = quantizer(name)
  return table.subarray(1).map((value, i) => (table[i]! + value) / 2)
}

interface Row {
  mean: number
  scale: number
  /** Centres, logarithms of widths, logits of weights. */
  numbers: readonly number[]
}

/** Probabilities [rows, levels] that the graph finds. */
async function levels(
  edges: Float32Array,
  rows: readonly Row[],
  dtype: 'float32' | 'float64' = 'float32',
) {
  const graph = new Graph(dtype)
  const count = rows[0]!.numbers.length
  const logits = logisticLevels(
    edges,
    input(graph, 'mean', [rows.length, 1]),
    input(graph, 'inverse', [rows.length, 1]),
    input(graph, 'numbers', [rows.length, count]),
  )
  const program = await (await engine()).compile({ logits })
  const array = dtype === 'float64' ? Float64Array : Float32Array
  const found = await program.run({
    mean: array.from(rows.map(({ mean }) => mean)),
    inverse: array.from(rows.map(({ scale }) => 1 / scale)),
    numbers: array.from(rows.flatMap(({ numbers }) => numbers)),
  })
  await program.dispose()
  const size = edges.length + 1
  return rows.map((_, i) =>
    Array.from(found.logits!.subarray(i * size, (i + 1) * size), (x) => Math.exp(x)),
  )
}

const sum = (values: readonly number[]) => values.reduce((total, x) => total + x, 0)

/** Widths in scales that curves begin with. */
const WIDTHS = [0.5, 0.25, 1.5]

/** Salimans et al. 2017, section 2.1, number by number: integrals of curves over cells. */
function literal(edges: Float32Array, { mean, scale, numbers }: Row): number[] {
  const curves = numbers.length / CURVE_NUMBERS
  const part = (i: number) => numbers.slice(i * curves, (i + 1) * curves)
  const [centres, widths, logits] = [part(0), part(1), part(2)]
  const total = sum(logits.map(Math.exp))
  /** Probability below a value: 0 and 1 at the ends. */
  const below = (value: number) =>
    sum(
      centres.map((centre, k) => {
        const width = scale * WIDTHS[k % 3]! * Math.exp(widths[k]!)
        const z = (value - (mean + scale * centre)) / width
        return (Math.exp(logits[k]!) / total) * (1 / (1 + Math.exp(-z)))
      }),
    )
  return Array.from({ length: edges.length + 1 }, (_, i) => {
    const upper = i < edges.length ? below(edges[i]!) : 1
    return upper - (i > 0 ? below(edges[i - 1]!) : 0) + 1e-6
  })
}

const number = (from: number, to: number) =>
  fc.double({ min: from, max: to, noNaN: true, noDefaultInfinity: true })

const anyRow = (curves: number): fc.Arbitrary<Row> =>
  fc.record({
    mean: number(-1, 1),
    scale: number(-12, 0.5).map(Math.exp),
    numbers: fc
      .tuple(
        fc.array(number(-4, 4), { minLength: curves, maxLength: curves }),
        fc.array(number(-3, 3), { minLength: curves, maxLength: curves }),
        fc.array(number(-5, 5), { minLength: curves, maxLength: curves }),
      )
      .map((parts) => parts.flat()),
  })

const anyRows = fc
  .integer({ min: 1, max: 4 })
  .chain((curves) => fc.array(anyRow(curves), { minLength: 1, maxLength: 5 }))

const anyEdges = fc.constantFrom(FEW, edgesOf('mu-law'), edgesOf('linear'))

describe('logisticLevels', () => {
  it('is the integral of every curve over every cell, and a floor', () =>
    fc.assert(
      fc.asyncProperty(anyEdges, anyRows, async (edges, rows) => {
        const found = await levels(edges, rows, 'float64')
        for (const [i, row] of rows.entries()) {
          for (const [level, p] of literal(edges, row).entries()) {
            expect(Math.abs(found[i]![level]! - p)).toBeLessThan(1e-9)
          }
        }
      }),
      { numRuns: 30, seed: 51 },
    ))

  it('gives probabilities above 0 that sum to 1, but for the floor, in float32', () =>
    fc.assert(
      fc.asyncProperty(anyEdges, anyRows, async (edges, rows) => {
        for (const probabilities of await levels(edges, rows)) {
          expect(probabilities).toHaveLength(edges.length + 1)
          expect(probabilities.every((p) => p > 1e-7 && p < 1.001)).toBe(true)
          expect(Math.abs(sum(probabilities) - 1)).toBeLessThan(1e-3)
        }
      }),
      { numRuns: 30, seed: 52 },
    ))

  it('has gradients that equal central differences', () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.nat(), async (curves, seed) => {
        const rows = 2
        const error = await gradientError(
          { mean: [rows, 1], power: [rows, 1], numbers: [rows, CURVE_NUMBERS * curves] },
          ({ mean, power, numbers }) => logisticLevels(FEW, mean!, exp(power!), numbers!),
          { seed, draw: (random) => 0.5 * random.normal() },
        )
        expect(error).toBeLessThan(1e-6)
      }),
      { numRuns: 8, seed: 53 },
    ))

  it('with zeros is one curve around the mean as wide as its scale says', async () => {
    const edges = edgesOf('linear')
    const zeros = [0, 0, 0]
    const [sure, unsure] = await levels(edges, [
      { mean: 0.25, scale: 0.01, numbers: zeros },
      { mean: 0.25, scale: 0.1, numbers: zeros },
    ])
    const likeliest = (p: number[]) => p.indexOf(Math.max(...p))
    expect([likeliest(sure!), likeliest(unsure!)]).toEqual([160, 160]) // 128 + 128 / 4
    expect(sure![160]).toBeGreaterThan(unsure![160]!)
    // symmetric around its middle
    for (const d of [1, 5, 20]) expect(unsure![160 + d]).toBeCloseTo(unsure![160 - d]!, 5)
  })

  it('moves with its centre, spreads with its width, leans to the heavier curve', async () => {
    const edges = edgesOf('linear')
    const at = async (change: (i: number) => number[]) => {
      const rows = [0, 1, 2, 3, 4].map((i) => ({ mean: 0.1, scale: 0.05, numbers: change(i) }))
      return (await levels(edges, rows)).map((p) => {
        const total = sum(p)
        const mean = sum(p.map((x, level) => x * level)) / total
        return { mean, spread: sum(p.map((x, level) => x * (level - mean) ** 2)) / total }
      })
    }
    const rises = (values: number[]) => values.every((x, i) => i === 0 || x > values[i - 1]! + 0.1)
    expect(rises((await at((i) => [i - 2, 0, 0])).map(({ mean }) => mean))).toBe(true)
    expect(rises((await at((i) => [0, 0.5 * i - 1, 0])).map(({ spread }) => spread))).toBe(true)
    // the second of two curves lies above the first
    const leaning = await at((i) => [-3, 3, 0, 0, 0, i - 2])
    expect(rises(leaning.map(({ mean }) => mean))).toBe(true)
  })

  it('puts what is beyond the outermost levels into these', async () => {
    const [above, below] = await levels(FEW, [
      { mean: 3, scale: 0.01, numbers: [0, 0, 0] },
      { mean: -3, scale: 0.01, numbers: [0, 0, 0] },
    ])
    expect(above!.at(-1)).toBeCloseTo(1, 4)
    expect(below![0]).toBeCloseTo(1, 4)
  })
})
