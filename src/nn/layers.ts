import {
  add,
  concat,
  conv1d,
  matmul,
  mul,
  normalise,
  reshape,
  type Shape,
  slice,
  type Tensor,
} from '../graph/index.js'
import { he, type Initial, lecun, type Parameters } from './parameters.js'

/** Anything that remembers. */
export interface Stateful {
  /** Shape of what is remembered; zeros before the first sample. */
  readonly stateShape: Shape
}

/**
 * A causal layer is a function of its input and of what it remembers. `forward` over any number of
 * samples returns the memory for the next ones, so that a step is `forward` over one sample, and
 * any split of a signal gives the same result.
 */
export interface CausalLayer extends Stateful {
  /** x [1, channels, time], state [1, channels, reach] -> y [1, filters, time] and the new state. */
  forward(p: Parameters, x: Tensor, state: Tensor): { y: Tensor; state: Tensor }
}

export interface CausalConvOptions {
  channels: number
  filters: number
  taps: number
  dilation?: number
  initial?: Initial
  /** Whether a number per filter is added; it is by default. */
  bias?: boolean
}

/** A causal dilated convolution; y[t] sees x[t - k dilation] for k < taps. */
export function causalConv(name: string, options: CausalConvOptions): CausalLayer {
  const { channels, filters, taps, dilation = 1, bias = true } = options
  const reach = (taps - 1) * dilation
  const initial = options.initial ?? he(channels * taps)
  return {
    stateShape: [1, channels, reach],
    forward: (p, x, state) =>
      p.graph.scoped(name, () => {
        const w = p.get(`${name}.w`, [filters, channels, taps], initial)
        const offset = bias ? { bias: p.get(`${name}.b`, [filters], 0) } : {}
        // one tap remembers nothing: its state is empty and stays so
        if (reach === 0) return { y: conv1d(x, w, offset), state }
        const time = x.shape[2]!
        const seen = concat([state, x], 2) // [1, channels, reach + time]
        const y = conv1d(seen, w, { dilation, ...offset }) // [1, filters, time]
        return { y, state: slice(seen, 2, time, time + reach) }
      }),
  }
}

/** y[t] = x[t - samples]; zeros before the first. */
export function delay(samples: number, channels: number): CausalLayer {
  return {
    stateShape: [1, channels, samples],
    forward: (_, x, state) => {
      const time = x.shape[2]!
      const seen = concat([state, x], 2) // [1, channels, samples + time]
      return { y: slice(seen, 2, 0, time), state: slice(seen, 2, time, time + samples) }
    },
  }
}

/** y = x W + b over the last axis. */
export function linear(
  p: Parameters,
  name: string,
  x: Tensor,
  filters: number,
  { initial, bias = true }: { initial?: Initial; bias?: boolean } = {},
): Tensor {
  return p.graph.scoped(name, () => {
    const channels = x.shape.at(-1)!
    const w = p.get(`${name}.w`, [channels, filters], initial ?? lecun(channels))
    if (!bias) return matmul(x, w) // [..., filters]
    return matmul(x, w, { bias: p.get(`${name}.b`, [filters], 0) }) // [..., filters]
  })
}

/**
 * Zero mean and unit variance over one axis, the last by default, then a scale and an offset (Ba et al.
 * 2016).
 */
export function layerNorm(p: Parameters, name: string, x: Tensor, axis = -1): Tensor {
  return p.graph.scoped(name, () => {
    const width = x.shape.at(axis)!
    const along = x.shape.map(() => 1).with(axis, width)
    const factor = reshape(p.get(`${name}.scale`, [width], 1), along)
    const offset = reshape(p.get(`${name}.offset`, [width], 0), along)
    return add(mul(normalise(x, axis, EPSILON), factor), offset)
  })
}

/** Added to variances. */
export const EPSILON = 1e-5
