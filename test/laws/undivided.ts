/** The whole dense flagship as one graph from samples to gradients, and models whose learner cuts it. */
import { crossEntropy, gradients, input, scale, sum } from '../../src/graph/index.js'
import type { FlagshipConfig } from '../../src/models/flagship.js'
import type { Arrays } from '../../src/models/model.js'
import { engine } from '../graph/gradcheck.js'
import { denseGraph, STREAM, samplesOf, typed } from './tiny.js'

/** Segments of 9 chunks of 1005 are 3 stretches of 3015 samples and 3 blocks of 335 phases. */
export const LARGE: FlagshipConfig = {
  ...STREAM,
  chunk: 1005,
  strides: [15, 20],
  filters: [3, 2],
  width: 4,
  heads: 2,
  headWidth: 3,
  feedForward: 5,
  hidden: 4,
}
export const LARGE_LOCAL: FlagshipConfig = {
  ...LARGE,
  local: { channels: 2, dilations: [1, 2, 1200, 5], skip: 3 },
}
export const LARGE_FORECAST: FlagshipConfig = { ...LARGE_LOCAL, forecast: { curves: 2 } }
export const LARGE_RECALL: FlagshipConfig = {
  ...LARGE_LOCAL,
  recall: { width: 3, heads: 2, taps: 5, ahead: 2 },
}
export const TOKENS = 9

/** A bias on keys changes nothing. */
export const NO_KEY_BIAS = /\.bk$/

/** The mean nats of the targets of whole segments and its gradients, of one graph. */
export async function undivided(
  config: FlagshipConfig,
  part: 'all' | 'local',
  tokens: number,
  parameters: Arrays,
  segments: readonly Uint8Array[],
  { lead, dtype }: { lead: number; dtype: 'float32' | 'float64' },
) {
  const { p, logits, targets } = denseGraph(config, { tokens, part, dtype })
  const wanted = input(p.graph, 'targets', [targets], 'int32')
  const nats = sum(crossEntropy(logits, wanted))
  const mean = scale(nats, 1 / (targets * segments.length))
  const names = [...p.tensors.keys()]
  const grads = gradients([mean], [...p.tensors.values()])
  const named = Object.fromEntries(names.map((name, i) => [`grad.${name}`, grads[i]!]))
  const program = await (await engine()).compile({ nats, ...named })
  const total: Record<string, Float64Array> = {}
  for (const codes of segments) {
    const found = await program.run({
      ...typed(parameters, dtype),
      ...samplesOf(codes.subarray(lead, -1), dtype, codes.subarray(0, lead)),
      targets: Int32Array.from(codes.subarray(lead + 1)),
    })
    for (const [name, array] of Object.entries(found)) {
      const known = total[name] ?? new Float64Array(array.length)
      total[name] = known.map((value, i) => value + array[i]!)
    }
  }
  await program.dispose()
  const sums = names.map((name) => [name, total[`grad.${name}`]!] as const)
  return { nats: total.nats![0]!, gradients: Object.fromEntries(sums) }
}
