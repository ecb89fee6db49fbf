/** The end of a piece, scored alone, is the end of the score of the whole piece, for less work. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Program } from '../../src/engine/engine.js'
import { UNBOUNDED } from '../../src/models/causal-model.js'
import { flagship } from '../../src/models/flagship-model.js'
import type { Arrays, Model } from '../../src/models/model.js'
import { samplernn, samplernnPresets } from '../../src/models/samplernn.js'
import { sashimi, sashimiPresets } from '../../src/models/sashimi.js'
import { wavenet, wavenetPresets } from '../../src/models/wavenet.js'
import { engine } from '../graph/gradcheck.js'
import { distance, FORECAST, FORMS, PAPER, randomCodes, STREAM, stir } from './tiny.js'

const WAVENET = wavenet({
  ...wavenetPresets.wavenet,
  ...{ stacks: 2, layers: 3, channels: 3, skip: 17, end: 13, embedding: 4 },
})
const SAMPLERNN = samplernn({
  ...samplernnPresets.samplernn,
  ...{ frames: [3, 2, 2], layers: 2, width: 9, embedding: 4 },
})
const SASHIMI = sashimi({
  ...sashimiPresets.sashimi,
  ...{ layers: 1, channels: 3, pool: [3, 2], modes: 2, feed: 2 },
})

async function open(model: Model) {
  const weights: Arrays = stir(model.initialise(81), 81)
  return model.scorer(await engine(), weights)
}

/** Programs run while `score` scores. */
async function runsOf(score: () => Promise<unknown>): Promise<number> {
  const runs = vi.spyOn(Program.prototype, 'run')
  await score()
  return runs.mock.calls.length
}
afterEach(() => {
  vi.restoreAllMocks()
})

const FLAGSHIPS = [...FORMS, ['paper', PAPER] as const].map(
  ([name, config]) => [name, flagship(config), [30, 60, 200, 240, 2000]] as const,
)

describe('the score from any sample on', () => {
  it.each([
    ...FLAGSHIPS,
    ['wavenet', WAVENET, [1, 7, 14, 15, 16_000]] as const,
    ['samplernn', SAMPLERNN, [12, 30, UNBOUNDED]] as const,
    ['sashimi', SASHIMI, [7, 12, UNBOUNDED]] as const,
  ] as [string, Model, number[]][])(
    'is that of the whole piece: %s',
    async (_, model, contexts) => {
      const codes = randomCodes(1003, 82)
      const scorer = await open(model)
      for (const context of contexts) {
        const whole = await scorer.score(codes, context)
        for (const from of [0, 1, 13, 60, 239, 240, 241, 777, 1002]) {
          const progress: number[] = []
          const found = await scorer.score(codes, context, (done) => progress.push(done), from)
          expect(distance(found, whole.subarray(from)), `${context} ${from}`).toBeLessThan(1e-6)
          expect(progress.at(-1)).toBe(codes.length - from)
          expect(Math.min(...progress)).toBeGreaterThan(0)
        }
        expect(await scorer.score(codes, context, () => {}, 1003)).toHaveLength(0)
      }
      await scorer.dispose()
    },
  )

  it.each([
    ['stream', flagship(STREAM), 6000, 240],
    ['stream + local + forecast', flagship(FORECAST), 6000, 240],
    ['paper', flagship(PAPER), 6000, 240],
    ['wavenet', WAVENET, 40_000, 16_000],
    ['wavenet within a short context', WAVENET, 500, 10],
    ['sashimi within a context', SASHIMI, 3000, 60],
  ] as [string, Model, number, number][])(
    'takes little work: %s',
    async (_, model, samples, context) => {
      const codes = randomCodes(samples, 83)
      const scorer = await open(model)
      const whole = await runsOf(() => scorer.score(codes, context))
      vi.restoreAllMocks()
      const end = await runsOf(() => scorer.score(codes, context, () => {}, samples - 10))
      expect(end).toBeLessThan(whole / 2)
      await scorer.dispose()
    },
  )

  it('hears all that came before where a state never forgets', async () => {
    const scorer = await open(SASHIMI)
    const codes = randomCodes(1000, 84)
    const [whole] = await scorer.score(codes, UNBOUNDED, () => {}, 999)
    const [late] = await scorer.score(codes.subarray(900), UNBOUNDED, () => {}, 99)
    expect(Math.abs(late! - whole!)).toBeGreaterThan(1e-6)
    await scorer.dispose()
  })
})
