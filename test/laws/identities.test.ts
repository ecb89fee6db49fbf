/** E1 and E2: the dense forms equal the paper's computation on raw chunks and windows. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  constant,
  Graph,
  input,
  reshape,
  sizeOf,
  slice,
  type Tensor,
} from '../../src/graph/index.js'
import {
  contextTransformer,
  encode,
  encodeChunks,
  encoderLayers,
  type FlagshipConfig,
  flagshipPresets,
  head,
} from '../../src/models/flagship.js'
import { localFeatures, localLayers } from '../../src/models/flagship-local.js'
import { flagship } from '../../src/models/flagship-model.js'
import {
  buildBlock,
  buildStretch,
  forecastInput,
  zeros,
} from '../../src/models/flagship-programs.js'
import { recall, recallRows, recallStates } from '../../src/models/flagship-recall.js'
import { FORECAST_WIDTH } from '../../src/models/forecast.js'
import type { Stateful } from '../../src/nn/layers.js'
import { initialise, Parameters } from '../../src/nn/parameters.js'
import { engine } from '../graph/gradcheck.js'
import {
  distance,
  FORMS,
  natsOf,
  normals,
  PAPER,
  randomCodes,
  randomParameters,
  samplesOf,
  stir,
  typed,
} from './tiny.js'

/** Latents of chunks that end at t = first .. time - 1: slid as one stack, and chunk by chunk. */
async function bothWays(config: FlagshipConfig, time: number, batch: number, seed: number) {
  const { chunk, width } = config
  const x = typed({ x: normals(time, seed).map((v) => 0.3 * v) }, 'float32').x
  const e = await engine()

  const p = new Parameters(new Graph())
  const states = encoderLayers(config).map(({ stateShape }) =>
    constant(p.graph, Array(sizeOf(stateShape)).fill(0), stateShape),
  )
  const { z } = encode(p, config, input(p.graph, 'x', [1, 1, time]), states)
  const parameters = stir(initialise([...p.declared.values()], seed), seed)
  const dense = await e.compile({ z })
  const slid = (await dense.run({ ...parameters, x })).z!
  await dense.dispose()

  const q = new Parameters(new Graph())
  const chunks = input(q.graph, 'chunks', [batch, 1, chunk])
  const naive = await e.compile({ z: encodeChunks(q, config, chunks) })
  const found: number[] = []
  const fed = new Float32Array(batch * chunk)
  for (let t = chunk - 1; t < time; t += batch) {
    for (let i = 0; i < batch; i++) {
      const end = Math.min(time, t + i + 1)
      fed.set(x.subarray(end - chunk, end), i * chunk)
    }
    const rows = (await naive.run({ ...parameters, chunks: fed })).z!
    found.push(...rows.subarray(0, Math.min(batch, time - t) * width))
  }
  await naive.dispose()
  return { slid: slid.slice((chunk - 1) * width), chunked: found }
}

describe('E1: the encoder slid along a waveform is one causal dilated stack', () => {
  it('in the printed geometry, at every one of 3001 samples', async () => {
    const config: FlagshipConfig = { ...flagshipPresets.stream, filters: [5, 6, 4, 4, 3], width: 7 }
    const { slid, chunked } = await bothWays(config, 5000, 128, 81)
    expect(chunked.length).toBe(3001 * 7)
    expect(distance(slid, chunked)).toBeLessThan(1e-5)
  })

  it('in any geometry', () => {
    const layer = fc.record({
      stride: fc.integer({ min: 1, max: 4 }),
      filters: fc.integer({ min: 1, max: 5 }),
    })
    const geometry = fc.record({
      kernel: fc.integer({ min: 1, max: 4 }),
      layers: fc.array(layer, { minLength: 1, maxLength: 3 }),
      left: fc.integer({ min: 0, max: 40 }),
      width: fc.integer({ min: 1, max: 5 }),
      seed: fc.nat(),
    })
    return fc.assert(
      fc.asyncProperty(geometry, async ({ kernel, layers, left, width, seed }) => {
        const strides = layers.map(({ stride }) => stride)
        const filters = layers.map((l) => l.filters)
        const base = { ...flagshipPresets.stream, kernel, strides, filters, width }
        // the shortest chunk holds every convolution and one tap of the readout
        let reach = 0
        let product = 1
        for (const stride of strides) {
          reach += (kernel - 1) * product
          product *= stride
        }
        const config = { ...base, chunk: reach + 1 + left }
        const { slid, chunked } = await bothWays(config, config.chunk + 60, 61, seed)
        expect(chunked.length).toBe(61 * width)
        expect(distance(slid, chunked)).toBeLessThan(1e-5)
      }),
      { numRuns: 15, seed: 82 },
    )
  })
})

describe('E2: dense tokens are windows', () => {
  it.each(FORMS)(
    '%s: every logit equals that of the plain module on the window',
    async (_, config) => {
      const { chunk, width, levels } = config
      const tokens = 3
      // one chunk of history, so that even the oldest token of a window is a whole chunk
      const time = (tokens + 1) * chunk
      const samples = samplesOf(randomCodes(time, 83))
      const { x, codes, forecast } = samples
      const parameters = typed(randomParameters(config, 83), 'float64')
      const e = await engine()

      const { features, states } = buildStretch(config, time, 'all', 'float64')
      const stretch = await e.compile(features)
      const { z, s, r } = await stretch.run({
        ...parameters,
        ...typed(zeros(states), 'float64'),
        ...samples,
      })
      const block = buildBlock(config, { tokens, phases: chunk }, 'all', 'float64')
      const dense = await e.compile({ nats: block.nats, logits: block.nats.inputs[0]! })
      const targets = Int32Array.from(randomCodes(tokens * chunk, 84))
      const found = await dense.run({
        ...parameters,
        z: z!.slice(chunk * width),
        ...(s && { s: s.slice(chunk * config.local!.skip) }),
        ...(r && { r: r.slice((chunk * r.length) / time) }),
        forecast: forecast.slice(chunk * FORECAST_WIDTH),
        targets,
      })

      // before the first sample there is nothing
      const padded = Float64Array.of(...new Float64Array(chunk), ...x)
      for (let seen = 1; seen <= tokens; seen++) {
        const plain = await e.compile({ logits: plainWindow(config, seen) })
        for (let q = 0; q < chunk; q++) {
          // targets in the order (token, phase): the window ends at this sample
          const row = (seen - 1) * chunk + q
          const end = chunk + row + 1
          const { logits } = await plain.run({
            ...parameters,
            chunks: x.slice(end - seen * chunk, end),
            newest: x.slice(end - chunk, end),
            before: padded.slice(end - seen * chunk, end + chunk),
            codes: codes.slice(end - chunk, end),
            forecast: forecast.slice((end - chunk) * FORECAST_WIDTH, end * FORECAST_WIDTH),
          })
          const mine = found.logits!.slice(row * levels, (row + 1) * levels)
          expect(distance(mine, logits!)).toBeLessThan(1e-9)
          const nats = natsOf(logits!, targets[row]!)
          expect(Math.abs(found.nats![row]! - nats)).toBeLessThan(1e-9)
        }
        await plain.dispose()
      }
    },
  )

  it('paper: cached latents give the nats of the recipe of single windows', async () => {
    const tokens = 3
    const context = tokens * PAPER.chunk
    const codes = randomCodes(context + 80, 85)
    const parameters = randomParameters(PAPER, 85)
    const model = flagship(PAPER)
    const scorer = await model.scorer(await engine(), parameters)
    const found = await scorer.score(codes, context)
    const learner = await model.learner(await engine(), { context, part: 'all' })
    for (let t = context; t < codes.length; t++) {
      const window = codes.subarray(t - context, t + 1)
      const { nats, targets } = await learner.learn(parameters, [window], t)
      expect(targets).toBe(1)
      expect(Math.abs(found[t]! - nats)).toBeLessThan(1e-4)
    }
    await scorer.dispose()
    await learner.dispose()
  })
})

/** The model on one window of raw samples: chunks to tokens, tokens to the newest one, to logits. */
function plainWindow(config: FlagshipConfig, tokens: number) {
  const { chunk, width, local } = config
  const p = new Parameters(new Graph('float64'))
  const zeros = (layers: readonly Stateful[]) =>
    layers.map(({ stateShape }) => constant(p.graph, Array(sizeOf(stateShape)).fill(0), stateShape))
  const chunks = input(p.graph, 'chunks', [tokens, 1, chunk])
  const z = reshape(encodeChunks(p, config, chunks), [1, tokens, width])
  const { h } = contextTransformer(p, config, z)
  const newest = reshape(slice(h, 1, tokens - 1, tokens), [1, width])
  if (!local) return head(p, config, { h: newest })
  const states = zeros(localLayers(local))
  let r: Tensor | undefined
  if (config.recall) {
    const mine = { ...config, recall: config.recall }
    const time = (tokens + 1) * chunk
    const before = input(p.graph, 'before', [1, 1, time])
    const rows = recallRows(p, mine, before, zeros(recallStates(mine))).r
    const wide = rows.shape[1]!
    const byToken = reshape(rows, [tokens + 1, chunk, wide])
    const mineAlone = reshape(slice(slice(byToken, 1, chunk - 1, chunk), 0, 1, tokens + 1), [
      1,
      tokens,
      wide,
    ])
    const found = recall(p, mine, mineAlone, { queries: 1, window: Math.min(tokens, 2) })
    r = reshape(found, [1, found.shape[2]!])
  }
  const x = input(p.graph, 'newest', [1, 1, chunk])
  const codes = input(p.graph, 'codes', [chunk], 'int32')
  const forecast = forecastInput(p, config, [chunk])
  const { s } = localFeatures(p, { ...config, local }, codes, x, states, forecast)
  const last = (rows: Tensor) => slice(rows, 0, chunk - 1, chunk)
  return head(p, config, { h: newest, s: last(s), r, forecast: forecast && last(forecast) })
}
