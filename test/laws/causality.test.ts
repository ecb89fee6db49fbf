/** Law 2: no prediction depends on what comes after it, and each sees exactly what is documented. */
import { describe, expect, it } from 'vitest'
import { constant, Graph, gradients, input, sizeOf, type Tensor } from '../../src/graph/index.js'
import {
  contextTransformer,
  encode,
  encoderLayers,
  type FlagshipConfig,
  flagshipPresets,
  receptiveField,
} from '../../src/models/flagship.js'
import { localFeatures, localLayers, localPath } from '../../src/models/flagship-local.js'
import { FORECAST_FEATURES, FORECAST_WIDTH } from '../../src/models/forecast.js'
import { initialise, Parameters } from '../../src/nn/parameters.js'
import { engine } from '../graph/gradcheck.js'
import {
  denseGraph,
  FORECAST,
  FORMS,
  LOCAL,
  normals,
  randomCodes,
  randomParameters,
  STREAM,
  samplesOf,
  stir,
  typed,
} from './tiny.js'

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

/** Positions of the numbers that are not exactly zero. */
function nonzero(values: ArrayLike<number>): number[] {
  return range(0, values.length).filter((i) => values[i] !== 0)
}

/** Compiles d(dy . y) / dx for the rows [time, width] of y, and gives it for one row of y. */
async function sensitivity(
  y: Tensor,
  x: Tensor,
  feeds: Record<string, Float64Array | Float32Array | Int32Array>,
) {
  const dy = input(y.graph, 'dy', y.shape)
  const program = await (await engine()).compile({ dx: gradients([[y, dy]], [x])[0]! })
  const width = y.shape.at(-1)!
  return async (row: number) => {
    const only = new Float64Array(sizeOf(y.shape))
    only.set(normals(width, 9, row), row * width)
    return (await program.run({ ...feeds, dy: only })).dx!
  }
}

describe('d logits[t] / d x', () => {
  const tokens = 4
  const time = tokens * STREAM.chunk
  const codes = randomCodes(time, 21)
  const times = [0, 1, 30, 59, 60, 100, 119, 120, ...range(180, 240).filter((t) => t % 4 === 3)]
  const feedsOf = (config: FlagshipConfig) => ({
    ...typed(randomParameters(config, 21), 'float64'),
    ...samplesOf(codes),
  })
  /** Distances back in time that a prediction sees through its tokens. */
  const throughTokens = (t: number) =>
    range(0, tokens)
      .flatMap((m) => range(m * STREAM.chunk, m * STREAM.chunk + receptiveField(STREAM)))
      .filter((back) => back <= t)
  const nearest = LOCAL.local!.dilations.reduce((sum, d) => sum + d, 0) + 1

  it.each([
    ['stream', STREAM, 'all', throughTokens],
    // its local path sees no farther than a token
    ['stream + local', LOCAL, 'all', throughTokens],
    ['stream + local + forecast', FORECAST, 'all', throughTokens],
    ['the local path alone', LOCAL, 'local', (t: number) => range(0, Math.min(t + 1, nearest))],
  ] as const)('is zero after t and beyond what t sees: %s', async (_, config, part, seenAt) => {
    const { logits, x } = denseGraph(config, { tokens, part })
    const of = await sensitivity(logits, x, feedsOf(config))
    const seen = new Set<number>()
    for (const t of times) {
      const back = nonzero(await of(t)).map((i) => t - i)
      const allowed = new Set(seenAt(t))
      for (const distance of back) {
        expect(allowed, `t = ${t}`).toContain(distance)
        seen.add(distance)
      }
      // the newest sample is always seen
      expect(back).toContain(0)
    }
    // a rectified unit may be silent at one time, not at all times
    expect([...seen].sort((a, b) => a - b)).toEqual([...seenAt(time)])
  })

  it('and of rows of a forecast: those that the local path sees, of the newest all columns', async () => {
    const { logits, forecast } = denseGraph(FORECAST, { tokens })
    const of = await sensitivity(logits, forecast!, feedsOf(FORECAST))
    const seen = new Set<number>()
    for (const t of times) {
      const found = nonzero(await of(t))
      const rows = found.map((i) => Math.floor(i / FORECAST_WIDTH))
      for (const row of rows) seen.add(t - row)
      expect(rows.every((row) => row <= t && t - row < nearest)).toBe(true)
      // only the newest mean and scale are where the curves are
      const columns = found.filter((i) => i % FORECAST_WIDTH < FORECAST_FEATURES)
      expect(columns).toEqual([t * FORECAST_WIDTH, t * FORECAST_WIDTH + 1])
    }
    expect([...seen].sort((a, b) => a - b)).toEqual(range(0, nearest))
  })

  it.each(FORMS)(
    'a change of samples changes only predictions after them: %s',
    async (_, config) => {
      const { logits } = denseGraph(config, { tokens })
      const program = await (await engine()).compile({ logits })
      const feeds = feedsOf(config)
      const { logits: before } = await program.run(feeds)
      for (const t of [1, 60, 121, 200]) {
        const other = Uint8Array.from(codes, (code, i) => (i < t ? code : 255 - code))
        const { logits: after } = await program.run({ ...feeds, ...samplesOf(other) })
        const rows = range(0, time).filter((row) =>
          before!
            .slice(row * 256, (row + 1) * 256)
            .some((value, i) => value !== after![row * 256 + i]),
        )
        expect(rows[0]).toBe(t)
        expect(rows.length).toBe(time - t)
      }
    },
  )
})

describe('the documented receptive fields', () => {
  it('of a latent of the printed geometry: 1999 samples', async () => {
    const config: FlagshipConfig = {
      ...flagshipPresets.stream,
      filters: [4, 4, 3, 3, 3],
      width: 5,
    }
    expect(receptiveField(flagshipPresets.paper)).toBe(1999)
    expect(receptiveField(flagshipPresets.stream)).toBe(1999)
    const time = 2100
    const graph = new Graph('float64')
    const p = new Parameters(graph)
    const x = input(graph, 'x', [1, 1, time])
    const states = encoderLayers(config).map(({ stateShape }) =>
      constant(graph, Array(sizeOf(stateShape)).fill(0), stateShape),
    )
    const { z } = encode(p, config, x, states)
    const declared = [...p.declared.values()]
    const parameters = typed(stir(initialise(declared, 22), 22), 'float64')
    const of = await sensitivity(z, x, { ...parameters, x: normals(time, 22) })
    const back = new Set<number>()
    for (const t of [1998, 2004, 2050, 2070, 2099]) {
      for (const i of nonzero(await of(t))) back.add(t - i)
    }
    expect([...back].sort((a, b) => a - b)).toEqual(range(0, 1999))
  })

  it('of the local path: 2047 samples', async () => {
    const local = localPath(2, 3)
    const time = 2060
    const graph = new Graph('float64')
    const p = new Parameters(graph)
    const x = input(graph, 'x', [1, 1, time])
    const codes = input(graph, 'codes', [time], 'int32')
    const states = localLayers(local).map(({ stateShape }) =>
      constant(graph, Array(sizeOf(stateShape)).fill(0), stateShape),
    )
    const { s } = localFeatures(p, { ...LOCAL, local }, codes, x, states)
    const declared = [...p.declared.values()]
    const parameters = typed(stir(initialise(declared, 23), 23), 'float64')
    const feeds = { ...parameters, x: normals(time, 23), codes: new Int32Array(time).fill(128) }
    const of = await sensitivity(s, x, feeds)
    const t = 2055
    expect(nonzero(await of(t)).map((i) => t - i)).toEqual(range(0, 2047).reverse())
  })
})

describe('d h / d z in the Transformer', () => {
  it.each([
    ['all tokens', 6],
    ['a window of 2', 2],
  ])('is zero for every other phase and every later token: %s', async (_, window) => {
    const [phases, tokens, width] = [3, 6, STREAM.width]
    const graph = new Graph('float64')
    const p = new Parameters(graph)
    const z = input(graph, 'z', [phases, tokens, width])
    const { h } = contextTransformer(p, STREAM, z, { window })
    const parameters = typed(randomParameters(STREAM, 24), 'float64')
    const dy = input(graph, 'dy', h.shape)
    const program = await (await engine()).compile({ dz: gradients([[h, dy]], [z])[0]! })
    for (let phase = 0; phase < phases; phase++) {
      for (let token = 0; token < tokens; token++) {
        const row = phase * tokens + token
        const only = new Float64Array(phases * tokens * width)
        only.set(normals(width, 25, row), row * width)
        const feeds = { ...parameters, z: normals(phases * tokens * width, 26), dy: only }
        const { dz } = await program.run(feeds)
        const rows = new Set(nonzero(dz!).map((i) => Math.floor(i / width)))
        // each layer passes on what it sees of window - 1 tokens before it
        const first = Math.max(0, token - (window - 1) * STREAM.layers)
        expect([...rows]).toEqual(range(first, token + 1).map((m) => phase * tokens + m))
      }
    }
  })
})
