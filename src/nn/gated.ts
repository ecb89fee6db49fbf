import { add, conv1d, mul, sigmoid, slice, type Tensor, tanh } from '../graph/index.js'
import { causalConv, type Stateful } from './layers.js'
import { lecun, type Parameters } from './parameters.js'

/**
 * One layer of a gated residual stack (van den Oord et al. 2016, sections 2.3 and 2.4): a causal
 * dilated convolution whose two halves gate each other, and a way back into the residual stream.
 */
export interface GatedLayer extends Stateful {
  /**
   * Equation 2: g = tanh(Wf * h) . sigmoid(Wg * h).
   * @param h residual stream [1, channels, time]
   * @param state the newest of it before these, [1, channels, reach]
   * @returns g [1, channels, time] and the new state
   */
  gate(p: Parameters, h: Tensor, state: Tensor): { g: Tensor; state: Tensor }
  /** The residual stream after the layer: h + W g, [1, channels, time]. */
  residual(p: Parameters, h: Tensor, g: Tensor): Tensor
}

/** Parameters are `${name}.gate.w` (Wf above Wg), `${name}.residual.w` and their biases `.b`. */
export function gatedLayer(
  name: string,
  {
    channels,
    taps = 2,
    dilation,
    bias = true,
  }: { channels: number; taps?: number; dilation: number; bias?: boolean },
): GatedLayer {
  const convolution = causalConv(`${name}.gate`, {
    channels,
    filters: 2 * channels,
    taps,
    dilation,
    bias,
    initial: lecun(taps * channels),
  })
  return {
    stateShape: convolution.stateShape,
    gate(p, h, before) {
      const { y, state } = convolution.forward(p, h, before) // [1, 2 channels, time]
      const filter = tanh(slice(y, 1, 0, channels))
      return { g: mul(filter, sigmoid(slice(y, 1, channels, 2 * channels))), state }
    },
    residual(p, h, g) {
      const w = p.get(`${name}.residual.w`, [channels, channels, 1], lecun(channels))
      if (!bias) return add(h, conv1d(g, w))
      return add(h, conv1d(g, w, { bias: p.get(`${name}.residual.b`, [channels], 0) }))
    },
  }
}
