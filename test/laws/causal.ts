/** Laws that all networks of causal layers share, and what they compare with: one undivided graph in float64. */
import fc from 'fast-check'
import { expect } from 'vitest'
import type { Values } from '../../src/engine/index.js'
import {
  constant,
  type DType,
  gradients,
  input,
  type Shape,
  scale,
  sizeOf,
  sum,
  type Tensor,
} from '../../src/graph/index.js'
import { buildCausal, type CausalNetwork } from '../../src/models/causal-network.js'
import type { Arrays, Learner, Model, Scorer } from '../../src/models/model.js'
import { Parameters } from '../../src/nn/parameters.js'
import { type CheckOptions, engine, gradientError } from '../graph/gradcheck.js'
import {
  distance,
  inputsOf,
  natsOf,
  normals,
  once,
  randomCodes,
  runPieces,
  splits,
  typed,
} from './tiny.js'

/** Types that laws hold in, and how closely. */
export const TYPES: [Exclude<DType, 'int32'>, number][] = [
  ['float64', 1e-10],
  ['float32', 1e-5],
]

/** States before the first sample. */
export function silence(states: Readonly<Record<string, Tensor>>): Record<string, Float64Array> {
  const entries = Object.entries(states)
  return Object.fromEntries(entries.map(([k, t]) => [k, new Float64Array(sizeOf(t.shape))]))
}

/** Any split of `time` samples in pieces of these lengths gives the logits and states of the whole. */
export async function expectForwardIsStep(
  network: CausalNetwork,
  weights: Arrays,
  [dtype, tolerance]: (typeof TYPES)[number],
  { time, lengths, numRuns }: { time: number; lengths: readonly number[]; numRuns: number },
): Promise<void> {
  const parameters = typed(weights, dtype)
  const codes: Values = Int32Array.from(randomCodes(time, 1))
  const feeds = { codes: { values: codes, perSample: 1 } }
  const programOf = once(async (length) => {
    const { logits, next } = buildCausal(network, length, dtype)
    return (await engine()).compile({ logits, ...next })
  })
  const whole = await runPieces(programOf, [time], feeds, parameters)
  expect(whole.logits).toHaveLength(time * 256)
  const check = async (pieces: number[]) => {
    const found = await runPieces(programOf, pieces, feeds, parameters)
    for (const [name, values] of Object.entries(whole)) {
      expect(distance(found[name]!, values), name).toBeLessThan(tolerance)
    }
  }
  const shortest = Math.min(...lengths)
  await check(Array(time / shortest).fill(shortest))
  await fc.assert(fc.asyncProperty(splits(time, lengths), check), { numRuns, seed: 1 })
}

/**
 * Of the logits after each of some samples, random gradients with respect to some tensors on the way.
 * @param find tensors of the network's graph
 * @yields the sample, and the gradients
 */
export async function* gradientsAt(
  network: CausalNetwork,
  weights: Arrays,
  { codes, samples }: { codes: Uint8Array; samples: readonly number[] },
  find: (nodes: readonly Tensor[]) => readonly Tensor[],
): AsyncGenerator<[t: number, gradients: Values[]]> {
  const { p, logits, states } = buildCausal(network, codes.length, 'float64')
  const dy = input(p.graph, 'dy', logits.shape)
  const found = gradients([[logits, dy]], find(p.graph.nodes))
  const program = await (await engine()).compile(
    Object.fromEntries(found.map((dx, i) => [`dx.${i}`, dx])),
  )
  const feeds = {
    ...typed(weights, 'float64'),
    ...silence(states),
    codes: Int32Array.from(codes),
  }
  for (const t of samples) {
    const only = new Float64Array(codes.length * 256)
    only.set(normals(256, 2, t), t * 256)
    const run = await program.run({ ...feeds, dy: only })
    yield [t, found.map((_, i) => run[`dx.${i}`]!)]
  }
  await program.dispose()
}

/**
 * Changes each of some samples.
 * @yields the sample, and the times whose logits are others then
 */
export async function* changedBy(
  network: CausalNetwork,
  weights: Arrays,
  { codes, samples }: { codes: Uint8Array; samples: readonly number[] },
): AsyncGenerator<[t: number, times: number[]]> {
  const { logits, states } = buildCausal(network, codes.length, 'float64')
  const program = await (await engine()).compile({ logits })
  const feeds = { ...typed(weights, 'float64'), ...silence(states) }
  const run = async (of: Uint8Array) =>
    (await program.run({ ...feeds, codes: Int32Array.from(of) })).logits!
  const before = await run(codes)
  for (const t of samples) {
    const after = await run(codes.with(t, 255 - codes[t]!))
    const isOther = (row: number) =>
      range(row * 256, row * 256 + 256).some((i) => before[i] !== after[i])
    yield [t, range(0, codes.length).filter(isOther)]
  }
  await program.dispose()
}

/**
 * The largest error of the gradients of parameters and of states beside central differences.
 * @param network of few levels: every number of every parameter is moved
 * @param codes [batch * time], in these levels
 * @param options.held how many of the first states are whole codes, which cannot be moved
 */
export async function causalGradientError(
  network: CausalNetwork,
  codes: Int32Array,
  { batch = 1, held = 0, ...options }: CheckOptions & { batch?: number; held?: number } = {},
): Promise<number> {
  const { p, states } = buildCausal(network, codes.length / batch, 'float64', batch)
  const declared = [...p.declared.values()]
  const shapes: Record<string, Shape> = Object.fromEntries([
    ...declared.map(({ name, shape }) => [name, shape]),
    ...Object.entries(states)
      .slice(held)
      .map(([name, { shape }]) => [name, shape]),
  ])
  return gradientError(
    shapes,
    ({ codes, ...inputs }, graph) => {
      const p = new Parameters(graph)
      for (const { name } of declared) p.tensors.set(name, inputs[name]!)
      const before = Object.entries(states).map(
        ([name, { shape }]) => inputs[name] ?? constant(graph, Array(sizeOf(shape)).fill(0), shape),
      )
      return network.forward(p, codes!, before).logits
    },
    { ...options, ints: { codes } },
  )
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

/** A learner finds the nats and gradients of one undivided graph in float64, and scores as it learns. */
export async function expectLearnsAsUndivided(
  learner: Learner,
  network: CausalNetwork,
  {
    weights,
    segments,
    tolerance = 1e-4,
  }: {
    weights: Arrays
    segments: readonly Uint8Array[]
    tolerance?: number
  },
): Promise<void> {
  const { nats, targets, gradients: found } = await learner.learn(weights, segments, 0)
  const expected = await undivided(network, weights, segments)
  expect(targets).toBe(segments.length * (segments[0]!.length - 1))
  expect(Math.abs(nats / expected.nats - 1)).toBeLessThan(1e-5)
  expect(Object.keys(found)).toEqual(Object.keys(weights))
  for (const [name, array] of Object.entries(expected.gradients)) {
    expect(distance(found[name]!, array), name).toBeLessThan(tolerance)
  }
  const scored = await learner.score(weights, segments)
  expect(scored.targets).toBe(targets)
  expect(Math.abs(scored.nats / nats - 1)).toBeLessThan(1e-5)
}

/** The same seed gives the same initial values, and these the same gradients, bit for bit. */
export async function expectSameBits(model: Model, context: number): Promise<void> {
  expect(model.initialise(7)).toEqual(model.initialise(7))
  expect(model.initialise(7)).not.toEqual(model.initialise(8))
  const segments = [randomCodes(context + 1, 7)]
  const once = async () => {
    const learner = await model.learner(await engine(), { context, part: 'all' })
    const { nats, gradients } = await learner.learn(model.initialise(7), segments, 0)
    await learner.dispose()
    return { nats, gradients }
  }
  expect(await once()).toEqual(await once())
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
