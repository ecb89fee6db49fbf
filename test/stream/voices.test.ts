/** Several voices at a time are as many streams one by one: the same bits. */
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { flagshipPlan } from '../../src/models/flagship-plan.js'
import { wavenet, wavenetPresets } from '../../src/models/wavenet.js'
import type { StepPlan } from '../../src/nn/step-plan.js'
import { PlanBuilder } from '../../src/nn/step-plan.js'
import { hasRelaxedSimd } from '../../src/stream/kernels.js'
import { type PackOptions, pack } from '../../src/stream/pack.js'
import { StreamRuntime } from '../../src/stream/runtime.js'
import { LOCAL, randomCodes, randomParameters, stir } from '../laws/tiny.js'
import { kernels, rangesOf, VALUES } from './models.js'

const WIDE = {
  ...LOCAL,
  forecast: null,
  filters: [40, 35],
  width: 34,
  heads: 3,
  headWidth: 20,
  feedForward: 41,
  hidden: 67,
  local: { channels: 17, dilations: [1, 2, 4, 8, 1, 2], skip: 33 },
}
const flagshipOf = (config: typeof WIDE) =>
  flagshipPlan(config, randomParameters(config, 3), 4 * config.chunk)
const narrow = wavenet({
  ...wavenetPresets.wavenet,
  ...{ stacks: 2, layers: 3, kernel: 3, channels: 19, skip: 37, end: 35, embedding: 6 },
})

/** Runs at every third sample, within what runs at every second. */
function periodic(): StepPlan {
  const b = new PlanBuilder()
  const random = new Random(4)
  const normals = (n: number) => Float32Array.from({ length: n }, () => 0.2 * random.normal())
  const x = b.input('x', 1)
  const spread = b.vector('spread', 40)
  const [slow, y] = [b.vector('slow', 40), b.vector('y', 40)]
  const bias = b.weight('bias', [40], normals(40))
  b.add('affine', [x], spread, [b.weight('in', [40, 1], normals(40)), bias])
  b.every({ period: 2, phase: 1 }, () => {
    const w = b.weight('slow', [40, 3, 40], normals(4800))
    b.add('convolve', [b.ring(spread, 5)], slow, [w, bias], { dilation: 2 })
  })
  b.every({ period: 3, phase: 0 }, () =>
    b.add('affine', [slow], y, [b.weight('out', [40, 40], normals(1600)), bias]),
  )
  b.add('add', [y, spread], y)
  return b.build(y)
}

const PLANS: [string, StepPlan][] = [
  ['stream', flagshipOf(WIDE)],
  ['stream with narrow heads', flagshipOf({ ...WIDE, headWidth: 5 })],
  ['WaveNet', narrow.stepForm!.plan(stir(narrow.initialise(3), 3), 1)],
  ['instructions that run at some samples', periodic()],
]
const NUMBERS: [string, (plan: StepPlan) => PackOptions][] = [
  ['f32', () => ({ precision: 'f32' })],
  ['a cache of f16', () => ({ precision: 'f32', cache: 'f16' })],
  ['int8', (plan) => ({ precision: 'int8', ranges: rangesOf(plan, randomCodes(100, 1)) })],
]
const files = ['kernels.wasm', ...(hasRelaxedSimd() ? ['kernels-relaxed.wasm'] : [])]

/** Gives a sample to a voice. */
function feed(runtime: StreamRuntime, code: number, voice: number): void {
  const { inputs } = runtime.header
  if (inputs.includes('x')) runtime.vector('x', voice)[0] = VALUES[code]!
  if (inputs.includes('codes')) runtime.integers('codes', voice)[0] = code
}

describe.each(files)('%s', (file) => {
  describe.each(PLANS)('voices of %s', (_, plan) => {
    it.each(NUMBERS)('are single streams, in %s', (_, options) => {
      const packed = pack(plan, options(plan))
      const most = 7
      const alone = Array.from({ length: most }, () => new StreamRuntime(kernels(file), packed))
      const together = new StreamRuntime(kernels(file), packed, most)
      const random = new Random(9)
      for (let t = 0; t < 60; t++) {
        // not all voices at all samples, so that they come to be at different ones
        const some = [...alone.keys()].filter(() => random.uniform() < 0.8)
        for (const voice of some) {
          const code = random.below(256)
          feed(alone[voice]!, code, 0)
          alone[voice]!.step()
          feed(together, code, voice)
        }
        together.stepVoices(some)
        for (const voice of some) {
          expect([...together.output(voice)]).toEqual([...alone[voice]!.output()])
        }
      }
    })
  })

  it('a voice is copied into another, and into a stream alone', () => {
    const packed = pack(PLANS[0]![1], { precision: 'f32' })
    const together = new StreamRuntime(kernels(file), packed, 3)
    const alone = new StreamRuntime(kernels(file), packed)
    for (const code of randomCodes(50, 2)) {
      for (const voice of [0, 1, 2]) feed(together, (code + 50 * voice) % 256, voice)
      together.stepVoices([0, 1, 2])
    }
    const snapshot = together.snapshot(1)
    together.restore(snapshot, 2)
    alone.restore(snapshot)
    for (const code of randomCodes(50, 3)) {
      for (const voice of [0, 1, 2]) feed(together, code, voice)
      together.stepVoices([2, 0, 1])
      feed(alone, code, 0)
      const expected = [...alone.step()]
      expect([...together.output(1)]).toEqual(expected)
      expect([...together.output(2)]).toEqual(expected)
      expect([...together.output(0)]).not.toEqual(expected)
    }
    together.reset(1)
    expect(together.snapshot(1).every((byte) => byte === 0)).toBe(true)
    expect(together.snapshot(2).some((byte) => byte !== 0)).toBe(true)
  })
})

it('a voice that there is not is refused, and so is more memory than there is', () => {
  const packed = pack(PLANS[0]![1], { precision: 'f32' })
  const runtime = new StreamRuntime(kernels(), packed, 2)
  for (const voice of [2, -1]) {
    expect(() => runtime.step(voice)).toThrow(`no voice ${voice}`)
    expect(() => runtime.stepVoices([0, voice])).toThrow(`no voice ${voice}`)
    expect(() => runtime.restore(runtime.snapshot(), voice)).toThrow(`no voice ${voice}`)
  }
  expect(() => new StreamRuntime(kernels(), packed, 1e6)).toThrow(/memory for 1000000 voices/)
})
