/**
 * Ten literal losses of ten AdamW steps of tiny models: any change of a layer, a gradient, the
 * initial values or the optimiser moves them.
 *
 * They were made by this very test on an x86-64 CPU with ONNX Runtime 1.30: where a change is meant,
 * run it and copy what it found. Sums of float32 differ a little between CPUs, hence the tolerance.
 */
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { Graph, sizeOf } from '../../src/graph/index.js'
import { flagship } from '../../src/models/flagship-model.js'
import type { Arrays, Model, Stage } from '../../src/models/model.js'
import { samplernn, samplernnPresets } from '../../src/models/samplernn.js'
import { sashimi, sashimiPresets } from '../../src/models/sashimi.js'
import { wavenet, wavenetPresets } from '../../src/models/wavenet.js'
import { ADAMW, adamW, corrections } from '../../src/nn/adamw.js'
import { engine } from '../graph/gradcheck.js'
import { FORECAST, LOCAL, STREAM } from '../laws/tiny.js'

const STEPS = 10

/** Two triangle waves and a little noise, made of integers alone: the same codes on any machine. */
function signal(length: number): Uint8Array {
  const random = new Random(2026, 1)
  const triangle = (t: number, period: number, height: number) => {
    const phase = (t % period) * 2
    return Math.trunc(((phase < period ? phase : 2 * period - phase) * height) / period)
  }
  return Uint8Array.from(
    { length },
    (_, t) => 64 + triangle(t, 37, 70) + triangle(t, 122, 40) + (random.uint32() & 7),
  )
}

async function losses(model: Model, stage: Stage): Promise<number[]> {
  const e = await engine()
  const learner = await model.learner(e, stage)
  const length = learner.lead + learner.segmentLength + 1
  const codes = signal(2 * STEPS * length)
  const parameters = model.initialise(2026)

  let trained: typeof model.parameters | undefined
  let update: Awaited<ReturnType<typeof e.compile>> | undefined
  const moments: Record<'m' | 'v', Arrays> = { m: {}, v: {} }
  const found: number[] = []
  for (let step = 1; step <= STEPS; step++) {
    const segments = [2 * step - 2, 2 * step - 1].map((i) =>
      codes.subarray(i * length, (i + 1) * length),
    )
    const { nats, targets, gradients } = await learner.learn(parameters, segments, step)
    found.push(nats / targets)

    trained ??= model.parameters.filter(({ name }) => gradients[name])
    update ??= await e.compile(adamW(new Graph(), trained, ADAMW))
    const [first, second] = corrections(step, ADAMW)
    const feeds: Arrays = {
      rates: new Float32Array(trained.length).fill(0.01),
      decay: Float32Array.of(0.1),
      clip: Float32Array.of(1),
      correction1: new Float32Array(trained.length).fill(first),
      correction2: new Float32Array(trained.length).fill(second),
    }
    for (const { name, shape } of trained) {
      feeds[`g.${name}`] = gradients[name]!
      feeds[`p.${name}`] = parameters[name]!
      feeds[`m.${name}`] = moments.m[name] ??= new Float32Array(sizeOf(shape))
      feeds[`v.${name}`] = moments.v[name] ??= new Float32Array(sizeOf(shape))
    }
    const next = await update.run(feeds)
    for (const { name } of trained) {
      parameters[name]!.set(next[`next.p.${name}`]!)
      moments.m[name]!.set(next[`next.m.${name}`]!)
      moments.v[name]!.set(next[`next.v.${name}`]!)
    }
  }
  await learner.dispose()
  await update?.dispose()
  return found
}

describe('ten losses in nats per target', () => {
  const golden: [string, Model, Stage, number[]][] = [
    [
      'stream',
      flagship(STREAM),
      { context: 240, part: 'all' },
      [
        5.60719, 5.493874, 5.420749, 5.287495, 5.181779, 5.1304, 5.058751, 4.974261, 4.924579,
        4.872434,
      ],
    ],
    [
      'stream + local',
      flagship(LOCAL),
      { context: 240, part: 'all' },
      [
        5.545841, 5.527906, 5.508093, 5.472339, 5.442647, 5.409386, 5.352889, 5.295282, 5.213744,
        5.155928,
      ],
    ],
    [
      'stream + local, the local part alone',
      flagship(LOCAL),
      { context: 240, part: 'local' },
      [
        5.545841, 5.529742, 5.513412, 5.487999, 5.471638, 5.45146, 5.4104, 5.372601, 5.311252,
        5.266043,
      ],
    ],
    [
      'stream + local + forecast',
      flagship(FORECAST),
      { context: 240, part: 'all' },
      [
        2.840889, 2.78219, 2.859063, 2.753932, 2.728909, 2.827997, 2.781404, 2.755012, 2.793445,
        2.67557,
      ],
    ],
    [
      'paper with dropout',
      flagship({
        ...STREAM,
        form: 'paper',
        dropout: { encoder: 0.2, attention: 0.1, feedForward: 0.1, head: 0.2, token: 0.1 },
      }),
      { context: 240, part: 'all' },
      [
        5.834048, 5.935888, 5.677963, 5.088786, 5.533371, 5.516451, 5.819076, 5.710357, 5.421381,
        5.117538,
      ],
    ],
    [
      'wavenet',
      wavenet({
        ...wavenetPresets.wavenet,
        ...{ stacks: 2, layers: 3, channels: 3, skip: 17, end: 13, embedding: 4 },
      }),
      { context: 240, part: 'all' },
      [
        5.611737, 4.939229, 4.780151, 4.78706, 4.720393, 4.721069, 4.674199, 4.547921, 4.579467,
        4.561938,
      ],
    ],
    [
      'sashimi',
      sashimi({
        ...sashimiPresets.sashimi,
        ...{ layers: 1, channels: 5, pool: [2, 4], modes: 3 },
      }),
      { context: 240, part: 'all' },
      [
        5.541252, 5.513941, 5.48827, 5.441859, 5.383878, 5.34089, 5.275476, 5.207522, 5.159098,
        5.088151,
      ],
    ],
    [
      'samplernn',
      samplernn({
        ...samplernnPresets.samplernn,
        ...{ frames: [3, 2], layers: 2, width: 9, embedding: 4 },
      }),
      { context: 240, part: 'all', targetsPerStep: 480 },
      [
        5.94456, 5.862619, 5.723363, 5.6232, 5.594934, 5.510048, 5.489483, 5.469327, 5.425192,
        5.424121,
      ],
    ],
  ]
  it.each(golden)('of %s', async (_, model, stage, expected) => {
    const found = await losses(model, stage)
    const apart = found.map((loss, i) => Math.abs(loss / expected[i]! - 1))
    expect(
      apart.length === expected.length && apart.every((d) => d < 1e-4),
      `found ${found.map((loss) => loss.toFixed(6)).join(', ')}`,
    ).toBe(true)
    // and they are losses of a model that learns
    expect(found.at(-1)!).toBeLessThan(0.97 * found[0]!)
  })
})
