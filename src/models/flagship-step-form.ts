import { Graph, input, matmul, reshape, type Tensor, transpose } from '../graph/index.js'
import { Parameters } from '../nn/parameters.js'
import { contextTransformer, type FlagshipConfig } from './flagship.js'
import { memoryOf, recallWindow, tokensOf } from './flagship-layout.js'
import { densePass } from './flagship-pass.js'
import { flagshipPlan, isAbsorbed } from './flagship-plan.js'
import { PARTS, recallParts } from './flagship-recall.js'
import type { StepForm } from './model.js'

/** The step form of the preset `stream`. */
export function flagshipStepForm(config: FlagshipConfig, values: Float32Array): StepForm {
  // rings are made true by stepping: the pass needs latents alone
  const context: FlagshipConfig = { ...config, local: null, forecast: null }
  return {
    feeds: {
      x: 'value',
      ...(config.local && { codes: 'code' }),
      ...(config.forecast && { forecast: 'forecast' }),
    },
    values,
    memory: memoryOf(config),
    plan: (parameters, samples) => flagshipPlan(config, parameters, samples),
    absorb: async ({ engine, parameters, history, context: samples, take, onProgress }) => {
      const { count } = await densePass({ engine, config: context, parameters, values }, history, {
        tokens: tokensOf(config, samples),
        build: (tokens, phases) =>
          buildRemembered(context, tokens, phases, tokensOf(config, samples)),
        take,
        onProgress,
      })
      return count
    },
  }
}

/** The graph from features to rows of the plan's caches, by their names; a context has `most` tokens. */
function buildRemembered(
  config: FlagshipConfig,
  tokens: number,
  phases: number,
  most: number,
): Record<string, Tensor> {
  const { heads, headWidth, width } = config
  const graph = new Graph()
  const p = new Parameters(graph)
  const z = input(graph, 'z', [tokens, phases, width])
  const { inputs } = contextTransformer(p, config, transpose(z, [1, 0, 2]))
  const rows: Record<string, Tensor> = {}
  for (const [i, x] of inputs.entries()) {
    const name = `context.${i}.attention`
    if (isAbsorbed(config)) {
      rows[`${name}.past`] = x
      continue
    }
    for (const [cache, key] of [
      ['keys', 'wk'],
      ['values', 'wv'],
    ] as const) {
      const w = p.get(`${name}.${key}`, [heads, width, headWidth], 0)
      const flat = reshape(transpose(w, [1, 0, 2]), [width, heads * headWidth])
      rows[`${name}.${cache}`] = matmul(x, flat) // [phases, tokens, heads headWidth]
    }
  }
  if (config.recall && recallWindow(most) > 0) {
    const r = input(graph, 'r', [tokens, phases, PARTS * config.recall.width])
    const [, k, v] = recallParts(p, { ...config, recall: config.recall }, transpose(r, [1, 0, 2]))
    rows['recall.keys'] = k
    rows['recall.values'] = v
  }
  return rows
}
