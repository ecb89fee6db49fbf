/**
 * SampleRNN: recurrent tiers that run at different rates, each over frames of samples and over what the
 * slower tier above says of them, and a multilayer perceptron that puts out every sample. After Mehri
 * et al., "SampleRNN: An Unconditional End-to-End Neural Audio Generation Model" (2017), section 2, in
 * the form and size that the table of SaShiMi (Goel et al. 2022) compares with.
 */
import type { QuantizerName } from '../audio/index.js'
import { UsageError } from '../base/errors.js'
import {
  add,
  bag,
  concat,
  constant,
  div,
  gru,
  matmul,
  mul,
  relu,
  reshape,
  type Shape,
  scale,
  shift,
  slice,
  sqrt,
  sum,
  type Tensor,
  take,
  toInt,
  transpose,
} from '../graph/index.js'
import { he, type Initial, lecun, type Parameters } from '../nn/parameters.js'
import { causalModel } from './causal-model.js'
import type { CausalNetwork } from './causal-network.js'
import type { Model } from './model.js'
import { frameSizes, valueOfCode } from './samplernn-layout.js'
import { samplernnStepForm } from './samplernn-plan.js'

export interface SampleRnnConfig {
  /**
   * Samples in a frame of the lowest recurrent tier, then for each tier above the frames of the one
   * below that make up one of its own.
   */
  frames: readonly number[]
  /** Recurrent layers of a tier. */
  layers: number
  /** Units of every recurrent and hidden layer. */
  width: number
  /** Width of what a code is looked up as, for the perceptron. */
  embedding: number
  /** Levels of a sample. */
  levels: 256
  /** What the codes stand for. */
  audio: { sampleRate: number; quantizer: QuantizerName }
}

const SASHIMI: SampleRnnConfig = {
  frames: [8, 2, 2], // 8, 16 and 32 samples
  layers: 1,
  width: 1024,
  embedding: 256,
  levels: 256,
  audio: { sampleRate: 16_000, quantizer: 'mu-law' },
}

export const samplernnPresets = {
  /** 35.04M parameters, of which the recurrent layers are 54%. */
  samplernn: SASHIMI,
  /** 2.71M, for short runs. */
  'samplernn-small': { ...SASHIMI, width: 256 },
} as const satisfies Record<string, SampleRnnConfig>

/** The frame of the highest tier: the rhythm of the whole network. */
const longestFrame = (config: SampleRnnConfig) => frameSizes(config).at(-1)!

/**
 * The network (section 2).
 *
 * @param codes int32 [B T], stream after stretch, T whole frames of the highest tier
 * @param states of each stream: values of the newest samples, whether it has begun, and the recurrent
 *   layers, lowest tier first
 * @returns logits of the sample after each code, [B T, levels]
 */
export function samplernnForward(
  p: Parameters,
  config: SampleRnnConfig,
  codes: Tensor,
  [recent, begun, ...before]: readonly Tensor[],
): { logits: Tensor; states: Tensor[] } {
  const { layers, width } = config
  const sizes = frameSizes(config)
  const lead = sizes.at(-1)! - 1
  const B = recent!.shape[0]!
  const T = codes.shape[0]! / B
  const x = concat([recent!, valuesOf(config, codes, B)], 1) // [B, lead + T]

  // from the slowest tier to the fastest; equation 2: each hears its frame and the tier above
  const after: Tensor[] = []
  let above: Tensor | undefined // [B F, width]
  for (const [k, n] of [...sizes.entries()].reverse()) {
    const F = T / n
    // the frame that ends with the newest sample at hand when the tier runs
    const frames = reshape(slice(x, 1, lead + 1 - n, lead + 1 - n + T), [B, F, n])
    const inTime = reshape(transpose(frames, [1, 0, 2]), [F * B, n]) // [F B, n]
    let h = normalised(p, `tier.${k}.input`, inTime, width) // [F B, width]
    if (above) h = add(h, above)
    let columns: Tensor | undefined
    for (let layer = 0; layer < layers; layer++) {
      const name = `tier.${k}.gru.${layer}`
      const start = stateAtStart(p, name, begun!, before[k * layers + layer]!) // [width, B]
      const H = recurrent(p, name, h, start, F) // [F, width, B]
      after[k * layers + layer] = transpose(reshape(slice(H, 0, F - 1, F), [width, B]))
      columns = reshape(transpose(H, [1, 0, 2]), [width, F * B])
      if (layer < layers - 1) h = transpose(columns)
    }
    // learned upsampling: a linear layer for each of the frames, or samples, below
    const r = config.frames[k]!
    const up = normalised(p, `tier.${k}.up`, columns!, r * width, { isTurned: true })
    above = reshape(up, [F * B * r, width]) // [F B r, width]
    if (k > 0) {
      const apart = reshape(up, [F, B, r, width])
      above = reshape(transpose(apart, [0, 2, 1, 3]), [F * r * B, width]) // [F r B, width]
    }
  }

  const logits = perceptron(p, config, codes, recent!, above!)
  const ones = constant(codes.graph, Array(B).fill(1), [B, 1])
  return { logits, states: [slice(x, 1, T, T + lead), ones, ...after] }
}

/** Codes as numbers from -2 to 2, silence 0, as the tiers hear them: [B, T]. */
function valuesOf({ levels }: SampleRnnConfig, codes: Tensor, B: number): Tensor {
  const values = Array.from({ length: levels }, (_, code) => valueOfCode(code, levels))
  const table = constant(codes.graph, values, [levels, 1])
  return reshape(take(table, codes, 0), [B, codes.shape[0]! / B])
}

/** The codes of values. */
const codesOfValues = ({ levels }: SampleRnnConfig, x: Tensor) =>
  toInt(shift(scale(shift(x, 2), levels / 4), 0.5))

/** What a layer starts a stretch with: what it remembers, or where a stream begins what is learned. */
function stateAtStart(p: Parameters, name: string, begun: Tensor, before: Tensor): Tensor {
  const first = p.get(`${name}.first`, [1, before.shape[1]!], 0)
  const isNew = shift(scale(begun, -1), 1) // [B, 1]
  return transpose(add(mul(before, begun), mul(first, isNew))) // [width, B]
}

/** A gated recurrent layer over h [F B, width] from a state [width, B]: [F, width, B]. */
function recurrent(p: Parameters, name: string, h: Tensor, start: Tensor, F: number): Tensor {
  const [width, B] = start.shape as [number, number]
  const get = (part: string, inputs: number, initial: Initial) =>
    p.get(`${name}.${part}`, [3 * width, inputs], initial)
  // the inputs of all frames in one product
  const inputs = matmul(get('w', width, lecun(width)), h, { transB: true }) // [3 width, F B]
  const x = transpose(reshape(inputs, [3 * width, F, B]), [1, 0, 2])
  return gru(
    add(x, get('b', 1, 0)), // [F, 3 width, B]
    get('u', width, lecun(width)),
    get('c', 1, 0),
    start,
  )
}

/**
 * The tier of samples (section 2.2): a layer over the newest samples, each looked up, and over what the
 * tier above says; another one; and the logits.
 *
 * @param above [F B r, width], the r samples of a frame together
 * @returns [B T, levels]
 */
function perceptron(
  p: Parameters,
  config: SampleRnnConfig,
  codes: Tensor,
  recent: Tensor,
  above: Tensor,
): Tensor {
  const { frames, width, embedding, levels } = config
  const r = frames[0]!
  const [B, lead] = recent.shape as [number, number]
  const T = codes.shape[0]! / B
  const F = T / r
  const all = concat([codesOfValues(config, recent), reshape(codes, [B, T])], 1) // [B, lead + T]

  // looking up and the layer's product are one table for each tap, made once for all samples
  const table = p.get('embedding', [levels, embedding], { normal: 1 })
  const w = reshape(weightOf(p, 'sample', [width, r * embedding]), [width, r, embedding])
  const taps = range(r).map((k) => reshape(slice(w, 1, k, k + 1), [width, embedding]))
  const tables = taps.map((tap) => matmul(table, tap, { transB: true })) // [levels, width]
  const newest = range(r).map((k) => {
    const at = reshape(slice(all, 1, lead - k, lead - k + T), [B, F, r])
    return reshape(transpose(at, [1, 0, 2]), [F * B * r, 1])
  })
  const heard = bag(concat(tables, 0), concat(newest, 1), levels) // [F B r, width]
  const h = add(above, heard)
  const hidden = normalised(p, 'hidden', relu(h), width)
  const y = normalised(p, 'output', relu(hidden), levels, { gain: 1 }) // [F B r, levels]
  const apart = reshape(y, [F, B, r * levels])
  return reshape(transpose(apart, [1, 0, 2]), [B * T, levels])
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i)

/**
 * Weights of a length and of a direction that are learned apart (Salimans and Kingma 2016), of all
 * linear layers outside of the recurrent ones: [outputs, inputs].
 *
 * @param gain length of an output's weights at first: He et al.'s by default
 */
function weightOf(p: Parameters, name: string, shape: Shape, gain = Math.SQRT2): Tensor {
  const v = p.get(`${name}.v`, shape, he(shape[1]!))
  const g = p.get(`${name}.g`, [shape[0]!, 1], gain)
  const length = sqrt(sum(mul(v, v), [1])) // [outputs, 1]
  return mul(v, div(g, length))
}

/** A linear layer of normalised weights over rows x [n, inputs], or columns where it is turned. */
function normalised(
  p: Parameters,
  name: string,
  x: Tensor,
  outputs: number,
  { isTurned = false, gain }: { isTurned?: boolean; gain?: number } = {},
): Tensor {
  const inputs = x.shape[isTurned ? 0 : 1]!
  const w = weightOf(p, name, [outputs, inputs], gain)
  const bias = p.get(`${name}.b`, [outputs], 0)
  return matmul(x, w, { transA: isTurned, transB: true, bias }) // [n, outputs]
}

/** Samples of a stretch at most: recurrent layers are unrolled. */
const STRETCH = 1024

/** The network of a configuration, which `causalModel` makes a model. */
export function samplernnNetwork(config: SampleRnnConfig): CausalNetwork {
  const { frames, layers, width } = config
  const frame = longestFrame(config)
  const states = Array.from({ length: frames.length * layers }, () => [1, width])
  return {
    receptiveField: Number.POSITIVE_INFINITY,
    stateShapes: [[1, frame - 1], [1, 1], ...states],
    period: frame,
    stretch: STRETCH,
    carries: true,
    forward: (p, codes, before) => samplernnForward(p, config, codes, before),
  }
}

/** A SampleRNN under one configuration. @throws UsageError when the configuration makes none */
export function samplernn(config: SampleRnnConfig): Model<SampleRnnConfig> {
  check(config)
  return causalModel('samplernn', config, samplernnNetwork(config), samplernnStepForm(config))
}

function check(config: SampleRnnConfig): void {
  const { frames, layers, width, embedding, levels } = config
  const bad = (fact: string, expected: string, got: unknown) =>
    new UsageError({ fact, expected, got: JSON.stringify(got) })
  const isCount = (n: unknown) => Number.isInteger(n) && (n as number) >= 1
  const isFrames = Array.isArray(frames) && frames.length > 0 && frames.every(isCount)
  if (!isFrames || longestFrame(config) < 2 || longestFrame(config) > STRETCH) {
    const expected = `factors such as [8,2,2], a product from 2 to ${STRETCH}`
    throw bad('A SampleRNN cannot have these frames.', expected, frames)
  }
  for (const [name, count] of Object.entries({ layers, width, embedding })) {
    if (!isCount(count))
      throw bad(`A SampleRNN cannot have ${count} ${name}.`, 'a whole number from 1', count)
  }
  if (levels !== 256) throw bad('Samples have 256 levels.', '256', levels)
}
