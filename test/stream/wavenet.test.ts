/** Law 1 for the sampler: WaveNet sample by sample is the dense pass. */
import { describe, expect, it } from 'vitest'
import { wavenet, wavenetPresets } from '../../src/models/wavenet.js'
import { macsPerStep } from '../../src/nn/step-plan.js'
import { Calibration } from '../../src/stream/calibrate.js'
import { pack } from '../../src/stream/pack.js'
import { StreamRuntime } from '../../src/stream/runtime.js'
import { engine } from '../graph/gradcheck.js'
import { inputsOf, natsOf, randomCodes, stir } from '../laws/tiny.js'
import { kernels } from './models.js'

/** Large enough that no block of a kernel is left out; sees 127 samples. */
const model = wavenet({
  ...wavenetPresets.wavenet,
  ...{ stacks: 2, layers: 5, kernel: 3, channels: 19, skip: 37, end: 35, embedding: 6 },
})
const weights = stir(model.initialise(3), 3)
const codes = randomCodes(400, 3)

/** Runs codes through a packed model and gives -ln p of each. */
function streamed(runtime: StreamRuntime, each: () => void = () => {}): number[] {
  const fed = inputsOf(codes)
  return Array.from(codes, (code, t) => {
    runtime.integers('codes')[0] = fed[t]!
    const nats = natsOf(runtime.step(), code)
    each()
    return nats
  })
}

async function scored(): Promise<Float32Array> {
  const scorer = await model.scorer(await engine(), weights)
  const nats = await scorer.score(codes, codes.length)
  await scorer.dispose()
  return nats
}

const mean = (numbers: ArrayLike<number>) =>
  Array.from(numbers).reduce((sum, x) => sum + x, 0) / numbers.length

describe('the step form of WaveNet', () => {
  const { plan, feeds, memory } = model.stepForm!

  it('in float32 gives the nats of the scorer', async () => {
    const expected = await scored()
    const found = streamed(
      new StreamRuntime(kernels(), pack(plan(weights, 1), { precision: 'f32' })),
    )
    const apart = found.map((nats, t) => Math.abs(nats - expected[t]!))
    expect(Math.max(...apart)).toBeLessThan(1e-4)
    expect(Math.max(...expected) - Math.min(...expected)).toBeGreaterThan(1)
  })

  it('in int8 is worth as many bits', async () => {
    const step = plan(weights, 1)
    const whole = new StreamRuntime(kernels(), pack(step, { precision: 'f32' }))
    const calibration = new Calibration(step, whole)
    streamed(whole, () => calibration.observe())
    const packed = pack(step, { precision: 'int8', ranges: calibration.ranges })
    const found = streamed(new StreamRuntime(kernels(), packed))
    // stirred weights give large logits; those of a trained model are told apart less finely
    expect(Math.abs(mean(found) - mean(await scored())) / Math.LN2).toBeLessThan(0.05)
  })

  it('tells what it is fed, how far back it remembers and what it costs', () => {
    expect(feeds).toEqual({ codes: 'code' })
    expect(memory).toBe(1 + 2 * 2 * 31)
    const { stepForm, size } = wavenet(wavenetPresets.wavenet)
    expect(stepForm!.memory).toBe(4093)
    const step = stepForm!.plan(wavenet(wavenetPresets.wavenet).initialise(1), 4093)
    // each weight once, but the two tables and the last of the linear layers, which are part of others
    const [embedding, start, decoder, biases] = [256 * 256, 256 * 64, 256 * 256, 512 + 256 + 256]
    expect(macsPerStep(step)).toBe(size - embedding - start - decoder - biases)
  })
})
