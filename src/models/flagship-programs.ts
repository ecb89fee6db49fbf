/**
 * The graphs of the dense flagship. The network splits at what every sample hands to the context,
 * its latent z and its local features s: before it everything runs over stretches of time, behind it
 * over blocks of phases, so that memory depends on the stretch and the block, not on the context.
 */
import {
  countMacs,
  crossEntropy,
  Graph,
  gradients,
  input,
  mul,
  reshape,
  type Shape,
  sizeOf,
  slice,
  sum,
  type Tensor,
  transpose,
} from '../graph/index.js'
import type { Stateful } from '../nn/layers.js'
import { Parameters } from '../nn/parameters.js'
import {
  contextTransformer,
  encode,
  encoderLayers,
  type FlagshipConfig,
  head,
  stateInputs,
  windowTransformer,
} from './flagship.js'
import { recallWindow } from './flagship-layout.js'
import { localFeatures, localLayers } from './flagship-local.js'
import { PARTS, recall, recallRows, recallStates } from './flagship-recall.js'
import { FORECAST_WIDTH } from './forecast.js'

export type Part = 'all' | 'local'

type Named = Record<string, Tensor>

/** What runs over a stretch of time: from samples to z and s. */
export interface Stretch {
  p: Parameters
  /** z [time, width], s [time, skip] and r [time, 3 recall.width], as far as the model has them. */
  features: Named
  /** What the causal layers remember, fed as `state.*` and fetched as `next.*`. */
  states: Named
  next: Named
  /** Maps that a backward program takes over from the forward program. */
  maps: Named
  macs: number
}

/** Builds the graph from `time` samples to their features. */
export function buildStretch(
  config: FlagshipConfig,
  time: number,
  part: Part,
  dtype: 'float32' | 'float64' = 'float32',
): Stretch {
  const graph = new Graph(dtype)
  const p = new Parameters(graph)
  const x = input(graph, 'x', [1, 1, time])
  const stretch: Stretch = { p, features: {}, states: {}, next: {}, maps: {}, macs: 0 }

  const add = (
    prefix: string,
    layers: readonly Stateful[],
    run: (states: Tensor[]) => { maps: Tensor[]; states: Tensor[] },
  ) => {
    const states = stateInputs(p, `state.${prefix}`, layers)
    const result = run(states)
    for (const [i, state] of states.entries()) {
      stretch.states[`state.${prefix}.${i}`] = state
      stretch.next[`next.${prefix}.${i}`] = result.states[i]!
    }
    for (const [i, map] of result.maps.entries()) stretch.maps[`map.${prefix}.${i}`] = map
  }

  if (part === 'all') {
    add('encoder', encoderLayers(config), (states) => {
      const { z, ...rest } = encode(p, config, x, states)
      stretch.features.z = z
      return rest
    })
  }
  const { local } = config
  if (local) {
    const codes = input(graph, 'codes', [time], 'int32')
    add('local', localLayers(local), (states) => {
      const forecast = forecastInput(p, config, [time])
      const { s, ...rest } = localFeatures(p, { ...config, local }, codes, x, states, forecast)
      stretch.features.s = s
      return rest
    })
  }
  const { recall } = config
  if (recall && part === 'all') {
    const mine = { ...config, recall }
    add('recall', recallStates(mine), (states) => {
      const { r, ...rest } = recallRows(p, mine, x, states)
      stretch.features.r = r
      return { maps: [], ...rest }
    })
  }
  stretch.macs = countMacs(Object.values(stretch.features))
  return stretch
}

/** The input `forecast` [...rows, FORECAST_WIDTH], of a model that has one. */
export function forecastInput(
  p: Parameters,
  config: FlagshipConfig,
  rows: Shape,
): Tensor | undefined {
  return config.forecast ? input(p.graph, 'forecast', [...rows, FORECAST_WIDTH]) : undefined
}

/**
 * Adds the gradients of a stretch: from `d.z`, `d.s` and `d.next.*` to the parameters (`grad.*`) and
 * to the states before it (`d.state.*`).
 */
export function differentiateStretch({ p, features, states, next }: Stretch): Named {
  const outputs = [...Object.entries(features), ...Object.entries(next)].map(
    ([name, tensor]) => [tensor, input(p.graph, `d.${name}`, tensor.shape)] as const,
  )
  const names = [...p.tensors.keys()]
  const stateNames = Object.keys(states)
  const wrt = [...p.tensors.values(), ...Object.values(states)]
  const found = gradients(outputs, wrt)
  return Object.fromEntries([
    ...names.map((name, i) => [`grad.${name}`, found[i]!]),
    ...stateNames.map((name, i) => [`d.${name}`, found[names.length + i]!]),
  ])
}

/** What runs over a block of phases: from z and s to the loss. */
export interface Block {
  p: Parameters
  /** Nats of every target in the order (token, phase), [tokens * phases]. */
  nats: Tensor
  /** z and r [tokens, phases, n] and s [scored, phases, skip], as far as the model has them. */
  features: Named
  macs: number
}

/**
 * Builds the graph from the features of `phases` phases, `tokens` tokens each, to the nats of the
 * newest `scored` tokens of each, which see `context` tokens (by default all). The paper's form scores one token, and is fed a `mask` [1, tokens]:
 * 0 for tokens that are there, very negative for those before the beginning.
 */
export function buildBlock(
  config: FlagshipConfig,
  size: { tokens: number; phases: number; scored?: number; context?: number },
  part: Part,
  dtype: 'float32' | 'float64' = 'float32',
): Block {
  const { tokens, phases } = size
  const scored = size.scored ?? tokens
  const graph = new Graph(dtype)
  const p = new Parameters(graph)
  const features: Named = {}
  const rows = scored * phases

  let h: Tensor | undefined
  if (part === 'all') {
    const z = input(graph, 'z', [tokens, phases, config.width])
    features.z = z
    const byPhase = transpose(z, [1, 0, 2]) // [phases, tokens, width]
    if (config.form === 'paper') {
      h = windowTransformer(p, config, byPhase, input(graph, 'mask', [1, tokens]))
    } else {
      const found = contextTransformer(p, config, byPhase).h
      h = reshape(newest(transpose(found, [1, 0, 2]), scored), [rows, config.width])
    }
  }
  let s: Tensor | undefined
  if (config.local) {
    features.s = input(graph, 's', [scored, phases, config.local.skip])
    s = reshape(features.s, [rows, config.local.skip])
  }
  let r: Tensor | undefined
  if (config.recall && part === 'all') {
    const { width, heads } = config.recall
    features.r = input(graph, 'r', [tokens, phases, PARTS * width])
    // of one token all the context is its own chunk
    if ((size.context ?? tokens) > 1) {
      const byPhase = transpose(features.r, [1, 0, 2])
      const look = {
        queries: scored,
        window: Math.min(tokens, recallWindow(size.context ?? tokens)),
      }
      const found = recall(p, { ...config, recall: config.recall }, byPhase, look)
      r = reshape(transpose(found, [1, 0, 2]), [rows, heads * width])
    }
  }
  const targets = input(graph, 'targets', [rows], 'int32')
  const given = forecastInput(p, config, [scored, phases])
  const forecast = given && reshape(given, [rows, FORECAST_WIDTH])
  const nats = crossEntropy(head(p, config, { h, s, r, forecast }), targets) // [rows]
  return { p, nats, features, macs: countMacs([nats]) }
}

function newest(x: Tensor, count: number): Tensor {
  const tokens = x.shape[0]!
  return slice(x, 0, tokens - count, tokens)
}

/**
 * Adds the gradients of a block's loss, the sum of its nats times the input `weight` [1]: to its
 * features (`d.*`) and to the parameters (`grad.*`); the sum itself is `nats`.
 */
export function differentiateBlock({ p, nats, features }: Block): Named {
  const total = sum(nats) // [1]
  const weight = input(p.graph, 'weight', [1])
  const names = [...p.tensors.keys()]
  const featureNames = Object.keys(features)
  const found = gradients([mul(total, weight)], [...p.tensors.values(), ...Object.values(features)])
  return Object.fromEntries([
    ['nats', total],
    ...names.map((name, i) => [`grad.${name}`, found[i]!]),
    ...featureNames.map((name, i) => [`d.${name}`, found[names.length + i]!]),
  ])
}

/** Arrays of zeros for tensors. */
export function zeros(tensors: Named): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, t]) => [name, new Float32Array(sizeOf(t.shape))]),
  )
}
