/** Laws that all networks of causal layers share, and what they compare with: one undivided graph in float64. */
import { expect } from 'vitest'
import type { Values } from '../../src/engine/index.js'
import { gradients, scale, sizeOf, sum, type Tensor } from '../../src/graph/index.js'
import { buildCausal, type CausalNetwork } from '../../src/models/causal-network.js'
import type { Arrays, Model, Scorer } from '../../src/models/model.js'
import { engine } from '../graph/gradcheck.js'
import { inputsOf, natsOf, typed } from './tiny.js'

/** States before the first sample. */
export function silence(states: Readonly<Record<string, Tensor>>): Record<string, Float64Array> {
  const entries = Object.entries(states)
  return Object.fromEntries(entries.map(([k, t]) => [k, new Float64Array(sizeOf(t.shape))]))
}

/** Mean nats of the targets of whole segments and its gradients, by one graph in float64. */
export async function undivided(
  network: CausalNetwork,
  weights: Arrays,
  segments: readonly Uint8Array[],
) {
  const time = segments[0]!.length - 1
  const { p, nats, states } = buildCausal(network, time, 'float64')
  const names = [...p.tensors.keys()]
  const mean = scale(sum(nats), 1 / (time * segments.length))
  const found = gradients([mean], [...p.tensors.values()])
  const program = await (await engine()).compile({
    nats: sum(nats),
    ...Object.fromEntries(names.map((name, i) => [`grad.${name}`, found[i]!])),
  })
  const total: Record<string, number[]> = {}
  for (const codes of segments) {
    const found = await program.run({
      ...typed(weights, 'float64'),
      ...silence(states),
      codes: Int32Array.from(codes.subarray(0, -1)),
      targets: Int32Array.from(codes.subarray(1)),
    })
    for (const [name, array] of Object.entries(found)) {
      total[name] = Array.from(array, (value, i) => value + (total[name]?.[i] ?? 0))
    }
  }
  await program.dispose()
  const grads = names.map((name) => [name, total[`grad.${name}`]!] as const)
  return { nats: total.nats![0]!, gradients: Object.fromEntries(grads) }
}

/** Nats of every code by one graph over all of them, in float64. */
export async function natsOfAll(
  network: CausalNetwork,
  weights: Arrays,
  codes: Uint8Array,
): Promise<Values> {
  const { nats, states } = buildCausal(network, codes.length, 'float64')
  const program = await (await engine()).compile({ nats })
  const feeds = { ...typed(weights, 'float64'), ...silence(states), codes: inputsOf(codes) }
  const found = await program.run({ ...feeds, targets: Int32Array.from(codes) })
  await program.dispose()
  return found.nats!
}

/** As many codes as fill whole periods: those behind the last change nothing before them. */
export function filled(codes: Uint8Array, period: number): Uint8Array {
  const all = new Uint8Array(Math.ceil(codes.length / period) * period).fill(128)
  all.set(codes)
  return all
}

export const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => from + i)

/**
 * How far a sample reaches: the longest way from one of the first `changed` samples to a prediction that
 * it moves. None moves what comes before it, nor its own.
 */
export async function reach(
  scorer: Scorer,
  codes: Uint8Array,
  { context, changed }: Record<'context' | 'changed', number>,
): Promise<number> {
  const before = await scorer.score(codes, context)
  let farthest = 0
  for (const at of range(0, changed)) {
    const after = await scorer.score(codes.with(at, 255 - codes[at]!), context)
    // the prediction of a sample sees those before it: that of the next one, a distance of one
    const moved = range(0, codes.length).filter((i) => i !== at && before[i] !== after[i])
    expect(Math.min(...moved, codes.length)).toBeGreaterThan(at)
    farthest = Math.max(farthest, ...moved.map((i) => i - at))
  }
  return farthest
}

/** A generator, primed with prompts of these lengths in turn, gives the nats of the scorer for `steps` samples. */
export async function expectGeneratedAsScored(
  model: Model,
  weights: Arrays,
  codes: Uint8Array,
  { context, prompts, steps }: { context: number; prompts: readonly number[]; steps: number },
): Promise<void> {
  const scorer = await model.scorer(await engine(), weights)
  const expected = await scorer.score(codes, context)
  await scorer.dispose()
  // of a model that says the same of every sample this would show nothing
  expect(Math.max(...expected) - Math.min(...expected)).toBeGreaterThan(1)
  const generator = await model.generator(await engine(), weights, context)
  // the same generator every time: what was there before is forgotten
  for (const prompt of prompts) {
    await generator.prime(codes.subarray(0, prompt))
    for (let t = prompt; t < Math.min(codes.length, prompt + steps); t++) {
      const nats = natsOf(await generator.logits(), codes[t]!)
      expect(Math.abs(nats - expected[t]!), `${prompt} ${t}`).toBeLessThan(1e-4)
      await generator.push(codes[t]!)
    }
  }
  await generator.dispose()
}
