/** The dense pass of a flagship in float64: one graph over a whole recording. */
import type { Engine } from '../../src/engine/index.js'
import {
  constant,
  Graph,
  input,
  reshape,
  sizeOf,
  slice,
  type Tensor,
  transpose,
} from '../../src/graph/index.js'
import {
  contextTransformer,
  encode,
  encoderLayers,
  type FlagshipConfig,
  head,
} from '../../src/models/flagship.js'
import { localFeatures, localLayers } from '../../src/models/flagship-local.js'
import { recall, recallRows, recallStates } from '../../src/models/flagship-recall.js'
import { FORECAST_WIDTH, Forecaster } from '../../src/models/forecast.js'
import type { Arrays } from '../../src/models/model.js'
import type { Stateful } from '../../src/nn/layers.js'
import { Parameters } from '../../src/nn/parameters.js'
import { VALUES } from './models.js'

/**
 * Logits after each sample, [codes.length, levels].
 *
 * @param codes whole chunks
 * @param window tokens that a token sees in each layer
 */
export async function denseLogits(
  engine: Engine,
  config: FlagshipConfig,
  parameters: Arrays,
  codes: ArrayLike<number>,
  window: number,
): Promise<Float64Array> {
  const { chunk, width, local } = config
  const time = codes.length
  const tokens = time / chunk
  const graph = new Graph('float64')
  const p = new Parameters(graph)
  const x = input(graph, 'x', [1, 1, time])
  const zeros = (layers: readonly Stateful[]) =>
    layers.map(({ stateShape }) => constant(graph, Array(sizeOf(stateShape)).fill(0), stateShape))
  const { z } = encode(p, config, x, zeros(encoderLayers(config)))
  const byPhase = transpose(reshape(z, [tokens, chunk, width]), [1, 0, 2])
  const { h } = contextTransformer(p, config, byPhase, { window })
  const inTime = reshape(transpose(h, [1, 0, 2]), [time, width])

  const feeds: Record<string, Float64Array | Int32Array> = {
    x: Float64Array.from(codes, (code) => VALUES[code]!),
  }
  for (const [name, values] of Object.entries(parameters)) feeds[name] = Float64Array.from(values)
  let forecast: Tensor | undefined
  if (config.forecast) {
    forecast = input(graph, 'forecast', [time, FORECAST_WIDTH])
    const rows = new Float32Array(time * FORECAST_WIDTH)
    new Forecaster(VALUES).run(codes, rows)
    feeds.forecast = Float64Array.from(rows)
  }
  let s: Tensor | undefined
  if (local) {
    const input32 = input(graph, 'codes', [time], 'int32')
    feeds.codes = Int32Array.from(codes)
    const states = zeros(localLayers(local))
    s = slice(localFeatures(p, { ...config, local }, input32, x, states, forecast).s, 0, 0, time)
  }
  let r: Tensor | undefined
  if (config.recall && window > 1) {
    const mine = { ...config, recall: config.recall }
    const rows = recallRows(p, mine, x, zeros(recallStates(mine))).r
    const tokensOf = transpose(reshape(rows, [tokens, chunk, rows.shape[1]!]), [1, 0, 2])
    const look = { queries: tokens, window: Math.min(tokens, window - 1) }
    const found = transpose(recall(p, mine, tokensOf, look), [1, 0, 2])
    r = reshape(found, [time, found.shape[2]!])
  }
  const program = await engine.compile({ logits: head(p, config, { h: inTime, s, r, forecast }) })
  const used = [...program.inputs.keys()].map((name) => [name, feeds[name]!])
  const { logits } = await program.run(Object.fromEntries(used))
  await program.dispose()
  return logits as Float64Array
}
