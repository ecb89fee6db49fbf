/**
 * Networks that are causal layers from codes to logits, and their graphs over a stretch of time. What
 * a layer remembers is fed and fetched, so that stretches of a segment are exactly the whole segment,
 * forward and backward, and memory depends on the stretch alone.
 */
import {
  countMacs,
  crossEntropy,
  Graph,
  gradients,
  input,
  mul,
  type Shape,
  sum,
  type Tensor,
} from '../graph/index.js'
import { Parameters } from '../nn/parameters.js'

/** A network from codes to logits that any model of this kind gives. */
export interface CausalNetwork {
  /** Samples that a prediction sees, the newest among them; infinite where a state never forgets. */
  readonly receptiveField: number
  /** Samples of its longest step: stretches are whole steps, and the first begins with one. 1 if not given. */
  readonly period?: number
  /** Samples of a stretch that are enough for full speed; 8000 if not given. */
  readonly stretch?: number
  /** Shapes of what is remembered of one recording; zeros before the first sample. */
  readonly stateShapes: readonly Shape[]
  /**
   * Trained by truncated back-propagation through time: a step takes a segment of each of several
   * recordings at once, and what is remembered goes on from step to step, without its gradient.
   */
  readonly carries?: boolean
  /**
   * @param codes int32 [batch time], whole periods: recording after recording; one alone unless the
   *   network `carries`
   * @param states what is remembered before them, its first axis the batch if there is one
   * @returns logits of the sample after each code [batch time, levels], and what is remembered then
   */
  forward(
    p: Parameters,
    codes: Tensor,
    states: readonly Tensor[],
  ): { logits: Tensor; states: readonly Tensor[] }
}

type Named = Record<string, Tensor>

/** The graph of a stretch: inputs `codes`, `targets` and `state.*`. */
export interface CausalStretch {
  p: Parameters
  /** [batch time, levels] */
  logits: Tensor
  /** -ln p of every target, [batch time]. */
  nats: Tensor
  /** What is remembered, fed as `state.*` and fetched as `next.*`. */
  states: Named
  next: Named
  macs: number
}

export function buildCausal(
  network: CausalNetwork,
  time: number,
  dtype: 'float32' | 'float64' = 'float32',
  batch = 1,
): CausalStretch {
  const graph = new Graph(dtype)
  const p = new Parameters(graph)
  const codes = input(graph, 'codes', [batch * time], 'int32')
  const states = network.stateShapes.map((shape, i) =>
    input(graph, `state.${i}`, batch > 1 ? shape.with(0, batch) : shape),
  )
  const { logits, states: after } = network.forward(p, codes, states)
  const nats = crossEntropy(logits, input(graph, 'targets', [batch * time], 'int32'))
  return {
    p,
    logits,
    nats,
    states: Object.fromEntries(states.map((state, i) => [`state.${i}`, state])),
    next: Object.fromEntries(after.map((state, i) => [`next.${i}`, state])),
    macs: countMacs([nats]),
  }
}

/**
 * Adds the gradients of the sum of nats times the input `weight` [1], and of what comes back from
 * later stretches as `d.next.*`: to the parameters (`grad.*`) and to the states before (`d.state.*`);
 * the sum of nats itself is `nats`.
 */
export function differentiateCausal({ p, nats, states, next }: CausalStretch): Named {
  const total = sum(nats) // [1]
  const later = Object.entries(next).map(
    ([name, tensor]) => [tensor, input(p.graph, `d.${name}`, tensor.shape)] as const,
  )
  const names = [...p.tensors.keys()]
  const wrt = [...p.tensors.values(), ...Object.values(states)]
  const found = gradients([mul(total, input(p.graph, 'weight', [1])), ...later], wrt)
  return Object.fromEntries([
    ['nats', total],
    ...names.map((name, i) => [`grad.${name}`, found[i]!]),
    ...Object.keys(states).map((name, i) => [`d.${name}`, found[names.length + i]!]),
  ])
}
