/** The laws of WaveNet, and with it of every network of causal layers from codes to logits. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/base/errors.js'
import type { Shape } from '../../src/graph/index.js'
import type { CausalNetwork } from '../../src/models/causal-network.js'
import { STRETCH, stretches } from '../../src/models/causal-plan.js'
import { presets } from '../../src/models/index.js'
import type { Arrays } from '../../src/models/model.js'
import {
  type WaveNetConfig,
  wavenet,
  wavenetField,
  wavenetForward,
  wavenetPresets,
} from '../../src/models/wavenet.js'
import { type CheckOptions, engine } from '../graph/gradcheck.js'
import {
  causalGradientError,
  changedBy,
  expectForwardIsStep,
  expectGeneratedAsScored,
  expectLearnsAsUndivided,
  expectSameBits,
  gradientsAt,
  natsOfAll,
  range,
  reach,
  TYPES,
} from './causal.js'
import { distance, natsOf, randomCodes, stir } from './tiny.js'

/** Sees 15 samples. No two widths are equal: a wrong axis does not fit. */
const TINY: WaveNetConfig = {
  ...wavenetPresets.wavenet,
  stacks: 2,
  layers: 3,
  channels: 3,
  // so many rectified units that never all are silent
  skip: 17,
  end: 13,
  embedding: 4,
}
const FIELD = 15

/** The network of a configuration, which the model keeps to itself. */
function networkOf(config: WaveNetConfig): CausalNetwork {
  const stateShapes: Shape[] = Array.from({ length: config.stacks * config.layers }, (_, i) => [
    1,
    config.channels,
    (config.kernel - 1) * 2 ** (i % config.layers),
  ])
  return {
    receptiveField: wavenetField(config),
    stateShapes,
    forward: (p, codes, states) => wavenetForward(p, config, codes, states),
  }
}

const randomParameters = (config: WaveNetConfig, seed: number): Arrays =>
  stir(wavenet(config).initialise(seed), seed)

describe('forward = step', () => {
  it.each(TYPES)('for any split, in %s', async (...type) => {
    const config = { ...TINY, kernel: 3 }
    const how = { time: 60, lengths: [1, 2, 5, 21], numRuns: 8 }
    await expectForwardIsStep(networkOf(config), randomParameters(config, 1), type, how)
  })
})

describe('causality', () => {
  const time = 50
  const codes = randomCodes(time, 2)

  it('by gradient: a prediction depends on the newest 15 samples, and on nothing else', async () => {
    const seen = new Set<number>()
    const at = { codes, samples: [0, 1, 7, ...range(14, time)] }
    const found = gradientsAt(networkOf(TINY), randomParameters(TINY, 2), at, (nodes) => {
      // what is looked up of every sample, [channels, time]
      const looked = nodes.find(({ op }) => op.name === 'take')!
      expect(looked.shape).toEqual([TINY.channels, time])
      return [looked]
    })
    for await (const [t, [dx]] of found) {
      const times = range(0, time).filter((i) =>
        range(0, TINY.channels).some((c) => dx![c * time + i] !== 0),
      )
      for (const i of times) seen.add(t - i)
      expect(times).toContain(t)
    }
    expect([...seen].sort((a, b) => a - b)).toEqual(range(0, FIELD))
    expect(wavenetField(TINY)).toBe(FIELD)
  })

  it('by change: another sample changes the 15 predictions after it, and no other', async () => {
    const at = { codes, samples: [0, 11, 30, 45] }
    for await (const [t, times] of changedBy(networkOf(TINY), randomParameters(TINY, 2), at)) {
      expect(times).toEqual(range(t, Math.min(time, t + FIELD)))
    }
  })

  it('and the preset sees 4093 samples, as the table of SaShiMi has it', () => {
    expect(wavenetField(wavenetPresets.wavenet)).toBe(4093)
    expect(wavenet(wavenetPresets.wavenet).context).toBe(4093)
    expect(wavenet(wavenetPresets['wavenet-small']).context).toBe(2047)
  })
})

describe('gradients', () => {
  it('equal central differences, of parameters and of states', async () => {
    const network = networkOf({ ...TINY, levels: 7 as 256 })
    const codes = Int32Array.from(randomCodes(9, 3), (code) => code % 7)
    const draw: CheckOptions['draw'] = (random) => 0.7 * random.normal()
    expect(await causalGradientError(network, codes, { draw })).toBeLessThan(1e-6)
  })
})

describe('the learner', () => {
  it.each([
    ['one stretch', 300, 300],
    ['two stretches', STRETCH + 3, STRETCH + 2],
  ])('finds what one undivided graph finds: %s', async (_, context, length) => {
    const weights = randomParameters(TINY, 4)
    const learner = await wavenet(TINY).learner(await engine(), { context, part: 'all' })
    expect(learner.segmentLength).toBe(length)
    expect(learner.lead).toBe(0)
    const segments = [4, 5].map((seed) => randomCodes(length + 1, seed))
    await expectLearnsAsUndivided(learner, networkOf(TINY), { weights, segments })
    await learner.dispose()
  })

  it('gives the same bits for the same codes, and the same initial values for a seed', () =>
    expectSameBits(wavenet(TINY), 400))

  it('refuses to train a local part, and steps that do not fit', async () => {
    const model = wavenet(TINY)
    const local = { context: 100, part: 'local' } as const
    expect(() => model.plan(local)).toThrow(UsageError)
    expect(() => model.plan(local)).toThrow(/wavenet has no local path/)
    await expect(model.learner(await engine(), local)).rejects.toThrow(UsageError)
    expect(() => model.plan({ context: 1e5, part: 'all', memory: 1e6 })).toThrow(/does not fit/)
  })

  it('shortens its stretches for want of memory', () => {
    const model = wavenet(wavenetPresets.wavenet)
    const plenty = model.plan({ context: 16_000, part: 'all' })
    expect(plenty.text).toContain('2 stretches of 8000 samples')
    const tight = model.plan({ context: 16_000, part: 'all', memory: plenty.memory - 1 })
    expect(tight.text).toContain('4 stretches of 4000 samples')
    expect(tight.memory).toBeLessThan(plenty.memory)
  })
})

describe('stretches', () => {
  it('are equal, within the bound, and miss less than one sample each', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.integer({ min: 1, max: 9e3 }),
        (n, bound) => {
          const { count, time } = stretches(n, bound)
          expect(time).toBeLessThanOrEqual(bound)
          expect(time).toBeGreaterThan(0)
          expect(n - count * time).toBeGreaterThanOrEqual(0)
          expect(n - count * time).toBeLessThan(count)
        },
      ),
    )
  })
})

describe('the scorer', () => {
  it.each([
    ['a piece', 100],
    ['a piece of several stretches', 2 * STRETCH + 77],
    ['one sample', 1],
  ])('gives the nats of one graph: %s', async (_, samples) => {
    const weights = randomParameters(TINY, 8)
    const codes = randomCodes(samples, 8)
    const expected = await natsOfAll(networkOf(TINY), weights, codes)
    const scorer = await wavenet(TINY).scorer(await engine(), weights)
    const progress: number[] = []
    for (const context of [FIELD, 16_000]) {
      const found = await scorer.score(codes, context, (done) => progress.push(done))
      expect(distance(found, expected)).toBeLessThan(1e-5)
      expect(progress.at(-1)).toBe(samples)
    }
    expect(await scorer.score(new Uint8Array(0), 100)).toHaveLength(0)
    await scorer.dispose()
  })

  it.each([1, 2, 3, 7, 14])('sees no more than a context of %i samples', async (context) => {
    const weights = randomParameters(TINY, 9)
    const codes = randomCodes(60, 9)
    const scorer = await wavenet(TINY).scorer(await engine(), weights)
    const farthest = await reach(scorer, codes, { context, changed: 40 })
    expect(farthest).toBe(context < 2 ? 1 : 2 * Math.floor(context / 2))
    await scorer.dispose()
  })
})

describe('the generator', () => {
  it('sample by sample gives the nats of the scorer, after a prompt of any length', async () => {
    const weights = randomParameters(TINY, 10)
    const codes = randomCodes(70, 10)
    for (const context of [FIELD, 1000]) {
      const how = { context, prompts: [0, 1, 2, 14, 40, 15, 16], steps: 25 }
      await expectGeneratedAsScored(wavenet(TINY), weights, codes, how)
    }
  })
})

describe('a network that sees farther than a stretch', () => {
  it('takes a long prompt in by stretches', async () => {
    const config = { ...TINY, stacks: 1, layers: 13 }
    expect(wavenetField(config)).toBe(8192)
    expect(wavenetField(config)).toBeGreaterThan(STRETCH)
    const weights = randomParameters(config, 11)
    const codes = randomCodes(8600, 11)
    const scorer = await wavenet(config).scorer(await engine(), weights)
    const expected = await scorer.score(codes, 8600)
    const generator = await wavenet(config).generator(await engine(), weights, 10_000)
    const progress: number[] = []
    await generator.prime(codes.subarray(0, 8500), (samples) => progress.push(samples))
    expect(progress).toHaveLength(2)
    for (let t = 8500; t < 8520; t++) {
      const nats = natsOf(await generator.logits(), codes[t]!)
      expect(Math.abs(nats - expected[t]!)).toBeLessThan(1e-4)
      await generator.push(codes[t]!)
    }
    await generator.dispose()
    await scorer.dispose()
  })
})

describe('the presets', () => {
  it('have the parameters of the published 4.24M, but what nobody reads', () => {
    const { size } = wavenet(wavenetPresets.wavenet)
    const { channels } = wavenetPresets.wavenet
    // of the published count 64 x 64 are the residual connection of the last layer
    expect(size).toBe(4_244_480 - channels * channels)
    expect(Math.abs(size / 4.24e6 - 1)).toBeLessThan(0.02)
    // the other size of the same table
    expect(wavenet({ ...wavenetPresets.wavenet, skip: 512 }).size).toBe(2_671_616 - channels ** 2)
    expect(wavenet(wavenetPresets['wavenet-small']).size).toBe(307_840)
  })

  it('are known by name', () => {
    for (const name of ['wavenet', 'wavenet-small']) {
      expect(presets[name]).toMatchObject({ family: 'wavenet' })
    }
  })

  it.each([
    ['no stacks', { stacks: 0 }],
    ['half a channel', { channels: 2.5 }],
    ['one tap', { kernel: 1 }],
    ['dilations beyond all music', { layers: 60 }],
    ['other levels', { levels: 16 as 256 }],
  ])('cannot be made to have %s', (_, change) => {
    expect(() => wavenet({ ...TINY, ...change })).toThrow(UsageError)
  })
})
