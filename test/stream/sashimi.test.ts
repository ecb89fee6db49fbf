/** Law 1 for the sampler: SaShiMi sample by sample is the dense pass. */
import { describe, expect, it } from 'vitest'
import { UNBOUNDED } from '../../src/models/causal-model.js'
import { type SaShiMiConfig, sashimi, sashimiPresets } from '../../src/models/sashimi.js'
import { macsPerStep } from '../../src/nn/step-plan.js'
import { Calibration } from '../../src/stream/calibrate.js'
import { pack } from '../../src/stream/pack.js'
import { StreamRuntime } from '../../src/stream/runtime.js'
import { engine } from '../graph/gradcheck.js'
import { inputsOf, natsOf, randomCodes, stir } from '../laws/tiny.js'
import { kernels } from './models.js'

/** Large enough that no block of a kernel is left out; steps of 1, 3 and 12 samples. */
const CONFIG: SaShiMiConfig = {
  ...sashimiPresets.sashimi,
  ...{ layers: 2, channels: 35, pool: [3, 4], expand: 1, modes: 5 },
}
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

const mean = (numbers: ArrayLike<number>) =>
  Array.from(numbers).reduce((sum, x) => sum + x, 0) / numbers.length

describe.each(['gelu', 'glu'] as const)('the step form of SaShiMi with %s', (mix) => {
  const model = sashimi({ ...CONFIG, mix })
  const { plan } = model.stepForm!
  const weights = stir(model.initialise(3), 3)

  async function scored(): Promise<Float32Array> {
    const scorer = await model.scorer(await engine(), weights)
    const nats = await scorer.score(codes, UNBOUNDED)
    await scorer.dispose()
    return nats
  }

  it('in float32 gives the nats of the scorer', async () => {
    const expected = await scored()
    const runtime = new StreamRuntime(kernels(), pack(plan(weights, 1), { precision: 'f32' }))
    const found = streamed(runtime)
    const apart = found.map((nats, t) => Math.abs(nats - expected[t]!))
    expect(Math.max(...apart)).toBeLessThan(1e-4)
    expect(Math.max(...expected) - Math.min(...expected)).toBeGreaterThan(1)
    // and again from the beginning
    runtime.reset()
    expect(streamed(runtime)).toEqual(found)
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
})

describe('the step form of SaShiMi', () => {
  it('tells what it is fed, how far back it remembers and what it costs', () => {
    const { stepForm } = sashimi(sashimiPresets.sashimi)
    expect(stepForm!.feeds).toEqual({ codes: 'code' })
    expect(stepForm!.memory).toBe(Number.POSITIVE_INFINITY)
    const step = stepForm!.plan(sashimi(sashimiPresets.sashimi).initialise(1), 1)
    // five squares of its width a block and 6 products a mode, at the rate of each tier
    const tier = (width: number) => 6 * (5 * width ** 2 + 6 * 32 * width)
    const pools = (4 * 64 * 128) / 4 + (4 * 128 * 256) / 16
    expect(macsPerStep(step)).toBe(tier(64) + tier(128) / 4 + tier(256) / 16 + 2 * pools + 64 * 256)
  })
})
