/** Law 3 of the learner, to the last digits: cutting time and phases changes no gradient. */
import { describe, expect, it } from 'vitest'
import type { FlagshipConfig } from '../../src/models/flagship.js'
import { planStep } from '../../src/models/flagship-memory.js'
import { flagship } from '../../src/models/flagship-model.js'
import { engine } from '../graph/gradcheck.js'
import { inDouble } from './double.js'
import { distance, randomParameters, tonalCodes } from './tiny.js'
import { LARGE_FORECAST, LARGE_RECALL, NO_KEY_BIAS, TOKENS, undivided } from './undivided.js'

/** Memory under which the maps of all stretches are kept, and under which they are made again. */
function budgets(config: FlagshipConfig, stage: { context: number; part: 'all' | 'local' }) {
  const plenty = planStep(config, stage)
  const tight = planStep(config, { ...stage, memory: plenty.memory.total - 1 })
  expect([plenty.keepsMaps, tight.keepsMaps]).toEqual([true, false])
  const { segment, time, chunk, phases } = plenty.sizes
  expect([segment / time, chunk / phases]).toEqual([3, 3])
  expect(tight.sizes).toEqual(plenty.sizes)
  return [plenty.memory.total, tight.memory.total]
}

describe('in float64 the learner finds the gradients of one undivided graph', () => {
  it.each([
    ['all tokens', LARGE_FORECAST, 'all'],
    ['a window', { ...LARGE_FORECAST, window: 3 }, 'all'],
    ['recall', { ...LARGE_FORECAST, recall: LARGE_RECALL.recall! }, 'all'],
    ['the local part alone', LARGE_FORECAST, 'local'],
  ] as const)('stream + local + forecast, %s', async (_, config, part) => {
    const stage = { context: TOKENS * config.chunk, part }
    await inDouble(await engine(), async () => {
      const parameters = randomParameters(config, 65)
      let expected: Awaited<ReturnType<typeof undivided>> | undefined
      for (const memory of budgets(config, stage)) {
        const learner = await flagship(config).learner(await engine(), { ...stage, memory })
        const { lead, segmentLength } = learner
        const segments = [65, 66].map((seed) => tonalCodes(lead + segmentLength + 1, seed))
        const { nats, gradients } = await learner.learn(parameters, segments, 0)
        const options = { lead, dtype: 'float64' } as const
        expected ??= await undivided(config, part, TOKENS, parameters, segments, options)

        expect(Math.abs(nats / expected.nats - 1)).toBeLessThan(1e-12)
        expect(Object.keys(gradients).sort()).toEqual(Object.keys(expected.gradients).sort())
        for (const [name, values] of Object.entries(expected.gradients)) {
          expect(gradients[name]).toBeInstanceOf(Float64Array)
          if (NO_KEY_BIAS.test(name)) expect(gradients[name]!.every((g) => g === 0)).toBe(true)
          else expect(distance(gradients[name]!, values), name).toBeLessThan(1e-10)
        }
        await learner.dispose()
      }
    })
  })
})
