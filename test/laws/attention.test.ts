/** Absorbed attention is plain multi-head attention, of which keys and values are never made. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { add, Graph, input, softmax } from '../../src/graph/index.js'
import {
  attention,
  BUCKETS,
  causalBias,
  causalSpans,
  distanceBucket,
} from '../../src/nn/attention.js'
import { initialise, Parameters } from '../../src/nn/parameters.js'
import { engine } from '../graph/gradcheck.js'
import { distance, normals, stir, typed } from './tiny.js'

interface Sizes {
  batch: number
  tokens: number
  keys: number
  width: number
  heads: number
  headWidth: number
}

type Arrays = Record<string, Float64Array>

/** Multi-head attention as Vaswani et al. 2017 print it, with all four biases, number by number. */
function plain(a: Arrays, { batch, tokens, keys, width, heads, headWidth }: Sizes): Float64Array {
  const y = new Float64Array(batch * tokens * width)
  /** (row W + b)[d] of one head: W [heads, width, headWidth], b [heads, 1, headWidth]. */
  const project = (row: Float64Array, w: Float64Array, b: Float64Array, head: number) =>
    Float64Array.from({ length: headWidth }, (_, d) => {
      let total = b[head * headWidth + d]!
      for (let c = 0; c < width; c++) total += row[c]! * w[(head * width + c) * headWidth + d]!
      return total
    })
  const rowOf = (x: Float64Array, index: number) => x.subarray(index * width, (index + 1) * width)

  for (let n = 0; n < batch; n++) {
    for (let i = 0; i < tokens; i++) {
      const out = rowOf(y, n * tokens + i)
      out.set(a.bo!)
      for (let head = 0; head < heads; head++) {
        const q = project(rowOf(a.x!, n * tokens + i), a.wq!, a.bq!, head)
        const scores: number[] = []
        const values: Float64Array[] = []
        for (let j = 0; j < keys; j++) {
          const past = rowOf(a.past!, n * keys + j)
          const k = project(past, a.wk!, a.bk!, head)
          values.push(project(past, a.wv!, a.bv!, head))
          const product = q.reduce((sum, x, d) => sum + x * k[d]!, 0)
          scores.push(product / Math.sqrt(headWidth) + a.bias![(i * heads + head) * keys + j]!)
        }
        const largest = Math.max(...scores)
        const weights = scores.map((s) => Math.exp(s - largest))
        const total = weights.reduce((sum, w) => sum + w, 0)
        for (let d = 0; d < headWidth; d++) {
          let seen = 0
          for (let j = 0; j < keys; j++) seen += (weights[j]! / total) * values[j]![d]!
          for (let c = 0; c < width; c++) {
            out[c]! += seen * a.wo![(head * headWidth + d) * width + c]!
          }
        }
      }
    }
  }
  return y
}

function drawn({ batch, tokens, keys, width, heads, headWidth }: Sizes, seed: number): Arrays {
  const sizes = {
    x: batch * tokens * width,
    past: batch * keys * width,
    bias: tokens * heads * keys,
    wq: heads * width * headWidth,
    wk: heads * width * headWidth,
    wv: heads * width * headWidth,
    wo: heads * headWidth * width,
    bq: heads * headWidth,
    bk: heads * headWidth,
    bv: heads * headWidth,
    bo: width,
  }
  const entries = Object.entries(sizes)
  return Object.fromEntries(entries.map(([name, size], i) => [name, normals(size, seed, i)]))
}

async function absorbed(a: Arrays, sizes: Sizes) {
  const { batch, tokens, keys, width, heads, headWidth } = sizes
  const p = new Parameters(new Graph('float64'))
  const x = input(p.graph, 'x', [batch, tokens, width])
  const past = input(p.graph, 'past', [batch, keys, width])
  const bias = input(p.graph, 'bias', [tokens * heads, keys])
  const all = { queries: [0, tokens], keys: [0, keys], bias } as const
  const y = attention(p, 'att', x, past, [all], { heads, headWidth })
  const program = await (await engine()).compile({ y })
  const feeds = Object.fromEntries(
    Object.entries(a).flatMap(([name, values]) => [
      [name, values],
      [`att.${name}`, values],
    ]),
  )
  return { program, feeds, y: (await program.run(feeds)).y! }
}

const sizes: fc.Arbitrary<Sizes> = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    tokens: fc.integer({ min: 1, max: 4 }),
    past: fc.integer({ min: 0, max: 3 }),
    width: fc.integer({ min: 1, max: 5 }),
    heads: fc.integer({ min: 1, max: 3 }),
    headWidth: fc.integer({ min: 1, max: 5 }),
  })
  .map(({ past, ...rest }) => ({ ...rest, keys: rest.tokens + past }))

describe('causal spans', () => {
  it.each([
    ['all keys', 150, 150, 150],
    ['keys of the past as well', 130, 170, 170],
    ['a window', 150, 170, 40],
    ['a window shorter than a span is long', 70, 70, 3],
  ])('give what one span gives: %s', async (_, queries, keys, window) => {
    const [batch, width] = [2, 5]
    const options = { heads: 2, headWidth: 3 }
    const graph = new Graph('float64')
    const p = new Parameters(graph)
    const x = input(graph, 'x', [batch, queries, width])
    const past = input(graph, 'past', [batch, keys, width])
    const mask = input(graph, 'mask', [1, keys])
    const reach = { queries, keys, window, heads: 2 }
    const spans = causalSpans(p, 'b', reach, { mask })
    expect(spans.length).toBeGreaterThan(1)
    expect(spans.map((span) => span.queries[0])).toEqual([
      0,
      ...spans.slice(0, -1).map((span) => span.queries[1]),
    ])
    const bias = add(causalBias(p, 'b', reach), mask)
    const one = { queries: [0, queries], keys: [0, keys], bias } as const
    const program = await (await engine()).compile({
      several: attention(p, 'a', x, past, spans, options),
      one: attention(p, 'a', x, past, [one], options),
    })
    const declared = initialise([...p.declared.values()], 52)
    const { several, one: whole } = await program.run({
      ...typed(stir(declared, 52), 'float64'),
      x: normals(batch * queries * width, 53),
      past: normals(batch * keys * width, 54),
      mask: normals(keys, 55),
    })
    expect(distance(several!, whole!)).toBeLessThan(1e-12)
  })
})

describe('absorbed attention', () => {
  it('equals plain attention with explicit keys and values, and all biases', () =>
    fc.assert(
      fc.asyncProperty(sizes, fc.nat(), async (size, seed) => {
        const a = drawn(size, seed)
        const { y } = await absorbed(a, size)
        expect(distance(y, plain(a, size))).toBeLessThan(1e-10)
      }),
      { numRuns: 20, seed: 51 },
    ))

  it('may leave a bias on keys out: it changes nothing; one on queries or values does', () => {
    const size = { batch: 2, tokens: 3, keys: 4, width: 5, heads: 2, headWidth: 3 }
    const a = drawn(size, 52)
    const with3 = (name: string) => plain({ ...a, [name]: a[name]!.map((x) => x + 3) }, size)
    expect(distance(with3('bk'), plain(a, size))).toBeLessThan(1e-12)
    for (const name of ['bq', 'bv', 'bo']) {
      expect(distance(with3(name), plain(a, size))).toBeGreaterThan(0.01)
    }
  })
})

describe('distanceBucket', () => {
  it('keeps short distances apart and never falls', () => {
    for (let d = 0; d < 16; d++) expect(distanceBucket(d)).toBe(d)
    const rises = new Set<number>()
    for (let d = 1; d <= 16_384; d++) rises.add(distanceBucket(d) - distanceBucket(d - 1))
    expect(rises).toEqual(new Set([1, 0]))
    expect(distanceBucket(16_384)).toBe(BUCKETS - 1)
  })

  it('has four buckets for every doubling', () => {
    for (let octave = 16; octave < 16_384; octave *= 2) {
      expect(distanceBucket(2 * octave) - distanceBucket(octave)).toBe(4)
    }
  })
})

describe('causalBias', () => {
  it.each([
    [3, 3, 3],
    [2, 5, 5],
    [4, 6, 2],
    [1, 40, 40],
  ])('%i queries over %i keys, window %i', async (queries, keys, window) => {
    const heads = 2
    const p = new Parameters(new Graph('float64'))
    const bias = causalBias(p, 'b', { queries, keys, window, heads })
    expect(bias.shape).toEqual([queries * heads, keys])
    const random = new Random(53)
    const table = Float64Array.from({ length: BUCKETS * heads }, () => random.normal())
    const program = await (await engine()).compile({ bias, weights: softmax(bias) })
    const found = await program.run({ 'b.distance': table })
    for (let i = 0; i < queries; i++) {
      for (let j = 0; j < keys; j++) {
        const back = keys - queries + i - j
        for (let head = 0; head < heads; head++) {
          const at = (i * heads + head) * keys + j
          if (back >= 0 && back < window) {
            expect(found.bias![at]).toBe(table[distanceBucket(back) * heads + head])
            expect(found.weights![at]).toBeGreaterThan(0)
          } else expect(found.weights![at]).toBe(0)
        }
      }
    }
  })
})
