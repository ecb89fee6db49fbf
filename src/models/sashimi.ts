/**
 * SaShiMi: a U-shape of state-space blocks, whose coarser tiers see every fourth and every sixteenth
 * step of the waveform. After Goel, Gu, Donahue and Re, "It's Raw! Audio Generation with State-Space
 * Models" (2022), section 4, in its autoregressive form: blocks in the middle and on the way up alone.
 */
import type { QuantizerName } from '../audio/index.js'
import { UsageError } from '../base/errors.js'
import {
  add,
  concat,
  gelu,
  matmul,
  mul,
  reshape,
  type Shape,
  sigmoid,
  slice,
  type Tensor,
  take,
  transpose,
} from '../graph/index.js'
import { layerNorm } from '../nn/layers.js'
import { type Initial, lecun, type Parameters } from '../nn/parameters.js'
import { type StateSpace, stateSpace } from '../nn/state-space.js'
import { causalModel } from './causal-model.js'
import type { CausalNetwork } from './causal-network.js'
import type { Model } from './model.js'
import { sashimiStepForm } from './sashimi-plan.js'

export interface SaShiMiConfig {
  /** Blocks of every tier. */
  layers: number
  /** Width of the tier at the rate of the samples. */
  channels: number
  /** Steps that one step of the next coarser tier stands for, tier by tier. */
  pool: readonly number[]
  /** Times that a coarser tier is wider. */
  expand: number
  /** Times that the feed-forward layer is wider than its tier. */
  feed: number
  /** Complex states of a channel: N = 2 modes in the paper. */
  modes: number
  /** What is behind a state space: `gelu`, then a linear layer; or that with a gate, `glu`. */
  mix: 'gelu' | 'glu'
  /** Levels of a sample. */
  levels: 256
  /** What the codes stand for. */
  audio: { sampleRate: number; quantizer: QuantizerName }
}

const YOUTUBEMIX: SaShiMiConfig = {
  layers: 6, // 3.13M in the paper's table; 8, 4 and 2 have 4.05M, 2.21M and 1.29M
  channels: 64,
  pool: [4, 4],
  expand: 2,
  feed: 2,
  modes: 32,
  mix: 'gelu', // `glu` is for speech digits there
  levels: 256,
  audio: { sampleRate: 16_000, quantizer: 'mu-law' },
}

export const sashimiPresets = {
  /** 3.14M parameters. */
  sashimi: YOUTUBEMIX,
  /** An eighth of it, for short runs. */
  'sashimi-small': { ...YOUTUBEMIX, layers: 2, channels: 32, modes: 16 },
} as const satisfies Record<string, SaShiMiConfig>

/** One resolution: its width, and how many samples one of its steps is. */
export interface Tier {
  readonly width: number
  readonly period: number
}

/** The tiers, from that of the samples to the coarsest. */
export function sashimiTiers({ channels, pool, expand }: SaShiMiConfig): Tier[] {
  const tiers = [{ width: channels, period: 1 }]
  for (const steps of pool) {
    const { width, period } = tiers.at(-1)!
    tiers.push({ width: width * expand, period: period * steps })
  }
  return tiers
}

/** One block: a state space and a feed-forward layer, each beside the residual stream. */
function block(name: string, width: number, { layers, feed, modes, mix }: SaShiMiConfig) {
  const ssm = stateSpace(`${name}.ssm`, { channels: width, modes })
  // what all layers of a tier add to the residual stream is at first as large as the stream itself
  const quiet = (fanIn: number) => lecun(fanIn * 2 * layers)
  return {
    ssm,
    /** x [width, T] */
    forward(p: Parameters, x: Tensor, before: Tensor): { x: Tensor; state: Tensor } {
      const { y, state } = ssm.forward(p, layerNorm(p, `${name}.norm1`, x, 0), before)
      const wide = linear(
        p,
        `${name}.mix`,
        gelu(y),
        mix === 'glu' ? 2 * width : width,
        quiet(width),
      )
      const mixed = mix === 'glu' ? glu(wide, width) : wide
      const h = add(x, mixed) // [width, T]
      const inner = linear(p, `${name}.up`, layerNorm(p, `${name}.norm2`, h, 0), feed * width)
      return {
        x: add(h, linear(p, `${name}.down`, gelu(inner), width, quiet(feed * width))),
        state,
      }
    },
  }
}

/** The first half, as far as the second lets it through. */
function glu(x: Tensor, width: number): Tensor {
  return mul(slice(x, 0, 0, width), sigmoid(slice(x, 0, width, 2 * width)))
}

/** W x + b over the columns of x [inputs, T]. */
function linear(
  p: Parameters,
  name: string,
  x: Tensor,
  outputs: number,
  initial: Initial = lecun(x.shape[0]!),
): Tensor {
  const w = p.get(`${name}.w`, [outputs, x.shape[0]!], initial)
  const b = p.get(`${name}.b`, [outputs], 0)
  return add(matmul(w, x), reshape(b, [outputs, 1])) // [outputs, T]
}

/** Every `steps` columns of x [width, T] one below the other: [steps width, T / steps]. */
function folded(x: Tensor, steps: number): Tensor {
  const [width, T] = x.shape as [number, number]
  const apart = reshape(x, [width, T / steps, steps])
  return reshape(transpose(apart, [2, 0, 1]), [steps * width, T / steps])
}

/** The columns of x [steps width, T] side by side again: [width, steps T]. */
function unfolded(x: Tensor, steps: number): Tensor {
  const [tall, T] = x.shape as [number, number]
  const width = tall / steps
  return reshape(transpose(reshape(x, [steps, width, T]), [1, 2, 0]), [width, steps * T])
}

/** All blocks, by tier. */
function blocksOf(config: SaShiMiConfig) {
  return sashimiTiers(config).map(({ width }, tier) =>
    Array.from({ length: config.layers }, (_, i) => block(`tier.${tier}.${i}`, width, config)),
  )
}

/**
 * The network (figure 1 of the paper).
 *
 * @param codes int32 [T], T a multiple of the coarsest tier's period
 * @param states what is remembered before them, as `sashimiStates` has them
 * @returns logits of the sample after each code, [T, levels]
 */
export function sashimiForward(
  p: Parameters,
  config: SaShiMiConfig,
  codes: Tensor,
  states: readonly Tensor[],
): { logits: Tensor; states: Tensor[] } {
  const { pool, levels } = config
  const tiers = sashimiTiers(config)
  const left = [...states]
  const after: Tensor[] = []

  // down: each tier as the next finer one leaves it
  const table = p.get('embedding', [tiers[0]!.width, levels], { normal: 1 })
  const waves = [take(table, codes, 1)] // [width, T]
  for (const [i, steps] of pool.entries()) {
    waves.push(linear(p, `pool.${i}`, folded(waves[i]!, steps), tiers[i + 1]!.width))
  }

  // up: the coarsest tier first
  let x: Tensor | undefined
  for (const [tier, blocks] of [...blocksOf(config).entries()].reverse()) {
    if (x) {
      const steps = pool[tier]!
      // zero at first: noise of the coarse tiers would drown the samples in the finer ones
      const ahead = linear(p, `unpool.${tier}`, x, steps * tiers[tier]!.width, 0)
      // a coarse step knows its last sample: only the steps after it may see what it says
      const seen = concat([left.shift()!, ahead], 1) // [steps width, 1 + T / period]
      const columns = ahead.shape[1]!
      after.push(slice(seen, 1, columns, columns + 1))
      x = add(unfolded(slice(seen, 1, 0, columns), steps), waves[tier]!) // [width, T]
    } else x = waves[tier]!
    const skip = x
    for (const { forward } of blocks) {
      const found = forward(p, x, left.shift()!)
      after.push(found.state)
      x = found.x
    }
    x = add(x, skip)
  }

  const small = { normal: 0.5 / Math.sqrt(levels) }
  const logits = linear(p, 'logits', layerNorm(p, 'norm', x!, 0), levels, small)
  return { logits: transpose(logits), states: after }
}

/** Shapes of what is remembered, in the order of `sashimiForward`. */
export function sashimiStates(config: SaShiMiConfig): Shape[] {
  const tiers = sashimiTiers(config)
  return [...blocksOf(config).entries()].reverse().flatMap(([tier, blocks]) => {
    const steps = config.pool[tier]
    const ahead: Shape[] = steps === undefined ? [] : [[steps * tiers[tier]!.width, 1]]
    return [...ahead, ...blocks.map(({ ssm }: { ssm: StateSpace }) => ssm.stateShape)]
  })
}

export function sashimiNetwork(config: SaShiMiConfig): CausalNetwork {
  return {
    receptiveField: Number.POSITIVE_INFINITY,
    period: sashimiTiers(config).at(-1)!.period,
    // the matrices of the state spaces are made once a stretch
    stretch: 16_000,
    stateShapes: sashimiStates(config),
    forward: (p, codes, states) => sashimiForward(p, config, codes, states),
  }
}

/** A SaShiMi under one configuration. @throws UsageError when the configuration makes none */
export function sashimi(config: SaShiMiConfig): Model<SaShiMiConfig> {
  check(config)
  return causalModel('sashimi', config, sashimiNetwork(config), sashimiStepForm(config))
}

/** Samples of the longest step: longer ones make no sense, and stretches are multiples. */
const LONGEST = 4000

function check(config: SaShiMiConfig): void {
  const { layers, channels, pool, expand, feed, modes, mix, levels } = config
  for (const [name, count] of Object.entries({ layers, channels, expand, feed, modes })) {
    if (Number.isInteger(count) && count >= 1) continue
    throw new UsageError({
      fact: `A SaShiMi cannot have ${count} ${name}.`,
      expected: 'a whole number from 1',
      got: `${count}`,
    })
  }
  const period = pool.reduce((product, steps) => product * steps, 1)
  if (!pool.every((steps) => Number.isInteger(steps) && steps >= 2) || period > LONGEST) {
    throw new UsageError({
      fact: 'The tiers of a SaShiMi make no sense.',
      expected: `steps from 2 whose product is at most ${LONGEST}, such as [4,4]`,
      got: JSON.stringify(pool),
    })
  }
  if (mix !== 'gelu' && mix !== 'glu') {
    throw new UsageError({ fact: 'mix is gelu or glu.', got: JSON.stringify(mix) })
  }
  if (levels !== 256) {
    throw new UsageError({ fact: 'Samples have 256 levels.', expected: '256', got: `${levels}` })
  }
}
