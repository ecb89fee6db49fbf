/** The local path of the flagship (our addition): what the newest samples say at every sample. */
import {
  add,
  concat,
  conv1d,
  mul,
  relu,
  reshape,
  slice,
  type Tensor,
  take,
  transpose,
} from '../graph/index.js'
import { type GatedLayer, gatedLayer } from '../nn/gated.js'
import { he, type Parameters } from '../nn/parameters.js'
import { FORECAST_FEATURES, FORECAST_WIDTH } from './forecast.js'

/** A stack of gated residual dilated convolutions over the newest samples. */
export interface LocalConfig {
  /** Width of the residual stream. */
  channels: number
  /** Dilations of the layers in order; each has two taps. */
  dilations: number[]
  /** Width of what the stack hands to the head. */
  skip: number
}

/** A local path of `channels`, two stacks of dilations 1 to 512: it sees 2047 samples. */
export function localPath(channels: number, skip = 4 * channels): LocalConfig {
  const stack = Array.from({ length: 10 }, (_, i) => 2 ** i)
  return { channels, dilations: [...stack, ...stack], skip }
}

/** The layers of the local path, in order. */
export function localLayers({ channels, dilations }: LocalConfig): GatedLayer[] {
  return dilations.map((dilation, i) => gatedLayer(`local.${i}`, { channels, dilation }))
}

/**
 * A gated residual stack over the newest samples (van den Oord et al. 2016, section 2.3), which sees
 * the code and the value of every sample, and what linear prediction makes of them.
 *
 * @param codes int32 [T]
 * @param x the same samples as values, [1, 1, T]
 * @param forecast rows of `Forecaster` [T, FORECAST_WIDTH], if the model has them
 * @returns features [T, skip]; `maps` is the residual stream before every layer, [1, channels, T]
 */
export function localFeatures(
  p: Parameters,
  config: { local: LocalConfig; levels: number },
  codes: Tensor,
  x: Tensor,
  states: readonly Tensor[],
  forecast?: Tensor,
): { s: Tensor; maps: Tensor[]; states: Tensor[] } {
  const { channels, skip } = config.local
  const T = x.shape[2]!
  const table = p.get('local.embedding', [channels, config.levels], { normal: 0.3 })
  const value = p.get('local.value', [1, channels, 1], { normal: 1 })
  let h = add(reshape(take(table, codes, 1), [1, channels, T]), mul(x, value)) // [1, channels, T]
  if (forecast) {
    const features = reshape(transpose(featuresOf(forecast)), [1, FEATURES, T])
    const w = p.get('local.forecast', [channels, FEATURES, 1], { normal: 0.3 })
    h = add(h, conv1d(features, w))
  }
  const maps: Tensor[] = []
  const after: Tensor[] = []
  const gated: Tensor[] = []
  for (const [i, layer] of localLayers(config.local).entries()) {
    maps.push(h)
    const { g, state } = layer.gate(p, h, states[i]!) // [1, channels, T]
    after.push(state)
    gated.push(g)
    if (i < config.local.dilations.length - 1) h = layer.residual(p, h, g) // [1, channels, T]
  }
  const all = concat(gated, 1) // [1, layers channels, T]
  const w = p.get('local.skip.w', [skip, all.shape[1]!, 1], he(all.shape[1]!))
  const bias = p.get('local.skip.b', [skip], 0)
  const features = relu(conv1d(all, w, { bias })) // [1, skip, T]
  return { s: transpose(reshape(features, [skip, T])), maps, states: after }
}

const FEATURES = FORECAST_WIDTH - FORECAST_FEATURES

/** The part of a forecast that layers read. @param forecast [T, FORECAST_WIDTH] */
export const featuresOf = (forecast: Tensor) =>
  slice(forecast, 1, FORECAST_FEATURES, FORECAST_WIDTH)
