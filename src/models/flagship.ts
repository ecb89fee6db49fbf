/**
 * The flagship: a shared convolutional encoder over chunks of raw audio, a Transformer over their
 * latents, a softmax over the next sample. After P. Verma, "A Language Model With Million Context
 * Length For Raw Audio" (2022/2023), section 3; rebuilt so that every sample of a waveform is a
 * training target (preset `stream`), with the paper's own form beside it (preset `paper`).
 */
import { type QuantizerName, quantizer } from '../audio/index.js'
import {
  add,
  concat,
  constant,
  conv1d,
  input,
  relu,
  reshape,
  type Shape,
  slice,
  type Tensor,
  transpose,
} from '../graph/index.js'
import { attention, causalSpans } from '../nn/attention.js'
import { type CausalLayer, causalConv, layerNorm, linear, type Stateful } from '../nn/layers.js'
import { CURVE_NUMBERS, logisticLevels } from '../nn/logistics.js'
import { he, type Parameters } from '../nn/parameters.js'
import { featuresOf, type LocalConfig, localPath } from './flagship-local.js'
import type { RecallConfig } from './flagship-recall.js'

/** Adaptive linear prediction, whose forecast the local path reads and the head starts from. */
export interface ForecastConfig {
  /** Logistic curves that the head shapes around the forecast. */
  curves: number
}

export interface FlagshipConfig {
  /** `stream`: causal, relative positions, every sample a target. `paper`: as printed. */
  form: 'stream' | 'paper'
  /** Samples a token summarises, P in the paper. */
  chunk: number
  /** Tokens of the longest history, N in the paper: context = chunk * tokens samples. */
  tokens: number
  /** Tokens that a token sees in each layer, itself among them; all of the segment where null. */
  window?: number | null
  kernel: number
  filters: number[]
  /** Strides in the paper; dilations grow by their running product in the dense form. */
  strides: number[]
  /** Width of a latent and of the Transformer. */
  width: number
  layers: number
  heads: number
  headWidth: number
  feedForward: number
  /** Width of the head's hidden layer. */
  hidden: number
  /** Levels of a sample. */
  levels: 256
  local: LocalConfig | null
  forecast: ForecastConfig | null
  /** What followed places that sound like the newest samples, whole chunks back. */
  recall?: RecallConfig | null
  /** What the codes stand for. */
  audio: { sampleRate: number; quantizer: QuantizerName }
  dropout: { encoder: number; attention: number; feedForward: number; head: number; token: number }
}

const PAPER: FlagshipConfig = {
  form: 'paper',
  chunk: 2000,
  tokens: 64, // 8 s at 16 kHz; the larger run of the paper has 256
  window: null,
  kernel: 7,
  filters: [256, 256, 128, 128, 32],
  strides: [2, 3, 2, 3, 2],
  width: 128,
  layers: 3,
  heads: 8, // not given; 8 heads as wide as the model meet the printed 3.14M parameters
  headWidth: 128,
  feedForward: 256,
  hidden: 1024,
  levels: 256,
  local: null,
  forecast: null,
  recall: null,
  audio: { sampleRate: 16_000, quantizer: 'mu-law' },
  dropout: { encoder: 0.2, attention: 0.1, feedForward: 0.1, head: 0.2, token: 0.1 },
}

const NO_DROPOUT = { encoder: 0, attention: 0, feedForward: 0, head: 0, token: 0 }

/** The same size, made causal, relative and dense; one pass over the data needs no dropout. */
const STREAM: FlagshipConfig = { ...PAPER, form: 'stream', dropout: NO_DROPOUT }

export const flagshipPresets = {
  /** The paper's model and recipe as printed. */
  paper: PAPER,
  /** Causal and dense. */
  stream: STREAM,
  /** Our best of this size: two heads less make room for a local path and a forecast. */
  longwave: { ...STREAM, heads: 6, local: localPath(48, 96), forecast: { curves: 2 } },
} as const satisfies Record<string, FlagshipConfig>

/** Recall of `width` numbers, which tells a place by 64 samples (4 ms) and reads the sample after it. */
export function recallPath(width: number): RecallConfig {
  return { width, heads: 4, taps: 64, ahead: 1 }
}

/** Dilation of every convolution of the dense encoder, and dilation and taps of its readout. */
export function encoderGeometry({ chunk, kernel, strides }: FlagshipConfig) {
  const dilations: number[] = []
  let product = 1
  let reach = 0
  for (const stride of strides) {
    dilations.push(product)
    reach += (kernel - 1) * product
    product *= stride
  }
  const taps = Math.floor((chunk - 1 - reach) / product) + 1
  return { dilations, taps, dilation: product, reach: reach + (taps - 1) * product }
}

/** Samples that one latent sees: at most a chunk. */
export function receptiveField(config: FlagshipConfig): number {
  return encoderGeometry(config).reach + 1
}

// ---------------------------------------------------------------- the encoder (paper, figure 1)

/** The causal layers of the encoder: five convolutions and the readout. */
export function encoderLayers(config: FlagshipConfig): CausalLayer[] {
  const { dilations, taps, dilation } = encoderGeometry(config)
  const { filters, kernel, width } = config
  const convolutions = filters.map((count, i) =>
    causalConv(`encoder.${i}`, {
      channels: filters[i - 1] ?? 1,
      filters: count,
      taps: kernel,
      dilation: dilations[i]!,
    }),
  )
  const channels = filters.at(-1)!
  return [
    ...convolutions,
    causalConv('encoder.readout', { channels, filters: width, taps, dilation }),
  ]
}

/**
 * Identity E1: with valid padding the chunk encoder, slid along the waveform, is one causal dilated
 * stack. Gives the latent of the chunk that ends at every sample.
 *
 * @param x waveform in [-1, 1], [1, 1, T]
 * @returns latents [T, width]; `maps` are the rectified maps [1, filters, T] in between
 */
export function encode(
  p: Parameters,
  config: FlagshipConfig,
  x: Tensor,
  states: readonly Tensor[],
): { z: Tensor; maps: Tensor[]; states: Tensor[] } {
  const layers = encoderLayers(config)
  const maps: Tensor[] = []
  const after: Tensor[] = []
  let h = x // [1, 1, T]
  for (const [i, layer] of layers.entries()) {
    const { y, state } = layer.forward(p, h, states[i]!) // [1, filters, T]
    after.push(state)
    const isReadout = i === layers.length - 1
    h = isReadout ? y : relu(y)
    if (!isReadout) maps.push(h)
  }
  const z = transpose(reshape(h, [config.width, x.shape[2]!])) // [T, width]
  return { z, maps, states: after }
}

/**
 * The encoder as the paper runs it: strided convolutions over one chunk, flattened to one latent.
 * The same parameters as `encode`; the newest samples are kept where strides leave some over.
 *
 * @param chunks [batch, 1, chunk], the samples that `receptiveField` counts at the end
 * @param dropout multiplies the rectified maps, if given
 * @returns [batch, width]
 */
export function encodeChunks(
  p: Parameters,
  config: FlagshipConfig,
  chunks: Tensor,
  dropout: Dropout = keepAll,
): Tensor {
  const { filters, kernel, width, strides } = config
  const { taps } = encoderGeometry(config)
  const seen = receptiveField(config)
  let h = slice(chunks, 2, config.chunk - seen, config.chunk) // [batch, 1, seen]
  for (const [i, count] of filters.entries()) {
    const w = p.get(`encoder.${i}.w`, [count, h.shape[1]!, kernel], he(h.shape[1]! * kernel))
    const bias = p.get(`encoder.${i}.b`, [count], 0)
    h = dropout(relu(conv1d(h, w, { stride: strides[i]!, bias })), 'encoder') // [batch, filters, T / stride]
  }
  const channels = filters.at(-1)!
  const w = p.get('encoder.readout.w', [width, channels, taps], he(channels * taps))
  const bias = p.get('encoder.readout.b', [width], 0)
  return reshape(conv1d(h, w, { bias }), [chunks.shape[0]!, width])
}

// ------------------------------------------------------------------------- the Transformer

/** What the tokens look at; by default at themselves and every token before them. */
export interface Look {
  /** Tokens that a token sees in each layer, itself among them; the configuration may allow fewer. */
  window?: number | undefined
  /** Per layer, what it saw of earlier tokens, [phases, past, width]. */
  caches?: readonly Tensor[] | undefined
  /** Added to all scores, [1, past + tokens]: very negative where no token is. */
  mask?: Tensor | undefined
}

/**
 * Causal Transformer over the tokens of each phase (identity E2): pre-norm layers, relative
 * positions, so that what is remembered of a token stays true while the window slides. Latents are
 * normalised first: nothing else keeps the encoder from drowning what attention adds to them.
 *
 * @param z latents [phases, tokens, width]
 * @returns h [phases, tokens, width], and the layers' normalised inputs, which are all they remember
 */
export function contextTransformer(
  p: Parameters,
  config: FlagshipConfig,
  z: Tensor,
  { window, caches, mask }: Look = {},
): { h: Tensor; inputs: Tensor[] } {
  const queries = z.shape[1]!
  let h = layerNorm(p, 'context.input', z) // [phases, tokens, width]
  const inputs: Tensor[] = []
  for (let i = 0; i < config.layers; i++) {
    const name = `context.${i}`
    const a = layerNorm(p, `${name}.norm1`, h)
    inputs.push(a)
    const past = caches ? concat([caches[i]!, a], 1) : a // [phases, past + tokens, width]
    const keys = past.shape[1]!
    const mine = Math.min(window ?? keys, config.window ?? keys)
    const reach = { queries, keys, window: mine, heads: config.heads }
    const spans = causalSpans(p, name, reach, { mask })
    h = add(h, attention(p, `${name}.attention`, a, past, spans, config))
    h = add(h, feedForward(p, `${name}.ff`, layerNorm(p, `${name}.norm2`, h), config))
  }
  return { h: layerNorm(p, 'context.norm', h), inputs }
}

function feedForward(p: Parameters, name: string, x: Tensor, config: FlagshipConfig): Tensor {
  const inner = relu(linear(p, `${name}.in`, x, config.feedForward, { initial: he(config.width) }))
  return linear(p, `${name}.out`, inner, config.width)
}

// ------------------------------------------------- the Transformer as printed (paper, section 3)

/** Multiplies by a mask of zeros and ones, scaled; the identity where nothing is dropped. */
export type Dropout = (x: Tensor, where: keyof FlagshipConfig['dropout']) => Tensor

const keepAll: Dropout = (x) => x

/**
 * The paper's Transformer: every token attends to every other, sinusoidal positions by slot in the
 * window, normalisation after each sum (Vaswani et al. 2017). Only the last token leaves it, so the
 * last layer computes no other.
 *
 * @param z latents of the window's chunks, [batch, tokens, width]
 * @param mask added to the scores: 0 for tokens that are there, [1, tokens]
 * @returns the last token, [batch, width]
 */
export function windowTransformer(
  p: Parameters,
  config: FlagshipConfig,
  z: Tensor,
  mask: Tensor,
  dropout: Dropout = keepAll,
): Tensor {
  const [batch, tokens, width] = z.shape as [number, number, number]
  const positions = constant(p.graph, sinusoids(tokens, width), [tokens, width])
  let h = dropout(add(z, positions), 'token') // [batch, tokens, width]
  for (let i = 0; i < config.layers; i++) {
    const name = `context.${i}`
    const isLast = i === config.layers - 1
    const x = isLast ? slice(h, 1, tokens - 1, tokens) : h // [batch, 1 or tokens, width]
    const all = { queries: [0, x.shape[1]!], keys: [0, tokens], bias: mask } as const
    const seen = attention(p, `${name}.attention`, x, h, [all], config)
    const a = layerNorm(p, `${name}.norm1`, add(x, dropout(seen, 'attention')))
    const f = dropout(feedForward(p, `${name}.ff`, a, config), 'feedForward')
    h = layerNorm(p, `${name}.norm2`, add(a, f))
    if (!isLast) h = dropout(h, 'token')
  }
  return reshape(h, [batch, width])
}

/** sin and cos of the slot at wavelengths from 2 pi to 20,000 pi, [tokens, width]. */
function sinusoids(tokens: number, width: number): Float32Array {
  return Float32Array.from({ length: tokens * width }, (_, at) => {
    const [slot, i] = [Math.floor(at / width), at % width]
    const angle = slot / 10_000 ** ((2 * Math.floor(i / 2)) / width)
    return i % 2 === 0 ? Math.sin(angle) : Math.cos(angle)
  })
}

// -------------------------------------------------------------------------------- the head

/** What the head reads, as far as the model has it. */
export interface Heard {
  /** What the context says, [n, width]. */
  h?: Tensor | undefined
  /** Features of the local path, [n, skip]. */
  s?: Tensor | undefined
  /** What is recalled, [n, recall.heads recall.width]. */
  r?: Tensor | undefined
  /** Rows of `Forecaster`, [n, FORECAST_WIDTH]. */
  forecast?: Tensor | undefined
}

/**
 * Logits of the next sample. With a forecast they are a correction, at first none, to curves around
 * it, whose centres, widths and weights the head gives too.
 *
 * @returns [n, levels]
 */
export function head(
  p: Parameters,
  config: FlagshipConfig,
  { h, s, r, forecast }: Heard,
  dropout: Dropout = keepAll,
): Tensor {
  const { hidden, levels } = config
  // a context that joins a trained local path starts by saying nothing
  const initial = s ? 0 : he(config.width)
  const fromContext = h && linear(p, 'head.context', h, hidden, { initial, bias: false })
  const fromLocal =
    s && linear(p, 'head.local', s, hidden, { initial: he(s.shape[1]!), bias: false })
  // and so does recall
  const fromRecall = r && linear(p, 'head.recall', r, hidden, { initial: 0, bias: false })
  const all = [fromContext, fromLocal, fromRecall].filter((x) => x !== undefined)
  const sum = all.reduce((a, b) => add(a, b))
  const inner = dropout(relu(add(sum, p.get('head.b', [hidden], 0))), 'head') // [n, hidden]
  const spread = { initial: forecast ? 0 : { normal: 0.5 / Math.sqrt(hidden) } }
  const logits = linear(p, 'head.out', inner, levels, spread) // [n, levels]
  return forecast ? add(logits, expected(p, config, inner, forecast)) : logits
}

/** Logits of the curves around a forecast, [n, levels]. */
function expected(p: Parameters, config: FlagshipConfig, inner: Tensor, forecast: Tensor): Tensor {
  const count = CURVE_NUMBERS * config.forecast!.curves
  const numbers = add(
    linear(p, 'head.curves', inner, count, { initial: 0 }),
    linear(p, 'head.forecast', featuresOf(forecast), count, { initial: 0, bias: false }),
  ) // [n, 3 curves]
  const { table } = quantizer(config.audio.quantizer)
  const edges = table.subarray(1).map((value, i) => (table[i]! + value) / 2)
  const [mean, inverse] = [slice(forecast, 1, 0, 1), slice(forecast, 1, 1, 2)]
  return logisticLevels(edges, mean, inverse, numbers)
}

/** Inputs named `${prefix}.${i}` for the states of causal layers. */
export function stateInputs(p: Parameters, prefix: string, layers: readonly Stateful[]) {
  return layers.map((layer, i) => input(p.graph, `${prefix}.${i}`, layer.stateShape))
}

export function stateShapes(layers: readonly Stateful[]): Shape[] {
  return layers.map((layer) => layer.stateShape)
}
