/** Law 3: every gradient equals central differences; splitting a computation changes nothing. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import type { Program, Values } from '../../src/engine/index.js'
import { input, type Shape, sizeOf, softmax, type Tensor } from '../../src/graph/index.js'
import {
  buildBlock,
  buildStretch,
  differentiateBlock,
  differentiateStretch,
} from '../../src/models/flagship-programs.js'
import { FORECAST_WIDTH } from '../../src/models/forecast.js'
import { attention, causalBias } from '../../src/nn/attention.js'
import { causalConv, layerNorm, linear } from '../../src/nn/layers.js'
import { declare, Parameters } from '../../src/nn/parameters.js'
import { engine, gradientError } from '../graph/gradcheck.js'
import {
  distance,
  FORMS,
  normals,
  once,
  randomCodes,
  randomParameters,
  samplesOf,
  splits,
  typed,
} from './tiny.js'

/** Like `gradientError`, with the gradients of the parameters that `build` declares as well. */
function layerGradientError(
  shapes: Record<string, Shape>,
  build: (p: Parameters, inputs: Record<string, Tensor>) => Tensor,
  seed: number,
): Promise<number> {
  const declared = declare((p) => {
    const entries = Object.entries(shapes)
    build(p, Object.fromEntries(entries.map(([name, s]) => [name, input(p.graph, name, s)])))
  }).filter(({ name }) => !name.endsWith('.bk')) // never computed with
  const all = Object.fromEntries(declared.map(({ name, shape }) => [name, shape]))
  return gradientError(
    { ...shapes, ...all },
    (inputs, graph) => {
      const p = new Parameters(graph)
      for (const { name } of declared) p.tensors.set(name, inputs[name]!)
      return build(p, inputs)
    },
    { seed, draw: (random) => 0.7 * random.normal() },
  )
}

const size = (max: number, min = 1) => fc.integer({ min, max })

describe('gradients of layers equal central differences in float64', () => {
  it('attention, any shape', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          batch: size(2),
          tokens: size(3),
          past: size(2, 0),
          width: size(3),
          heads: size(2),
          headWidth: size(3),
          seed: fc.nat(),
        }),
        async ({ batch, tokens, past, width, heads, headWidth, seed }) => {
          const keys = tokens + past
          const error = await layerGradientError(
            {
              x: [batch, tokens, width],
              past: [batch, keys, width],
              bias: [tokens * heads, keys],
            },
            (p, { x, past, bias }) => {
              const all = { queries: [0, tokens], keys: [0, keys], bias: bias! } as const
              return attention(p, 'a', x!, past!, [all], { heads, headWidth })
            },
            seed,
          )
          expect(error).toBeLessThan(1e-6)
        },
      ),
      { numRuns: 8, seed: 31 },
    ))

  it('layerNorm', () =>
    fc.assert(
      fc.asyncProperty(size(3), size(5, 2), fc.nat(), async (rows, width, seed) => {
        const build = (p: Parameters, { x }: Record<string, Tensor>) => layerNorm(p, 'n', x!)
        expect(await layerGradientError({ x: [rows, width] }, build, seed)).toBeLessThan(1e-6)
      }),
      { numRuns: 8, seed: 32 },
    ))

  it('linear, with and without bias', () =>
    fc.assert(
      fc.asyncProperty(size(3), size(4), size(4), fc.boolean(), async (batch, m, n, bias) => {
        const build = (p: Parameters, { x }: Record<string, Tensor>) =>
          linear(p, 'l', x!, n, { bias })
        expect(await layerGradientError({ x: [batch, 2, m] }, build, 1)).toBeLessThan(1e-6)
      }),
      { numRuns: 6, seed: 33 },
    ))

  it('causalConv, to its state as well', () =>
    fc.assert(
      fc.asyncProperty(size(3), size(3), size(3), size(3), async (channels, filters, taps, d) => {
        const layer = causalConv('c', { channels, filters, taps, dilation: d })
        const build = (p: Parameters, { x, state }: Record<string, Tensor>) =>
          layer.forward(p, x!, state!).y
        const shapes = { x: [1, channels, 4], state: layer.stateShape }
        expect(await layerGradientError(shapes, build, 2)).toBeLessThan(1e-6)
      }),
      { numRuns: 6, seed: 34 },
    ))

  it.each([
    ['every bucket of short distances', { queries: 3, keys: 5, window: 5, heads: 2 }],
    ['a window', { queries: 4, keys: 4, window: 2, heads: 1 }],
    ['shared buckets', { queries: 2, keys: 30, window: 30, heads: 1 }],
  ])('causalBias: %s', async (_, options) => {
    const build = (p: Parameters) => softmax(causalBias(p, 'b', options))
    expect(await layerGradientError({}, build, 3)).toBeLessThan(1e-6)
  })
})

/**
 * The largest relative difference between gradients that a program gives and central differences of
 * `loss`, over a few elements of every array.
 */
async function sampledError(
  program: Program,
  feeds: Record<string, Values>,
  names: readonly (readonly [fed: string, gradient: string])[],
  loss: (found: Record<string, Values>) => number,
): Promise<number> {
  const random = new Random(35)
  const step = 1e-5
  const analytic = await program.run(feeds)
  let worst = 0
  for (const [fed, gradient] of names) {
    const values = feeds[fed]!
    const g = analytic[gradient]!
    expect(g.length).toBe(values.length)
    for (const i of random.permutation(values.length).slice(0, 6)) {
      const kept = values[i]!
      values[i] = kept + step
      const above = loss(await program.run(feeds))
      values[i] = kept - step
      const below = loss(await program.run(feeds))
      values[i] = kept
      const numeric = (above - below) / (2 * step)
      worst = Math.max(worst, Math.abs(numeric - g[i]!) / Math.max(1, Math.abs(numeric)))
    }
  }
  return worst
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0)

describe.each(FORMS)('gradients of the flagship, %s', (_, config) => {
  const parameters = typed(randomParameters(config, 36), 'float64')

  it('of a stretch, to its parameters and to the states before it', async () => {
    const time = 20
    const stretch = buildStretch(config, time, 'all', 'float64')
    const { p, features, next, states } = stretch
    const program = await (await engine()).compile({
      ...features,
      ...next,
      ...differentiateStretch(stretch),
    })
    const feeds: Record<string, Values> = { ...parameters, ...samplesOf(randomCodes(time, 36)) }
    const arrive: Record<string, Values> = {}
    for (const [i, [name, { shape }]] of Object.entries({ ...features, ...next }).entries()) {
      arrive[name] = feeds[`d.${name}`] = normals(sizeOf(shape), 37, i)
    }
    for (const [i, [name, { shape }]] of Object.entries(states).entries()) {
      feeds[name] = normals(sizeOf(shape), 38, i)
    }
    const names = [
      ...[...p.tensors.keys()].map((name) => [name, `grad.${name}`] as const),
      ...Object.keys(states).map((name) => [name, `d.${name}`] as const),
    ]
    const loss = (found: Record<string, Values>) =>
      Object.entries(arrive).reduce((sum, [name, dy]) => sum + dot(found[name]!, dy), 0)
    expect(await sampledError(program, feeds, names, loss)).toBeLessThan(1e-6)
  })

  it('of a block, to its parameters and to its features', async () => {
    const size = { tokens: 3, phases: 2 }
    const block = buildBlock(config, size, 'all', 'float64')
    const program = await (await engine()).compile(differentiateBlock(block))
    const codes = randomCodes(207, 39)
    const feeds: Record<string, Values> = {
      ...parameters,
      // far above its curves a forecast leaves differences of numbers near 1: their noise is not ours
      forecast: samplesOf(codes.subarray(200, -1), 'float64', codes.subarray(0, 200)).forecast,
      targets: Int32Array.from(codes.subarray(201)),
      weight: Float64Array.of(0.7),
    }
    const names = [...block.p.tensors.keys()]
      .filter((name) => !name.endsWith('.bk'))
      .map((name) => [name, `grad.${name}`] as const)
    const featureNames = Object.entries(block.features).map(([name, { shape }], i) => {
      feeds[name] = normals(sizeOf(shape), 39, i)
      return [name, `d.${name}`] as const
    })
    const loss = (found: Record<string, Values>) => 0.7 * found.nats![0]!
    const error = await sampledError(program, feeds, [...names, ...featureNames], loss)
    expect(error).toBeLessThan(1e-6)
  })

  it('of a split stretch are those of the undivided one, cut at its maps or not', async () => {
    const time = 130
    const { x, codes, forecast } = samplesOf(randomCodes(time, 40))
    const programsOf = once(async (length) => {
      const stretch = buildStretch(config, length, 'all', 'float64')
      const { features, next, maps, states } = stretch
      const backward = differentiateStretch(stretch)
      const e = await engine()
      return {
        features,
        states,
        forward: await e.compile({ ...features, ...next, ...maps }),
        whole: await e.compile(backward),
        cut: await e.compile(backward, maps),
      }
    })
    const given = buildStretch(config, time, 'all', 'float64').features
    const arrive = Object.fromEntries(
      Object.entries(given).map(([name, { shape }], i) => {
        return [name, normals(sizeOf(shape), 41, i)] as const
      }),
    )

    /** Forward over the pieces, then backward from the last to the first. */
    const run = async (pieces: readonly number[], kind: 'whole' | 'cut') => {
      const sums: Record<string, number[]> = {}
      const kept: Record<string, Values>[] = []
      let states: Record<string, Values> = {}
      let at = 0
      for (const length of pieces) {
        const { forward, states: shapes } = await programsOf(length)
        if (at === 0) {
          const zeros = Object.entries(shapes).map(
            ([name, { shape }]) => [name, new Float64Array(sizeOf(shape))] as const,
          )
          states = Object.fromEntries(zeros)
        }
        const samples = {
          x: x.slice(at, at + length),
          codes: codes.slice(at, at + length),
          forecast: forecast.slice(at * FORECAST_WIDTH, (at + length) * FORECAST_WIDTH),
        }
        const found = await forward.run({ ...parameters, ...states, ...samples })
        kept.push({ ...states, ...samples, ...found })
        states = Object.fromEntries(
          Object.keys(states).map((name) => [name, found[name.replace('state.', 'next.')]!]),
        )
        at += length
      }
      let later: Record<string, Values> = Object.fromEntries(
        Object.entries(states).map(([name, a]) => [
          name.replace('state.', 'd.next.'),
          new Float64Array(a.length),
        ]),
      )
      for (const [i, length] of [...pieces.entries()].reverse()) {
        const programs = await programsOf(length)
        at -= length
        const mine = Object.entries(programs.features).map(([name, { shape }]) => {
          const width = shape[1]!
          return [`d.${name}`, arrive[name]!.slice(at * width, (at + length) * width)] as const
        })
        const feeds = { ...parameters, ...kept[i]!, ...later, ...Object.fromEntries(mine) }
        const found = await programs[kind].run(feeds)
        for (const [name, array] of Object.entries(found)) {
          if (!name.startsWith('grad.')) continue
          const sum = sums[name] ?? Array(array.length).fill(0)
          sums[name] = sum.map((value, j) => value + array[j]!)
        }
        later = Object.fromEntries(
          Object.keys(later).map((name) => [name, found[name.replace('d.next.', 'd.state.')]!]),
        )
      }
      return sums
    }

    const expected = await run([time], 'whole')
    expect(Object.keys(expected).length).toBeGreaterThan(5)
    const check = async (pieces: number[], kind: 'whole' | 'cut') => {
      const found = await run(pieces, kind)
      for (const [name, values] of Object.entries(expected)) {
        expect(distance(found[name]!, values), name).toBeLessThan(1e-10)
      }
    }
    await check([time], 'cut')
    await fc.assert(
      fc.asyncProperty(
        splits(time, [1, 7, 20, 60]),
        fc.constantFrom<('whole' | 'cut')[]>('whole', 'cut'),
        check,
      ),
      { numRuns: 4, seed: 42 },
    )
  })
})
