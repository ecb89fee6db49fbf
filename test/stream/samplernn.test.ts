/** Law 1 for the sampler: SampleRNN sample by sample is the dense pass. */
import { beforeAll, describe, expect, it } from 'vitest'
import { Graph, sizeOf } from '../../src/graph/index.js'
import { UNBOUNDED } from '../../src/models/causal-model.js'
import type { Arrays } from '../../src/models/model.js'
import { type SampleRnnConfig, samplernn, samplernnPresets } from '../../src/models/samplernn.js'
import { ADAMW, adamW, corrections } from '../../src/nn/adamw.js'
import { macsPerStep } from '../../src/nn/step-plan.js'
import { Calibration } from '../../src/stream/calibrate.js'
import { pack } from '../../src/stream/pack.js'
import { StreamRuntime } from '../../src/stream/runtime.js'
import { engine } from '../graph/gradcheck.js'
import { inputsOf, natsOf, randomCodes, stir, tonalCodes } from '../laws/tiny.js'
import { kernels } from './models.js'

/** Large enough that no block of a kernel is left out. */
const CONFIG: SampleRnnConfig = {
  ...samplernnPresets.samplernn,
  ...{ frames: [3, 2, 2], layers: 2, width: 45, embedding: 6 },
}

/** Runs codes through a packed model and gives -ln p of each. */
function streamed(runtime: StreamRuntime, codes: Uint8Array, each = () => {}): number[] {
  const fed = inputsOf(codes)
  return Array.from(codes, (code, t) => {
    runtime.integers('codes')[0] = fed[t]!
    const nats = natsOf(runtime.step(), code)
    each()
    return nats
  })
}

async function scored(config: SampleRnnConfig, weights: Arrays, codes: Uint8Array) {
  const scorer = await samplernn(config).scorer(await engine(), weights)
  const nats = await scorer.score(codes, UNBOUNDED)
  await scorer.dispose()
  return nats
}

const mean = (numbers: ArrayLike<number>) =>
  Array.from(numbers).reduce((sum, x) => sum + x, 0) / numbers.length

describe('the step form of SampleRNN', () => {
  it.each([
    ['two layers a tier', CONFIG],
    ['one tier', { ...CONFIG, frames: [4], layers: 1 }],
  ])('in float32 gives the nats of the scorer: %s', async (_, config) => {
    const model = samplernn(config)
    const weights = stir(model.initialise(3), 3)
    const codes = randomCodes(400, 3)
    const expected = await scored(config, weights, codes)
    const { plan, feeds } = model.stepForm!
    expect(feeds).toEqual({ codes: 'code' })
    const runtime = new StreamRuntime(kernels(), pack(plan(weights, 1), { precision: 'f32' }))
    const found = streamed(runtime, codes)
    expect(Math.max(...found.map((nats, t) => Math.abs(nats - expected[t]!)))).toBeLessThan(1e-4)
    expect(Math.max(...expected) - Math.min(...expected)).toBeGreaterThan(1)
    // and again, from the start
    runtime.reset()
    expect(streamed(runtime, codes)).toEqual(found)
  })

  it('costs each weight once in the samples of its frame', () => {
    const model = samplernn(samplernnPresets['samplernn-small'])
    const step = model.stepForm!.plan(model.initialise(1), 1)
    const square = 256 * 256
    const gates = 6 * square * (1 / 8 + 1 / 16 + 1 / 32)
    // of the highest tier the frame goes to the gates at once
    const frames = 256 + 256 + 3 * 256 - (3 * square) / 32
    const up = square + square / 8 + square / 16
    expect(macsPerStep(step)).toBe(gates + frames + up + square + square)
  })
})

describe('a trained SampleRNN in int8', () => {
  const config = { ...CONFIG, width: 64, layers: 1, embedding: 16 }
  const model = samplernn(config)
  let weights: Arrays

  /** Some steps of AdamW on two tones under noise. */
  beforeAll(async () => {
    const e = await engine()
    const stage = { context: 240, part: 'all', targetsPerStep: 8 * 240 } as const
    const learner = await model.learner(e, stage)
    weights = model.initialise(5)
    const update = await e.compile(adamW(new Graph(), model.parameters, ADAMW))
    const moments: Record<'m' | 'v', Arrays> = { m: {}, v: {} }
    const tracks = Array.from({ length: 8 }, (_, i) => tonalCodes(40 * 240 + 1, i))
    for (let step = 1; step <= 120; step++) {
      const at = ((step - 1) % 40) * 240
      const segments = tracks.map((codes) => codes.subarray(at, at + 241))
      const begins = tracks.map(() => at === 0)
      const { gradients } = await learner.learn(weights, segments, step, begins)
      const [first, second] = corrections(step, ADAMW)
      const { length } = model.parameters
      const feeds: Arrays = {
        rates: new Float32Array(length).fill(0.01),
        decay: Float32Array.of(0),
        clip: Float32Array.of(1),
        correction1: new Float32Array(length).fill(first),
        correction2: new Float32Array(length).fill(second),
      }
      for (const { name, shape } of model.parameters) {
        feeds[`g.${name}`] = gradients[name]!
        feeds[`p.${name}`] = weights[name]!
        for (const kind of ['m', 'v'] as const) {
          feeds[`${kind}.${name}`] = moments[kind][name] ??= new Float32Array(sizeOf(shape))
        }
      }
      const next = await update.run(feeds)
      for (const { name } of model.parameters) {
        weights[name]!.set(next[`next.p.${name}`] as Float32Array)
        for (const kind of ['m', 'v'] as const) {
          moments[kind][name]!.set(next[`next.${kind}.${name}`] as Float32Array)
        }
      }
    }
    await update.dispose()
    await learner.dispose()
  })

  it('costs at most 0.01 bits per sample', async () => {
    const codes = tonalCodes(3000, 99)
    const step = model.stepForm!.plan(weights, 1)
    const whole = new StreamRuntime(kernels(), pack(step, { precision: 'f32' }))
    const calibration = new Calibration(step, whole)
    streamed(whole, tonalCodes(1500, 98), () => calibration.observe())
    const packed = pack(step, { precision: 'int8', ranges: calibration.ranges })
    const found = mean(streamed(new StreamRuntime(kernels(), packed), codes)) / Math.LN2
    const exact = mean(await scored(config, weights, codes)) / Math.LN2
    expect(exact).toBeLessThan(6.5) // it is trained, and does predict
    expect(Math.abs(found - exact)).toBeLessThan(0.01)
  })
})
