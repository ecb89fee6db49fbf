/**
 * WaveNet: gated residual stacks of causal dilated convolutions whose skip connections add up to the
 * next sample. After van den Oord et al., "WaveNet: A Generative Model for Raw Audio" (2016), section
 * 2, in the unconditional form and size that the table of SaShiMi (Goel et al. 2022) compares with.
 */
import type { QuantizerName } from '../audio/index.js'
import { UsageError } from '../base/errors.js'
import {
  add,
  concat,
  conv1d,
  matmul,
  relu,
  reshape,
  type Tensor,
  take,
  transpose,
} from '../graph/index.js'
import { type GatedLayer, gatedLayer } from '../nn/gated.js'
import { he, lecun, type Parameters } from '../nn/parameters.js'
import { causalModel } from './causal-model.js'
import type { CausalNetwork } from './causal-network.js'
import type { Model } from './model.js'
import { wavenetStepForm } from './wavenet-plan.js'

export interface WaveNetConfig {
  /** Stacks of layers whose dilations are 1, 2, 4, ... */
  stacks: number
  /** Layers of a stack. */
  layers: number
  kernel: number
  /** Width of the residual stream and of the gates. */
  channels: number
  /** Width of the sum of all skip connections. */
  skip: number
  /** Width of the layer after that sum. */
  end: number
  /** Width of what a code is looked up as. */
  embedding: number
  /** Levels of a sample. */
  levels: 256
  /** What the codes stand for. */
  audio: { sampleRate: number; quantizer: QuantizerName }
}

const SASHIMI: WaveNetConfig = {
  stacks: 4,
  layers: 10, // dilations 1 to 512, as in the paper
  kernel: 2,
  channels: 64,
  skip: 1024, // the other size of that table has 512 and 2.67M parameters
  end: 512,
  embedding: 256,
  levels: 256,
  audio: { sampleRate: 16_000, quantizer: 'mu-law' },
}

export const wavenetPresets = {
  /** 4.24M parameters, of which the skip connections are 62%. */
  wavenet: SASHIMI,
  /** A fourteenth of it, for short runs; sees half as far. */
  'wavenet-small': { ...SASHIMI, stacks: 2, channels: 32, skip: 128, end: 128, embedding: 32 },
} as const satisfies Record<string, WaveNetConfig>

/** Samples that a prediction sees, the newest among them: 4093 in the preset `wavenet`. */
export function wavenetField({ stacks, layers, kernel }: WaveNetConfig): number {
  return 1 + stacks * (kernel - 1) * (2 ** layers - 1)
}

/** The layers, in order. There are no biases but in the two last convolutions and behind them. */
function gatedLayers({ stacks, layers, kernel, channels }: WaveNetConfig): GatedLayer[] {
  return Array.from({ length: stacks * layers }, (_, i) =>
    gatedLayer(`layer.${i}`, { channels, taps: kernel, dilation: 2 ** (i % layers), bias: false }),
  )
}

/**
 * The network (figures 3 and 4 of the paper).
 *
 * @param codes int32 [T]
 * @param states what every layer remembers of the residual stream before it
 * @returns logits of the sample after each code, [T, levels]
 */
export function wavenetForward(
  p: Parameters,
  config: WaveNetConfig,
  codes: Tensor,
  states: readonly Tensor[],
): { logits: Tensor; states: Tensor[] } {
  const { channels, skip, end, embedding, levels } = config
  const T = codes.shape[0]!

  // the first convolution has one tap: with the table it is one table, made once for all samples
  const table = p.get('embedding', [embedding, levels], { normal: 1 })
  const start = p.get('start.w', [channels, embedding], lecun(embedding))
  let h = reshape(take(matmul(start, table), codes, 1), [1, channels, T]) // [1, channels, T]

  const gated: Tensor[] = []
  const after: Tensor[] = []
  const layers = gatedLayers(config)
  for (const [i, layer] of layers.entries()) {
    const { g, state } = layer.gate(p, h, states[i]!) // [1, channels, T]
    gated.push(g)
    after.push(state)
    // nobody reads the residual stream behind the last layer
    if (i < layers.length - 1) h = layer.residual(p, h, g) // [1, channels, T]
  }

  // the sum of the layers' skip connections is one product with all their gates side by side
  const all = concat(gated, 1) // [1, layers channels, T]
  const fan = channels * layers.length
  const sum = conv1d(all, p.get('skip.w', [skip, fan, 1], he(fan))) // [1, skip, T]
  const endBias = p.get('end.b', [end], 0)
  const inner = conv1d(relu(sum), p.get('end.w', [end, skip, 1], he(skip)), { bias: endBias })

  // two linear layers in a row are one, made once for all samples
  const out = p.get('out.w', [levels, end], he(end))
  const outBias = p.get('out.b', [levels, 1], 0)
  const decoder = p.get('decoder.w', [levels, levels], { normal: 0.5 / Math.sqrt(levels) })
  const w = reshape(matmul(decoder, out), [levels, end, 1])
  const bias = add(reshape(matmul(decoder, outBias), [levels]), p.get('decoder.b', [levels], 0))
  const logits = conv1d(relu(inner), w, { bias }) // [1, levels, T]
  return { logits: transpose(reshape(logits, [levels, T])), states: after }
}

/** A WaveNet under one configuration. @throws UsageError when the configuration makes none */
export function wavenet(config: WaveNetConfig): Model<WaveNetConfig> {
  check(config)
  const network: CausalNetwork = {
    receptiveField: wavenetField(config),
    stateShapes: gatedLayers(config).map(({ stateShape }) => stateShape),
    forward: (p, codes, states) => wavenetForward(p, config, codes, states),
  }
  return causalModel('wavenet', config, network, wavenetStepForm(config, network.receptiveField))
}

/** Farther than any dilation of use: 2^24 samples are 17 minutes. */
const MOST_LAYERS = 24

function check(config: WaveNetConfig): void {
  const { stacks, layers, kernel, channels, skip, end, embedding, levels } = config
  const counts = { stacks, layers, kernel, channels, skip, end, embedding }
  for (const [name, count] of Object.entries(counts)) {
    const least = name === 'kernel' ? 2 : 1
    const most = name === 'layers' ? MOST_LAYERS : Number.MAX_SAFE_INTEGER
    if (Number.isInteger(count) && count >= least && count <= most) continue
    throw new UsageError({
      fact: `A WaveNet cannot have ${count} ${name}.`,
      expected: `a whole number from ${least}${name === 'layers' ? ` to ${most}` : ''}`,
      got: `${count}`,
    })
  }
  if (levels !== 256) {
    throw new UsageError({ fact: 'Samples have 256 levels.', expected: '256', got: `${levels}` })
  }
}
