/** Several threads that do a step together give the bits that one gives alone. */
import { afterEach, describe, expect, it } from 'vitest'
import { flagshipPlan } from '../../src/models/flagship-plan.js'
import { samplernn, samplernnPresets } from '../../src/models/samplernn.js'
import { sashimi, sashimiPresets } from '../../src/models/sashimi.js'
import { wavenet, wavenetPresets } from '../../src/models/wavenet.js'
import { PlanBuilder, type StepPlan } from '../../src/nn/step-plan.js'
import { loadKernels } from '../../src/stream/kernels.js'
import { type PackOptions, pack } from '../../src/stream/pack.js'
import { StreamRuntime } from '../../src/stream/runtime.js'
import { share } from '../../src/stream/sharing.js'
import { LOCAL, randomCodes, randomParameters, stir } from '../laws/tiny.js'
import { rangesOf, VALUES } from './models.js'

/** Wide enough that products and attention are worth sharing. */
const WIDE = {
  ...LOCAL,
  forecast: null,
  chunk: 500,
  filters: [256, 200],
  width: 128,
  heads: 7,
  headWidth: 128,
  feedForward: 400,
  hidden: 500,
  local: { channels: 160, dilations: [1, 2, 4], skip: 320 },
}
const flagshipOf = (config: typeof WIDE) =>
  flagshipPlan(config, randomParameters(config, 3), 70 * config.chunk)
const narrow = wavenet({
  ...wavenetPresets.wavenet,
  ...{ stacks: 1, layers: 3, kernel: 2, channels: 160, skip: 300, end: 256, embedding: 6 },
})
const recurrent = samplernn({ ...samplernnPresets.samplernn, frames: [4, 3], width: 224 })
const tiers = sashimi({
  ...sashimiPresets.sashimi,
  ...{ layers: 1, channels: 160, pool: [3, 2], expand: 1, modes: 6 },
})

/** Large products at some samples only, that read what others at other samples made. */
function periodic(): StepPlan {
  const b = new PlanBuilder()
  const n = 256
  const weights = (size: number, seed: number) =>
    Float32Array.from({ length: size }, (_, i) => Math.sin(i * i * 0.37 + seed) / 16)
  const x = b.input('x', 1)
  const vectors = ['a', 'b', 'c', 'd'].map((name) => b.vector(name, n))
  const bias = b.weight('bias', [n], weights(n, 1))
  b.add('affine', [x], vectors[0]!, [b.weight('in', [n, 1], weights(n, 2)), bias])
  const product = (from: number, to: number) => {
    const w = b.weight(`${from}${to}`, [n, n], weights(n * n, from + 7 * to))
    b.add('affine', [vectors[from]!], vectors[to]!, [w, bias])
  }
  b.every({ period: 3, phase: 1 }, () => {
    product(0, 1)
    product(1, 2)
  })
  b.every({ period: 2, phase: 0 }, () => product(2, 3))
  b.add('add', [vectors[3]!, vectors[0]!], vectors[3]!)
  return b.build(vectors[3]!)
}

const PLANS: [string, StepPlan][] = [
  ['stream', flagshipOf(WIDE)],
  ['stream with narrow heads', flagshipOf({ ...WIDE, headWidth: 16 })],
  ['WaveNet', narrow.stepForm!.plan(stir(narrow.initialise(3), 3), 1)],
  ['SampleRNN', recurrent.stepForm!.plan(stir(recurrent.initialise(3), 3), 1)],
  ['SaShiMi', tiers.stepForm!.plan(stir(tiers.initialise(3), 3), 1)],
  ['products that run at some samples', periodic()],
]

const NUMBERS: [string, (plan: StepPlan) => PackOptions][] = [
  ['f32', () => ({ precision: 'f32' })],
  ['f32 over f16', () => ({ precision: 'f32', cache: 'f16' })],
  ['int8', (plan) => ({ precision: 'int8', ranges: rangesOf(plan, randomCodes(60, 1)) })],
]

const opened: StreamRuntime[] = []
afterEach(() => {
  for (const runtime of opened.splice(0)) runtime.dispose()
})

async function open(plan: StepPlan, options: PackOptions): Promise<StreamRuntime> {
  const threads = (options.threads ?? 1) > 1
  const kernels = await loadKernels({ exact: true, threads })
  const runtime = new StreamRuntime(kernels, pack(plan, options))
  opened.push(runtime)
  await runtime.ready
  return runtime
}

function run(runtime: StreamRuntime, from: number, to: number): number[] {
  const { inputs } = runtime.header
  const logits: number[] = []
  for (let t = from; t < to; t++) {
    const code = (37 * t + t * t) % 256
    if (inputs.includes('x')) runtime.vector('x')[0] = VALUES[code]!
    if (inputs.includes('codes')) runtime.integers('codes')[0] = code
    logits.push(...runtime.step())
  }
  return logits
}

describe.each(PLANS)('%s', (_, plan) => {
  it.each(NUMBERS)('is the same on 2 and 3 threads, in %s', async (_, numbers) => {
    const options = numbers(plan)
    const alone = run(await open(plan, options), 0, 60)
    for (const threads of [2, 3]) {
      const runtime = await open(plan, { ...options, threads })
      expect(runtime.header.programs).toHaveLength(threads)
      expect(run(runtime, 0, 40)).toEqual(alone.slice(0, (40 * alone.length) / 60))
      const snapshot = runtime.snapshot()
      const rest = alone.slice((40 * alone.length) / 60)
      expect(run(runtime, 40, 60)).toEqual(rest)
      runtime.restore(snapshot)
      expect(run(runtime, 40, 60)).toEqual(rest)
    }
  })
})

describe('the threads of a stream', () => {
  const plan = flagshipOf(WIDE)

  it('really share the work', () => {
    const owners = new Map(plan.vectors.map(({ name, part }) => [name, part?.of ?? name]))
    const { shares } = share(plan, 2, (name) => owners.get(name) ?? name)
    const split = [...shares].filter(([, { mode }]) => mode === 'split')
    expect(split.length).toBeGreaterThan(8)
    for (const [, { parts }] of split) {
      expect(parts).toHaveLength(2)
      expect(parts[0]![1]).toBe(parts[1]![0])
      expect(parts[0]![1]).toBeGreaterThan(0)
    }
  })

  it('sleep while nothing is asked of them, and wake up', async () => {
    const alone = run(await open(plan, { precision: 'f32' }), 0, 4)
    const runtime = await open(plan, { precision: 'f32', threads: 2 })
    const found = run(runtime, 0, 2)
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect([...found, ...run(runtime, 2, 4)]).toEqual(alone)
  })

  it('refuse to step before they are ready and after their end', async () => {
    const kernels = await loadKernels({ exact: true, threads: true })
    const runtime = new StreamRuntime(kernels, pack(plan, { precision: 'f32', threads: 2 }))
    expect(() => runtime.step()).toThrow(/not ready/)
    await runtime.ready
    runtime.step()
    runtime.dispose()
    expect(() => runtime.step()).toThrow(/not ready/)
  })

  it('never begin where they were ended before they were ready', async () => {
    const kernels = await loadKernels({ exact: true, threads: true })
    const runtime = new StreamRuntime(kernels, pack(plan, { precision: 'f32', threads: 2 }))
    runtime.dispose()
    await runtime.ready
    expect(() => runtime.step()).toThrow(/not ready/)
  })
})
