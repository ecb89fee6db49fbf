/** The laws of SampleRNN, and with it of every network that is trained on streams. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/base/errors.js'
import type { Values } from '../../src/engine/index.js'
import { CausalLearner } from '../../src/models/causal-learner.js'
import { UNBOUNDED } from '../../src/models/causal-model.js'
import { buildCausal, type CausalNetwork } from '../../src/models/causal-network.js'
import { stretches } from '../../src/models/causal-plan.js'
import { CausalScorer } from '../../src/models/causal-scorer.js'
import { presets } from '../../src/models/index.js'
import type { Arrays } from '../../src/models/model.js'
import {
  type SampleRnnConfig,
  samplernn,
  samplernnNetwork,
  samplernnPresets,
} from '../../src/models/samplernn.js'
import { engine } from '../graph/gradcheck.js'
import {
  causalGradientError,
  changedBy,
  expectForwardIsStep,
  expectGeneratedAsScored,
  expectLearnsAsUndivided,
  filled,
  gradientsAt,
  natsOfAll,
  range,
  reach,
  silence,
  TYPES,
} from './causal.js'
import { distance, normals, randomCodes, stir, typed } from './tiny.js'

/** Frames of 3, 6 and 12 samples. No two widths are equal: a wrong axis does not fit. */
const TINY: SampleRnnConfig = {
  ...samplernnPresets.samplernn,
  ...{ frames: [3, 2, 2], layers: 2, width: 9, embedding: 4 },
}
const FRAME = 12

const network = samplernnNetwork(TINY)
/** The same in short stretches, to have several of them. */
const SHORT: CausalNetwork = { ...network, stretch: 2 * FRAME }

const randomParameters = (config: SampleRnnConfig, seed: number): Arrays =>
  stir(samplernn(config).initialise(seed), seed)

describe('forward = step', () => {
  it.each(TYPES)('for any split in whole frames, in %s', async (...type) => {
    const lengths = [1, 2, 3].map((frames) => frames * FRAME)
    const how = { time: 8 * FRAME, lengths, numRuns: 6 }
    await expectForwardIsStep(network, randomParameters(TINY, 1), type, how)
  })

  it('and a batch of streams is each of them alone', async () => {
    const time = 3 * FRAME
    const weights = typed(randomParameters(TINY, 2), 'float64')
    const rows = [2, 3, 4].map((seed) => Int32Array.from(randomCodes(time, seed)))
    const run = async (codes: Int32Array, batch: number) => {
      const { logits, next, states } = buildCausal(network, time, 'float64', batch)
      const program = await (await engine()).compile({ logits, ...next })
      // a stream that has begun, with something to remember
      const before = Object.entries(silence(states)).map(([name, zeros], i) => {
        const size = zeros.length / batch
        const one = i === 1 ? [1] : i === 0 ? [...zeros.slice(0, size)] : normals(size, 2, i)
        return [name, Float64Array.from({ length: zeros.length }, (_, j) => one[j % size]!)]
      })
      return program.run({ ...weights, ...Object.fromEntries(before), codes })
    }
    const together = await run(Int32Array.from(rows.flatMap((row) => [...row])), 3)
    const alone = await Promise.all(rows.map((row) => run(row, 1)))
    for (const [name, found] of Object.entries(together)) {
      const expected = alone.flatMap((one) => [...one[name]!])
      expect(distance(found, expected), name).toBeLessThan(1e-12)
    }
  })
})

describe('causality', () => {
  const time = 4 * FRAME
  const codes = randomCodes(time, 2)

  it('by gradient: a prediction depends on every sample before it, and on no later one', async () => {
    const at = { codes, samples: [0, 1, 2, 3, 11, 12, 13, 30, time - 1] }
    const found = gradientsAt(network, randomParameters(TINY, 2), at, (nodes) => {
      // what the tiers hear of each sample, and what the perceptron looks up when it comes
      const heard = nodes.filter(({ op }) => op.name === 'take' || op.name === 'bag')
      expect(heard.map(({ shape }) => shape)).toEqual([
        [time, 1],
        [time, TINY.width],
      ])
      return heard
    })
    for await (const [t, [tiers, samples]] of found) {
      const seen = (dx: Values, size: number) =>
        range(0, time).filter((i) => dx.subarray(i * size, (i + 1) * size).some((x) => x !== 0))
      // the tiers hear a sample in the frame that ends with it, the perceptron at once
      const frames = seen(tiers!, 1)
      expect(frames).toEqual(range(0, frames.at(-1)! + 1))
      expect(frames.at(-1)).toBe(3 * Math.floor(t / 3))
      expect(seen(samples!, TINY.width)).toEqual([t])
    }
  })

  it('by change: another sample changes all predictions after it, and none before', async () => {
    const at = { codes, samples: [0, 11, 12, 31] }
    for await (const [t, times] of changedBy(network, randomParameters(TINY, 2), at)) {
      expect(times).toEqual(range(t, time))
    }
  })

  it('and nothing is ever forgotten', () => {
    expect(network.receptiveField).toBe(Number.POSITIVE_INFINITY)
    expect(samplernn(samplernnPresets.samplernn).context).toBe(UNBOUNDED)
  })
})

describe('gradients', () => {
  it('equal central differences, of parameters and of states, in a batch', async () => {
    const narrow = { ...TINY, frames: [2, 2], width: 3, embedding: 2, levels: 7 as 256 }
    const codes = Int32Array.from(randomCodes(2 * 8, 3), (code) => code % 7)
    // the newest samples are whole codes; the seed's numbers are so large that not all units are silent
    const how = { batch: 2, held: 1, seed: 4 }
    expect(await causalGradientError(samplernnNetwork(narrow), codes, how)).toBeLessThan(1e-6)
  })
})

describe('the learner', () => {
  const time = 6 * FRAME
  const stage = { context: time, part: 'all', targetsPerStep: 3 * time } as const
  const open = async (of = network) => CausalLearner.open(await engine(), of, stage)
  const parameters = randomParameters(TINY, 4)

  it.each([
    ['one stretch', network],
    ['three stretches', SHORT],
  ])('finds what undivided graphs of each stream find: %s', async (_, of) => {
    const learner = await open(of)
    expect(learner).toMatchObject({ segmentLength: time, lead: 0 })
    expect(learner.segmentsPerStep(1)).toBe(3)
    expect(learner.carried!.streams).toBe(3)
    const segments = [4, 5, 6].map((seed) => randomCodes(time + 1, seed))
    await expectLearnsAsUndivided(learner, network, { weights: parameters, segments })
    await learner.dispose()
  })

  it.each([
    ['one stretch', network],
    ['three stretches', SHORT],
  ])('carries on: two segments are one long one, where none begins: %s', async (_, of) => {
    const learner = await open(of)
    const long = [7, 8, 9].map((seed) => randomCodes(2 * time + 1, seed))
    const first = long.map((codes) => codes.subarray(0, time + 1))
    const second = long.map((codes) => codes.subarray(time))
    const one = await learner.learn(parameters, first, 0, [true, true, true])
    const two = await learner.learn(parameters, second, 1, [false, false, false])
    const whole = await learner.score(parameters, long)
    expect(whole.targets).toBe(one.targets + two.targets)
    expect(Math.abs((one.nats + two.nats) / whole.nats - 1)).toBeLessThan(1e-6)
    // a stream that begins anew knows nothing; the others go on
    await learner.learn(parameters, first, 2, [true, true, true])
    const mixed = await learner.learn(parameters, second, 3, [false, true, false])
    const apart = await Promise.all(
      [0, 1, 2].map(async (i) => {
        const alone = await CausalLearner.open(await engine(), of, {
          ...stage,
          targetsPerStep: time,
        })
        await alone.learn(parameters, [first[i]!], 0, [true])
        const { nats } = await alone.learn(parameters, [second[i]!], 1, [i === 1])
        await alone.dispose()
        return nats
      }),
    )
    expect(Math.abs(mixed.nats / apart.reduce((a, b) => a + b) - 1)).toBeLessThan(1e-6)
    expect(Math.abs(mixed.nats / two.nats - 1)).toBeGreaterThan(1e-4)
    await learner.dispose()
  })

  it('goes on with a state that was saved, to the same bits', async () => {
    const [learner, other] = [await open(), await open()]
    const segments = (seed: number) => [0, 1, 2].map((i) => randomCodes(time + 1, 10 * seed + i))
    await learner.learn(parameters, segments(1))
    for (const [name, array] of Object.entries(learner.carried!.state)) {
      other.carried!.state[name]!.set(array)
    }
    const none = [false, false, false]
    const expected = await learner.learn(parameters, segments(2), 0, none)
    expect(await other.learn(parameters, segments(2), 0, none)).toEqual(expected)
    await learner.dispose()
    await other.dispose()
  })

  it('is held out on longer segments, one of each stream', async () => {
    const learner = await open()
    expect(learner.heldOut(3 * 500)).toEqual({ count: 3, length: 7 * time })
    await learner.dispose()
    const text = samplernn(TINY).plan(stage).text
    expect(text).toContain(`3 streams of 1 stretches of ${time} samples`)
    expect(() => samplernn(TINY).plan({ ...stage, memory: 1e6 })).toThrow(/does not fit/)
  })
})

it('stretches are whole frames', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e5 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 9 }),
      (n, frame, frames) => {
        const { count, time } = stretches(n, frame * frames, frame)
        expect(time % frame).toBe(0)
        expect(time).toBeGreaterThan(0)
        expect(time).toBeLessThanOrEqual(frame * frames)
        if (n >= frame) expect(n - count * time).toBeLessThan(frame * (count + 1))
      },
    ),
  )
})

describe('the scorer', () => {
  it.each([
    ['a piece', 100],
    ['whole stretches', 4 * FRAME],
    ['one sample', 1],
  ])('gives the nats of one graph, its state carried on: %s', async (_, samples) => {
    const weights = randomParameters(TINY, 8)
    const codes = randomCodes(samples, 8)
    const whole = await natsOfAll(network, weights, filled(codes, FRAME))
    const expected = whole.slice(0, samples)
    for (const of of [network, SHORT]) {
      const scorer = new CausalScorer(await engine(), of, weights)
      const progress: number[] = []
      const found = await scorer.score(codes, UNBOUNDED, (done) => progress.push(done))
      expect(distance(found, expected)).toBeLessThan(1e-5)
      expect(progress.at(-1)).toBe(samples)
      await scorer.dispose()
    }
  })

  it.each([FRAME, 2 * FRAME, 30, 4 * FRAME])(
    'sees no more than a context of %i samples',
    async (context) => {
      const weights = randomParameters(TINY, 9)
      const codes = randomCodes(90, 9)
      const scorer = await samplernn(TINY).scorer(await engine(), weights)
      const farthest = await reach(scorer, codes, { context, changed: 60 })
      expect(farthest).toBeLessThanOrEqual(context)
      expect(farthest).toBeGreaterThan(context / 2)
      await scorer.dispose()
    },
  )
})

describe('the generator', () => {
  it('sample by sample gives the nats of the scorer, after a prompt of any length', async () => {
    const weights = randomParameters(TINY, 10)
    const how = { context: UNBOUNDED, prompts: [0, 1, 11, 12, 13, 40], steps: 25 }
    await expectGeneratedAsScored(samplernn(TINY), weights, randomCodes(70, 10), how)
  })
})

describe('the presets', () => {
  it('have the parameters of the published 35.03M, and the lengths of weights', () => {
    const { size } = samplernn(samplernnPresets.samplernn)
    const units = 3 * 1024 // of the tiers' inputs
    const up = (8 + 2 + 2) * 1024
    // the published count has no lengths: one for each output of every normalised layer
    expect(size).toBe(35_026_176 + units + up + 1024 + 1024 + 256)
    expect(Math.abs(size / 35.03e6 - 1)).toBeLessThan(0.02)
    expect(samplernn(samplernnPresets['samplernn-small']).size).toBe(2_715_648)
    // the other size of the same table, 51.85M
    const two = samplernn({ ...samplernnPresets.samplernn, frames: [16, 4], layers: 2 })
    expect(Math.abs(two.size / 51.85e6 - 1)).toBeLessThan(0.02)
  })

  it('are known by name', () => {
    for (const name of ['samplernn', 'samplernn-small']) {
      expect(presets[name]).toMatchObject({ family: 'samplernn' })
    }
  })

  it.each([
    ['no tiers', { frames: [] }],
    ['frames of one sample', { frames: [1] }],
    ['half a frame', { frames: [2.5, 2] }],
    ['frames that are no list', { frames: 8 as never }],
    ['frames beyond a stretch', { frames: [64, 32] }],
    ['no layers', { layers: 0 }],
    ['half a unit', { width: 2.5 }],
    ['other levels', { levels: 16 as 256 }],
  ])('cannot be made to have %s', (_, change) => {
    expect(() => samplernn({ ...TINY, ...change })).toThrow(UsageError)
  })
})
