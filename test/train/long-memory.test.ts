/** What models learn that only a long memory can tell, and how it carries over to longer ones. */
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { ECHO_CODES, echo } from '../../src/data/index.js'
import { meanBits } from '../../src/eval/index.js'
import type { FlagshipConfig } from '../../src/models/flagship.js'
import { flagship } from '../../src/models/flagship-model.js'
import type { Arrays } from '../../src/models/model.js'
import { ADAMW } from '../../src/nn/index.js'
import { Optimiser } from '../../src/train/optimiser.js'
import { engine } from '../graph/gradcheck.js'

const CHUNK = 20

const SMALL: FlagshipConfig = {
  form: 'stream',
  chunk: CHUNK,
  tokens: 12,
  kernel: 3,
  filters: [8, 8],
  strides: [2, 3],
  width: 16,
  layers: 1,
  heads: 2,
  headWidth: 16,
  feedForward: 32,
  hidden: 32,
  levels: 256,
  local: null,
  forecast: null,
  audio: { sampleRate: 16_000, quantizer: 'mu-law' },
  dropout: { encoder: 0, attention: 0, feedForward: 0, head: 0, token: 0 },
}
const RECALL: FlagshipConfig = { ...SMALL, recall: { width: 24, heads: 1, taps: 16, ahead: 1 } }

interface Course {
  tokens: number
  steps: number
  rate: number
  /** Segments of a step. */
  batch: number
}

/** Weights after training on segments of `tokens` chunks of what `pieceOf` draws. */
async function trained(
  config: FlagshipConfig,
  { tokens, steps, rate, batch }: Course,
  pieceOf: (seed: number, samples: number) => Uint8Array,
): Promise<Arrays> {
  const model = flagship(config)
  const e = await engine()
  const learner = await model.learner(e, { context: tokens * CHUNK, part: 'all' })
  const optimiser = new Optimiser(e, model.parameters, ADAMW, false)
  optimiser.begin(model.initialise(1))
  for (let step = 0; step < steps; step++) {
    const segments = Array.from({ length: batch }, (_, i) =>
      pieceOf(1000 + step * batch + i, tokens * CHUNK + 1),
    )
    const { gradients } = await learner.learn(optimiser.parameters, segments, step)
    const falling = rate * Math.min(1, (step + 1) / 5) * (1 - (0.9 * step) / steps)
    await optimiser.update(gradients, { rate: falling, decay: 0, clip: 1, average: 0 })
  }
  const weights = Object.fromEntries(
    Object.entries(optimiser.weights).map(([name, values]) => [name, values.slice()]),
  )
  await learner.dispose()
  await optimiser.dispose()
  return weights
}

/** Mean bits of samples from `from` on, over pieces, under a context of `tokens`. */
async function bits(
  config: FlagshipConfig,
  weights: Arrays,
  pieces: readonly Uint8Array[],
  { tokens, from }: { tokens: number; from: number },
): Promise<number> {
  const scorer = await flagship(config).scorer(await engine(), weights)
  let sum = 0
  for (const codes of pieces) {
    sum += meanBits(await scorer.score(codes, tokens * CHUNK), from, codes.length)!
  }
  await scorer.dispose()
  return sum / pieces.length
}

describe('noise that comes again', () => {
  const delay = 5 * CHUNK
  const least = Math.log2(ECHO_CODES.length)
  const heard = (seed: number, samples: number) => echo({ samples, delay, seed })
  const course = { tokens: 12, steps: 300, rate: 2e-2, batch: 2 }

  it('is even and independent for a whole delay, and then the same', () => {
    const codes = echo({ samples: 40_000, delay: 10_000, seed: 1 })
    expect(codes.subarray(10_000)).toEqual(codes.subarray(0, -10_000))
    const counts = new Map<number, number>()
    for (let t = 1; t < 10_000; t++) {
      const pair = codes[t - 1]! * 256 + codes[t]!
      counts.set(pair, (counts.get(pair) ?? 0) + 1)
    }
    expect(counts.size).toBe(ECHO_CODES.length ** 2)
    // 625 each, within 4.5 standard deviations
    for (const count of counts.values()) expect(Math.abs(count - 625)).toBeLessThan(110)
  })

  it('is learned by a model that sees the delay, and carries over to longer ones', async () => {
    const weights = await trained(RECALL, course, heard)
    const pieces = [1, 2].map((seed) => heard(seed, 4 * delay))
    const again = { tokens: 20, from: delay }
    expect(await bits(RECALL, weights, pieces, again)).toBeLessThan(least / 2)
    // the same weights with their eyes closed
    const blind = { tokens: 4, from: delay }
    expect(await bits(RECALL, weights, pieces, blind)).toBeGreaterThan(least - 0.05)
    // twice the delay, in twice and four times the tokens it was trained with
    for (const tokens of [24, 48]) {
      const later = [1, 2].map((seed) => echo({ samples: tokens * CHUNK, delay: 2 * delay, seed }))
      const far = { tokens, from: 2 * delay }
      expect(await bits(RECALL, weights, later, far)).toBeLessThan(0.6 * least)
    }
  }, 600_000)

  it.each([
    ['that is trained to see less', RECALL, 4],
    ['of tokens alone: none of them tells what followed its chunk', SMALL, 12],
  ])(
    'costs all of its entropy in a model %s',
    async (_, config, tokens) => {
      const weights = await trained(config, { ...course, tokens, steps: 100 }, heard)
      const pieces = [1, 2].map((seed) => heard(seed, 4 * delay))
      const found = await bits(config, weights, pieces, { tokens, from: delay })
      expect(found).toBeGreaterThan(least - 0.05)
      expect(found).toBeLessThan(least + 0.1)
    },
    120_000,
  )
})

describe('positions', () => {
  /** Two codes, of which every piece has its own share: the longer one listens, the better one knows it. */
  const tossed = (seed: number, samples: number) => {
    const random = new Random(seed, 9)
    const share = random.uniform()
    return Uint8Array.from({ length: samples }, () => (random.uniform() < share ? 32 : 224))
  }

  it('carry over: what is trained with 4 tokens knows no less with 8 and 16', async () => {
    const course = { tokens: 4, steps: 250, rate: 1e-2, batch: 8 }
    const weights = await trained(SMALL, course, tossed)
    const pieces = Array.from({ length: 60 }, (_, seed) => tossed(seed, 24 * CHUNK))
    const at = (tokens: number) => bits(SMALL, weights, pieces, { tokens, from: 16 * CHUNK })
    const [four, eight, sixteen] = [await at(4), await at(8), await at(16)]
    expect(eight).toBeLessThan(four)
    expect(sixteen).toBeLessThan(eight)
  }, 600_000)
})
