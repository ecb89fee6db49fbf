/** What a training step takes of memory is known before, bounded, and changes no gradient. */
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/base/errors.js'
import { add, Graph, input, mul, peakBytes, relu, reshape } from '../../src/graph/index.js'
import type { FlagshipConfig } from '../../src/models/flagship.js'
import { planStep } from '../../src/models/flagship-memory.js'
import { flagship } from '../../src/models/flagship-model.js'
import { engine } from '../graph/gradcheck.js'
import { distance, FORECAST, randomParameters, tonalCodes } from './tiny.js'

/** Segments of 9 chunks of 1005 samples: 3 stretches, and 3 blocks where memory is plenty. */
const LARGE: FlagshipConfig = { ...FORECAST, chunk: 1005, strides: [15, 20], filters: [3, 2] }
const STAGE = { context: 9 * 1005, part: 'all' } as const

/** Budgets under which nothing, the maps, and the size of blocks are given up. */
function budgets() {
  const plenty = planStep(LARGE, STAGE)
  const tight = planStep(LARGE, { ...STAGE, memory: plenty.memory.total - 1 })
  const tighter = planStep(LARGE, { ...STAGE, memory: tight.memory.total - 1 })
  return { plenty, tight, tighter }
}

describe('planStep', () => {
  it('gives up the maps first, then the size of blocks', () => {
    const { plenty, tight, tighter } = budgets()
    expect([plenty.keepsMaps, tight.keepsMaps, tighter.keepsMaps]).toEqual([true, false, true])
    expect(tight.sizes).toEqual(plenty.sizes)
    expect(tight.memory.maps * 3).toBe(plenty.memory.maps)
    expect(tighter.sizes.phases).toBeLessThan(plenty.sizes.phases)
    expect(tighter.memory.total).toBeLessThan(tight.memory.total)
  })

  it('says what is the least when nothing fits', () => {
    const refused = () => planStep(LARGE, { ...STAGE, memory: 1e6 })
    expect(refused).toThrow(UsageError)
    expect(refused).toThrow(/9045 samples does not fit/)
    const least = Number(/([\d.]+) GB or more/.exec(messageOf(refused))?.[1])
    expect(least).toBeGreaterThan(0.4)
    const { memory } = planStep(LARGE, { ...STAGE, memory: (least + 0.01) * 1e9 })
    expect(memory.total).toBeLessThan((least + 0.01) * 1e9)
  })

  it('of a million samples needs little more than their features', () => {
    const config = { ...FORECAST, chunk: 2000 }
    const { memory } = planStep(config, { context: 1e6, part: 'all', memory: 3e9 })
    expect(memory.total).toBeLessThan(3e9)
  })
})

function messageOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    return String(error) + JSON.stringify((error as UsageError).failure)
  }
  return ''
}

describe('a learner under a budget', () => {
  it('finds the losses and the gradients of one that has plenty', async () => {
    const { tight, tighter } = budgets()
    const parameters = randomParameters(LARGE, 91)
    const open = async (memory?: number) =>
      flagship(LARGE).learner(await engine(), { ...STAGE, ...(memory && { memory }) })
    const plenty = await open()
    const codes = [tonalCodes(plenty.lead + plenty.segmentLength + 1, 92)]
    const expected = await plenty.learn(parameters, codes, 0)
    for (const { memory } of [tight, tighter]) {
      const learner = await open(memory.total)
      const { nats, gradients } = await learner.learn(parameters, codes, 0)
      expect(Math.abs(nats / expected.nats - 1)).toBeLessThan(1e-5)
      const scored = await learner.score(parameters, codes)
      expect(Math.abs(scored.nats / nats - 1)).toBeLessThan(1e-5)
      for (const [name, values] of Object.entries(expected.gradients)) {
        if (values.some((g) => g !== 0)) {
          expect(distance(gradients[name]!, values), name).toBeLessThan(1e-4)
        }
      }
      await learner.dispose()
    }
    await plenty.dispose()
  })
})

describe('peakBytes', () => {
  it('counts what lives at one time, and views not at all', () => {
    const graph = new Graph()
    const x = input(graph, 'x', [10])
    const a = relu(x)
    const b = relu(a)
    // a chain needs two at a time
    expect(peakBytes([relu(relu(b))])).toBe(80)
    // a is needed to the end
    expect(peakBytes([add(relu(b), a)])).toBe(120)
    expect(peakBytes([mul(reshape(a, [10]), reshape(a, [10]))])).toBe(80)
    expect(peakBytes([x])).toBe(0)
  })
})
