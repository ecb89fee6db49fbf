/** The laws of SaShiMi, and with it of networks whose steps are longer than a sample and never forget. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/base/errors.js'
import { CausalLearner } from '../../src/models/causal-learner.js'
import { UNBOUNDED } from '../../src/models/causal-model.js'
import { stretches } from '../../src/models/causal-plan.js'
import { presets } from '../../src/models/index.js'
import {
  type SaShiMiConfig,
  sashimi,
  sashimiNetwork,
  sashimiPresets,
  sashimiTiers,
} from '../../src/models/sashimi.js'
import { chunkOf } from '../../src/nn/state-space.js'
import { type CheckOptions, engine } from '../graph/gradcheck.js'
import {
  causalGradientError,
  changedBy,
  expectForwardIsStep,
  expectGeneratedAsScored,
  expectLearnsAsUndivided,
  expectSameBits,
  filled,
  gradientsAt,
  natsOfAll,
  range,
  reach,
  TYPES,
} from './causal.js'
import { distance, randomCodes, stir } from './tiny.js'

/** Three tiers of widths 3, 6 and 12, whose steps are 1, 3 and 6 samples. */
const TINY: SaShiMiConfig = {
  ...sashimiPresets.sashimi,
  ...{ layers: 1, channels: 3, pool: [3, 2], modes: 2, feed: 2 },
}
const PERIOD = 6
const network = sashimiNetwork(TINY)
const weightsOf = (config: SaShiMiConfig, seed: number) =>
  stir(sashimi(config).initialise(seed), seed)

describe('forward = step', () => {
  it.each([
    [TYPES[0]!, TINY],
    [TYPES[1]!, TINY],
    [TYPES[0]!, { ...TINY, mix: 'glu' as const, layers: 2, pool: [6] }],
  ])('for any split into whole steps: %j', async (type, config) => {
    const time = 606 // whole chunks of a state space and a rest in one tier, equal chunks in another
    expect([chunkOf(606), chunkOf(202), chunkOf(101)]).toEqual([64, 64, 64])
    const how = { time, lengths: [6, 12, 120, 198], numRuns: 4 }
    await expectForwardIsStep(sashimiNetwork(config), weightsOf(config, 1), type, how)
  })

  it('takes chunks that divide a stretch, where they are long enough', () => {
    expect([1, 7, 64, 250, 4000, 16_000].map(chunkOf)).toEqual([1, 7, 64, 50, 50, 64])
    expect(chunkOf(67)).toBe(64)
  })
})

describe('causality', () => {
  const time = 24
  const codes = randomCodes(time, 2)

  it('by gradient: a prediction depends on every sample before it, and on none after', async () => {
    const at = { codes, samples: range(0, time) }
    const found = gradientsAt(network, weightsOf(TINY, 2), at, (nodes) => {
      // what is looked up of every sample, [channels, time]
      const looked = nodes.find(({ op }) => op.name === 'take')!
      expect(looked.shape).toEqual([TINY.channels, time])
      return [looked]
    })
    for await (const [t, [dx]] of found) {
      const times = range(0, time).filter((i) =>
        range(0, TINY.channels).some((c) => dx![c * time + i] !== 0),
      )
      expect(times).toEqual(range(0, t + 1))
    }
  })

  it('the coarse tiers alone speak of whole steps before', async () => {
    // with no state in the finest tier but what comes from above: its kernels see one sample
    const weights = weightsOf(TINY, 3)
    const only = (name: string) => {
      for (const key of Object.keys(weights)) if (key.startsWith(name)) weights[key]!.fill(0)
    }
    only('tier.0.0.ssm.c')
    const at = { codes, samples: [0, 4, 5, 11, 12] }
    for await (const [t, times] of changedBy(network, weights, at)) {
      // itself, and everything from the next step of the middle tier on
      expect(times).toEqual([...new Set([t, ...range(3 * Math.floor(t / 3) + 3, time)])])
    }
  })
})

describe('gradients', () => {
  it.each(['gelu', 'glu'] as const)('equal central differences, with %s', async (mix) => {
    const network = sashimiNetwork({ ...TINY, mix, channels: 2, levels: 7 as 256 })
    const codes = Int32Array.from(randomCodes(2 * PERIOD, 3), (code) => code % 7)
    const draw: CheckOptions['draw'] = (random) => 0.6 * random.normal()
    expect(await causalGradientError(network, codes, { draw })).toBeLessThan(1e-6)
  })
})

describe('the learner', () => {
  it.each([
    ['one stretch', 1000, 90, 90],
    ['several stretches', 120, 500, 480],
  ])('finds what one undivided graph finds: %s', async (_, stretch, context, length) => {
    const weights = weightsOf(TINY, 4)
    const stage = { context, part: 'all' } as const
    const learner = await CausalLearner.open(await engine(), { ...network, stretch }, stage)
    expect(learner.segmentLength).toBe(length)
    const segments = [4, 5].map((seed) => randomCodes(length + 1, seed))
    await expectLearnsAsUndivided(learner, network, { weights, segments, tolerance: 3e-4 })
    await learner.dispose()
  })

  it('gives the same bits for the same codes, and the same initial values for a seed', () =>
    expectSameBits(sashimi(TINY), 240))

  it('cuts stretches into whole steps', () => {
    const period = fc.integer({ min: 1, max: 40 })
    const bound = fc.integer({ min: 1, max: 9e3 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), bound, period, (n, bound, period) => {
        const { count, time } = stretches(n, bound, period)
        expect(time % period).toBe(0)
        expect(time).toBeGreaterThan(0)
        expect(time).toBeLessThanOrEqual(Math.max(bound, period))
        if (n >= period) {
          expect(count * time).toBeLessThanOrEqual(n)
          expect(n - count * time).toBeLessThan(period * (count + 1))
        }
      }),
    )
    const { text } = sashimi(sashimiPresets.sashimi).plan({ context: 16_003, part: 'all' })
    expect(text).toContain('1 stretches of 16000 samples')
  })
})

describe('the scorer', () => {
  it.each([
    ['a piece', 100],
    ['one sample', 1],
    ['whole steps', 120],
  ])('gives the nats of one graph: %s', async (_, samples) => {
    const weights = weightsOf(TINY, 8)
    const codes = randomCodes(samples, 8)
    const expected = await natsOfAll(network, weights, filled(codes, PERIOD))
    const scorer = await sashimi(TINY).scorer(await engine(), weights)
    const found = await scorer.score(codes, UNBOUNDED)
    expect(distance(found, expected.slice(0, samples))).toBeLessThan(1e-5)
    expect(await scorer.score(new Uint8Array(0), 100)).toHaveLength(0)
    await scorer.dispose()
  })

  it('hands what it remembers from stretch to stretch', async () => {
    const weights = weightsOf(TINY, 8)
    const codes = randomCodes(16_100, 9)
    const scorer = await sashimi(TINY).scorer(await engine(), weights)
    const progress: number[] = []
    const found = await scorer.score(codes, UNBOUNDED, (samples) => progress.push(samples))
    expect(progress).toEqual([15_996, 16_100])
    // a later beginning forgets: the same end of the piece, another score
    const late = await scorer.score(codes.subarray(15_990), UNBOUNDED)
    expect(distance(late.subarray(60), found.subarray(16_050))).toBeGreaterThan(1e-4)
    const expected = await natsOfAll(network, weights, filled(codes, PERIOD))
    expect(distance(found, expected.slice(0, codes.length))).toBeLessThan(1e-4)
    await scorer.dispose()
  })

  it.each([1, 2, 7, 12, 20])('sees no more than a context of %i samples', async (context) => {
    const weights = weightsOf(TINY, 9)
    const codes = randomCodes(60, 9)
    const scorer = await sashimi(TINY).scorer(await engine(), weights)
    const farthest = await reach(scorer, codes, { context, changed: 38 })
    expect(farthest).toBe(context < 2 ? 1 : 2 * Math.floor(context / 2))
    await scorer.dispose()
  })
})

describe('the generator', () => {
  it('sample by sample gives the nats of the scorer, after a prompt of any length', async () => {
    const weights = weightsOf(TINY, 10)
    const how = { context: UNBOUNDED, prompts: [0, 1, 5, 6, 7, 30], steps: 20 }
    await expectGeneratedAsScored(sashimi(TINY), weights, randomCodes(50, 10), how)
  })

  it('takes the newest part of a prompt that is longer than the context', async () => {
    const weights = weightsOf(TINY, 11)
    const codes = randomCodes(90, 11)
    const model = sashimi(TINY)
    const logitsAfter = async (prompt: Uint8Array, context: number) => {
      const generator = await model.generator(await engine(), weights, context)
      await generator.prime(prompt)
      const logits = [...(await generator.logits())]
      await generator.dispose()
      return logits
    }
    const other = codes.map((code, i) => (i < 50 ? 255 - code : code))
    expect(await logitsAfter(codes, 40)).toEqual(await logitsAfter(other, 40))
    expect(await logitsAfter(codes, 41)).not.toEqual(await logitsAfter(other, 41))
  })
})

describe('the presets', () => {
  it('have the parameters of the table of the paper', () => {
    const { size, context } = sashimi(sashimiPresets.sashimi)
    expect(size).toBe(3_142_528)
    expect(Math.abs(size / 3.13e6 - 1)).toBeLessThan(0.02)
    const published = { 2: 1.29e6, 4: 2.21e6, 8: 4.05e6 }
    for (const [layers, count] of Object.entries(published)) {
      const { size } = sashimi({ ...sashimiPresets.sashimi, layers: Number(layers) })
      expect(Math.abs(size / count - 1)).toBeLessThan(0.02)
    }
    expect(sashimi(sashimiPresets['sashimi-small']).size).toBe(333_248)
    expect(context).toBe(UNBOUNDED)
    expect(sashimiTiers(sashimiPresets.sashimi)).toEqual([
      { width: 64, period: 1 },
      { width: 128, period: 4 },
      { width: 256, period: 16 },
    ])
  })

  it('are known by name', () => {
    for (const name of ['sashimi', 'sashimi-small']) {
      expect(presets[name]).toMatchObject({ family: 'sashimi' })
    }
  })

  it.each([
    ['no layers', { layers: 0 }],
    ['half a channel', { channels: 2.5 }],
    ['steps of one', { pool: [4, 1] }],
    ['steps longer than a quarter of a second', { pool: [4, 4, 4, 4, 4, 4] }],
    ['another mix', { mix: 'relu' as 'glu' }],
    ['other levels', { levels: 16 as 256 }],
  ])('cannot be made to have %s', (_, change) => {
    expect(() => sashimi({ ...TINY, ...change })).toThrow(UsageError)
  })
})
