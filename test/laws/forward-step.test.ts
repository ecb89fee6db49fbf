/** Law 1: a layer or a model over any pieces, each from where the last one ended, is one pass. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  Graph,
  input,
  relu,
  reshape,
  slice,
  type Tensor,
  transpose,
} from '../../src/graph/index.js'
import { contextTransformer, type FlagshipConfig } from '../../src/models/flagship.js'
import { buildStretch } from '../../src/models/flagship-programs.js'
import { FORECAST_WIDTH } from '../../src/models/forecast.js'
import { causalConv, layerNorm, linear } from '../../src/nn/layers.js'
import { initialise, Parameters } from '../../src/nn/parameters.js'
import { engine } from '../graph/gradcheck.js'
import {
  type Causal,
  distance,
  FORMS,
  normals,
  once,
  randomCodes,
  randomParameters,
  runPieces,
  STREAM,
  samplesOf,
  splits,
  stir,
  typed,
} from './tiny.js'

const TYPES: ['float32' | 'float64', number][] = [
  ['float64', 1e-10],
  ['float32', 1e-5],
]
const LENGTHS = [1, 2, 3, 5, 8, 21]

const small = (max: number, min = 1) => fc.integer({ min, max })

describe.each(TYPES)('forward = step in %s', (dtype, tolerance) => {
  it('for causal convolutions of any shape', async () => {
    const time = 30
    const shape = fc.record({
      channels: small(3),
      filters: small(3),
      taps: small(4),
      dilation: small(6),
      twoLayers: fc.boolean(),
      seed: fc.nat(),
    })
    await fc.assert(
      fc.asyncProperty(shape, splits(time, LENGTHS), async (options, pieces) => {
        const { channels, filters, twoLayers, seed } = options
        const build = (length: number): Causal & { p: Parameters } => {
          const graph = new Graph(dtype)
          const p = new Parameters(graph)
          const x = input(graph, 'x', [length, channels])
          const layers = [causalConv('first', options)]
          if (twoLayers) layers.push(causalConv('second', { ...options, channels: filters }))
          let h = reshape(transpose(x), [1, channels, length])
          const [states, next]: [Record<string, Tensor>, Record<string, Tensor>] = [{}, {}]
          for (const [i, layer] of layers.entries()) {
            const before = input(graph, `state.${i}`, layer.stateShape)
            const { y, state } = layer.forward(p, h, before)
            states[`state.${i}`] = before
            next[`next.${i}`] = state
            h = i === layers.length - 1 ? y : relu(y)
          }
          return { p, features: { y: transpose(reshape(h, [filters, length])) }, states, next }
        }
        const declared = [...build(1).p.declared.values()]
        const parameters = typed(stir(initialise(declared, seed), seed), dtype)
        const x = typed({ x: normals(time * channels, seed) }, dtype).x
        const feeds = { x: { values: x, perSample: channels } }
        const programOf = once(async (length) => {
          const { features, next } = build(length)
          return (await engine()).compile({ ...features, ...next })
        })
        const whole = await runPieces(programOf, [time], feeds, parameters)
        const found = await runPieces(programOf, pieces, feeds, parameters)
        expect(found.y!.length).toBe(time * filters)
        expect(distance(found.y!, whole.y!)).toBeLessThan(tolerance)
      }),
      { numRuns: 12, seed: 11 },
    )
  })

  it.each(FORMS)('for the causal layers of the flagship, %s', async (_, config) => {
    const time = 140 // more than twice the receptive field
    const parameters = typed(randomParameters(config, 3), dtype)
    const { x, codes, forecast } = samplesOf(randomCodes(time, 3), dtype)
    const feeds = {
      x: { values: x, perSample: 1 },
      codes: { values: codes, perSample: 1 },
      forecast: { values: forecast, perSample: FORECAST_WIDTH },
    }
    const programOf = once(async (length) => {
      const { features, next } = buildStretch(config, length, 'all', dtype)
      return (await engine()).compile({ ...features, ...next })
    })
    const whole = await runPieces(programOf, [time], feeds, parameters)
    expect(Object.keys(whole).filter((name) => !name.startsWith('state.'))).toEqual([
      'z',
      ...(config.local ? ['s'] : []),
      ...(config.recall ? ['r'] : []),
    ])
    const check = async (pieces: number[]) => {
      const found = await runPieces(programOf, pieces, feeds, parameters)
      for (const [name, values] of Object.entries(whole)) {
        expect(distance(found[name]!, values)).toBeLessThan(tolerance)
      }
    }
    await check(Array(time).fill(1))
    await check([60, 60, 20])
    await fc.assert(fc.asyncProperty(splits(time, LENGTHS), check), { numRuns: 20, seed: 12 })
  })

  it.each([
    ['all of them', 7],
    ['three', 3],
    ['itself', 1],
  ])('for the Transformer, a token sees %s', async (_, window) => {
    const [phases, tokens] = [3, 7]
    const parameters = typed(randomParameters(STREAM, 4), dtype)
    const { width, layers } = STREAM
    const size = phases * tokens * width
    const z = typed({ z: normals(size, 4) }, dtype).z
    // [phases, tokens, width] at tokens first .. last
    const cut = (array: ArrayLike<number>, first: number, last: number) =>
      typed(
        {
          cut: Array.from({ length: phases }, (_, q) =>
            Array.from(array).slice((q * tokens + first) * width, (q * tokens + last) * width),
          ).flat(),
        },
        dtype,
      ).cut
    const programOf = once((key) => {
      const [past, count] = [Math.floor(key / 100), key % 100]
      return compileTransformer(STREAM, dtype, { phases, past, count, window })
    })
    const run = async (pieces: number[]) => {
      const caches = Array.from({ length: layers }, () => new Float64Array(size))
      const h = new Float64Array(size)
      let past = 0
      for (const count of pieces) {
        const program = await programOf(past * 100 + count)
        const fed = caches.map((cache, i) => [`cache.${i}`, cut(cache, 0, past)] as const)
        const feeds = { ...parameters, z: cut(z, past, past + count), ...Object.fromEntries(fed) }
        const found = await program.run(feeds)
        for (const [i, whole] of [h, ...caches].entries()) {
          const piece = found[i === 0 ? 'h' : `new.${i - 1}`]!
          for (let q = 0; q < phases; q++) {
            const rows = piece.slice(q * count * width, (q + 1) * count * width)
            whole.set(rows, (q * tokens + past) * width)
          }
        }
        past += count
      }
      return [h, ...caches]
    }
    const whole = await run([tokens])
    await fc.assert(
      fc.asyncProperty(splits(tokens, [1, 2, 3]), async (pieces) => {
        for (const [i, values] of (await run(pieces)).entries()) {
          expect(distance(values, whole[i]!)).toBeLessThan(tolerance)
        }
      }),
      { numRuns: 8, seed: 13, examples: [[Array(tokens).fill(1)]] },
    )
  })

  it('for linear and layerNorm, which see one sample at a time', async () => {
    const [rows, width] = [9, 5]
    const build = (count: number) => {
      const p = new Parameters(new Graph(dtype))
      const x = input(p.graph, 'x', [count, width])
      return { p, y: linear(p, 'linear', layerNorm(p, 'norm', x), 4) }
    }
    const declared = [...build(1).p.declared.values()]
    const parameters = typed(stir(initialise(declared, 6), 6), dtype)
    const feeds = { x: { values: typed({ x: normals(rows * width, 6) }, dtype).x, perSample: 5 } }
    const programOf = once(async (count) => (await engine()).compile({ y: build(count).y }))
    const whole = await runPieces(programOf, [rows], feeds, parameters)
    for (const pieces of [Array(rows).fill(1), [2, 3, 4]]) {
      const found = await runPieces(programOf, pieces, feeds, parameters)
      expect(distance(found.y!, whole.y!)).toBeLessThan(tolerance)
    }
  })
})

/** `count` tokens after `past` others whose layer inputs are fed. */
async function compileTransformer(
  config: FlagshipConfig,
  dtype: 'float32' | 'float64',
  { phases, past, count, window }: Record<'phases' | 'past' | 'count' | 'window', number>,
) {
  const graph = new Graph(dtype)
  const p = new Parameters(graph)
  const z = input(graph, 'z', [phases, count, config.width])
  const caches = Array.from({ length: config.layers }, (_, i) =>
    input(graph, `cache.${i}`, [phases, Math.max(1, past), config.width]),
  )
  const look = { window, caches: past > 0 ? caches : undefined }
  const { h, inputs } = contextTransformer(p, config, z, look)
  const news = inputs.map((tensor, i) => [`new.${i}`, slice(tensor, 1, 0, count)] as const)
  return (await engine()).compile({ h, ...Object.fromEntries(news) })
}
