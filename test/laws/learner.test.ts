/** Laws 3 and 4 of the learner: its cuts change nothing, and its bits are always the same. */
import { describe, expect, it } from 'vitest'
import { Engine } from '../../src/engine/index.js'
import type { FlagshipConfig } from '../../src/models/flagship.js'
import { cut } from '../../src/models/flagship-layout.js'
import { flagship } from '../../src/models/flagship-model.js'
import { FORECAST_LEAD } from '../../src/models/forecast.js'
import type { Lesson } from '../../src/models/model.js'
import { engine } from '../graph/gradcheck.js'
import {
  denseGraph,
  distance,
  FORECAST,
  LOCAL,
  randomCodes,
  randomParameters,
  STREAM,
  samplesOf,
  tonalCodes,
  typed,
  VALUES,
} from './tiny.js'
import {
  LARGE,
  LARGE_FORECAST,
  LARGE_LOCAL,
  LARGE_RECALL,
  NO_KEY_BIAS,
  TOKENS,
  undivided,
} from './undivided.js'

const DROPPING: FlagshipConfig = {
  ...STREAM,
  form: 'paper',
  dropout: { encoder: 0.2, attention: 0.1, feedForward: 0.1, head: 0.2, token: 0.1 },
}

async function expectUndivided(
  config: FlagshipConfig,
  part: 'all' | 'local',
  tokens: number,
  idle = NO_KEY_BIAS,
): Promise<void> {
  const parameters = randomParameters(config, 61)
  const length = tokens * config.chunk
  const learner = await flagship(config).learner(await engine(), { context: length, part })
  const { lead } = learner
  expect(learner.segmentLength).toBe(length)
  expect(lead).toBe(config.forecast ? FORECAST_LEAD : 0)
  const codesOf = config.forecast ? tonalCodes : randomCodes
  const segments = [61, 62].map((seed) => codesOf(lead + length + 1, seed))
  const found = await learner.learn(parameters, segments, 0)
  // what lies far above its curves float32 tells badly from what is impossible, divided or not
  const dtype = config.forecast ? 'float32' : 'float64'
  const tolerance = config.forecast ? 1e-3 : 1e-4
  const options = { lead, dtype } as const
  const expected = await undivided(config, part, tokens, parameters, segments, options)

  expect(found.targets).toBe(2 * length)
  expect(Math.abs(found.nats / expected.nats - 1)).toBeLessThan(1e-5)
  expect(Object.keys(found.gradients).sort()).toEqual(Object.keys(expected.gradients).sort())
  for (const [name, values] of Object.entries(expected.gradients)) {
    expect(
      values.every((g) => g === 0),
      name,
    ).toBe(idle.test(name))
    if (idle.test(name)) expect(found.gradients[name]!.every((g) => g === 0)).toBe(true)
    else expect(distance(found.gradients[name]!, values), name).toBeLessThan(tolerance)
  }
  const { nats, targets } = await learner.score(parameters, segments)
  expect(targets).toBe(found.targets)
  expect(Math.abs(nats / found.nats - 1)).toBeLessThan(1e-6)
  await learner.dispose()
}

describe('the learner, which cuts time into stretches and phases into blocks', () => {
  it.each([
    ['stream', LARGE, 'all'],
    ['stream + local', LARGE_LOCAL, 'all'],
    ['stream + local, a window', { ...LARGE_LOCAL, window: 3 }, 'all'],
    ['stream + local + recall', LARGE_RECALL, 'all'],
    ['stream + local, its local part alone', LARGE_LOCAL, 'local'],
    ['stream + local + forecast', LARGE_FORECAST, 'all'],
    ['stream + local + forecast, without the context', LARGE_FORECAST, 'local'],
  ] as const)('gives the gradients of one undivided graph: %s', async (_, config, part) => {
    const { time, phases, segment, chunk } = cut(config, TOKENS * config.chunk)
    expect([segment / time, chunk / phases]).toEqual([3, 3])
    await expectUndivided(config, part, TOKENS)
  })

  it('also where a chunk is so short that the readout has one tap', async () => {
    await expectUndivided({ ...LOCAL, chunk: 11 }, 'all', 5)
  })

  it('also where all the context is one token, which attends to itself at any score', async () => {
    await expectUndivided(STREAM, 'all', 1, /\.(wq|wk|bq|bk|distance)$/)
  })

  it('learns without the parameters of the context path in the local stage', async () => {
    const stage = { context: 60, part: 'local' } as const
    const learner = await flagship(LOCAL).learner(await engine(), stage)
    const parameters = randomParameters(LOCAL, 63)
    const { gradients } = await learner.learn(parameters, [randomCodes(61, 63)], 0)
    const names = Object.keys(gradients)
    expect(names.filter((name) => /^(encoder|context)\.|head\.context/.test(name))).toEqual([])
    expect(names).toContain('local.skip.w')
    expect(names).toContain('head.out.w')
    await learner.dispose()
  })
})

const copy = ({ nats, gradients }: Lesson) => ({
  nats,
  gradients: Object.fromEntries(Object.entries(gradients).map(([name, g]) => [name, g.slice()])),
})

describe('same seed, same bits', () => {
  it.each([
    ['stream', LARGE, 1],
    ['stream + local', LARGE_LOCAL, 1],
    ['stream + local on all threads', LARGE_LOCAL, 0],
    ['stream + local + forecast', LARGE_FORECAST, 1],
    ['paper with dropout', DROPPING, 1],
  ] as [string, FlagshipConfig, number][])('of %s', async (_, config, threads) => {
    const own = await Engine.open({ threads })
    const stage = { context: 3 * config.chunk, part: 'all' } as const
    const open = () => flagship(config).learner(own, stage)
    const learner = await open()
    const length = learner.lead + learner.segmentLength + 1
    const segments = [randomCodes(length, 71), randomCodes(length, 72)]
    const parameters = randomParameters(config, 71)
    const first = copy(await learner.learn(parameters, segments, 5))
    // another lesson in between leaves no trace
    const other = copy(await learner.learn(randomParameters(config, 72), segments, 6))
    expect(other.nats).not.toBe(first.nats)
    expect(copy(await learner.learn(parameters, segments, 5))).toEqual(first)
    const again = await open()
    expect(copy(await again.learn(parameters, segments, 5))).toEqual(first)
    await learner.dispose()
    await again.dispose()
  })

  it('only as long as the seed of the masks is the same', async () => {
    const learner = await flagship(DROPPING).learner(await engine(), { context: 120, part: 'all' })
    const segments = [randomCodes(121, 73)]
    const parameters = randomParameters(DROPPING, 73)
    const { nats } = await learner.learn(parameters, segments, 1)
    expect((await learner.learn(parameters, segments, 2)).nats).not.toBe(nats)
    await learner.dispose()
  })
})

describe('the score of the paper', () => {
  it('is the loss with nothing dropped', async () => {
    const stage = { context: 120, part: 'all' } as const
    const parameters = randomParameters(DROPPING, 75)
    const segments = [randomCodes(121, 75), randomCodes(121, 76)]
    const dropping = await flagship(DROPPING).learner(await engine(), stage)
    const whole = await flagship({ ...STREAM, form: 'paper' }).learner(await engine(), stage)
    const { nats, targets } = await whole.learn(parameters, segments, 1)
    const found = await dropping.score(parameters, segments)
    expect(found.targets).toBe(targets)
    expect(Math.abs(found.nats / nats - 1)).toBeLessThan(1e-6)
    expect(await whole.score(parameters, segments)).toEqual(found)
    await dropping.dispose()
    await whole.dispose()
  })
})

describe('initialise', () => {
  const values = (config: FlagshipConfig, seed: number) => flagship(config).initialise(seed)

  it('is the same for the same seed and differs for another', () => {
    expect(values(LOCAL, 1)).toEqual(values(LOCAL, 1))
    expect(values(LOCAL, 1)['encoder.0.w']).not.toEqual(values(LOCAL, 2)['encoder.0.w'])
  })

  it('gives every parameter its own numbers', () => {
    const { 'context.0.attention.wq': q, 'context.0.attention.wk': k } = values(STREAM, 1)
    expect(q!.length).toBe(k!.length)
    expect(distance(q!, k!)).toBeGreaterThan(0.5)
  })

  it('gives the numbers that it always gave', () => {
    // a change of these breaks every seed that was ever written down
    const { 'encoder.0.w': w } = values(STREAM, 2026)
    expect(
      distance(w!.slice(0, 4), [0.20743392, 0.84072179, 0.69964695, -0.89164209]),
    ).toBeLessThan(1e-6)
  })

  it('changes nothing else when a local path is added, but that the context starts silent', () => {
    const without = values(STREAM, 3)
    const added = values(LOCAL, 3)
    for (const [name, array] of Object.entries(without)) {
      if (name === 'head.context.w') continue
      expect(added[name], name).toEqual(array)
    }
    expect(without['head.context.w']!.every((x) => x !== 0)).toBe(true)
    expect(added['head.context.w']!.every((x) => x === 0)).toBe(true)
    const news = Object.keys(added).filter((name) => !Object.hasOwn(without, name))
    expect(news.length).toBeGreaterThan(0)
    for (const name of news) expect(name).toMatch(/^local\.|^head\.local\./)
  })

  it('changes nothing else when a forecast is added, but that the head starts as its curves', async () => {
    const without = values(LOCAL, 3)
    const added = values(FORECAST, 3)
    for (const [name, array] of Object.entries(without)) {
      if (name !== 'head.out.w') expect(added[name], name).toEqual(array)
    }
    const news = Object.keys(added).filter((name) => !Object.hasOwn(without, name))
    expect(news.sort()).toEqual([
      'head.curves.b',
      'head.curves.w',
      'head.forecast.w',
      'local.forecast',
    ])
    const silent = ['head.out.w', ...news].filter((name) => added[name]!.every((x) => x === 0))
    expect(silent).toEqual(['head.out.w', 'head.curves.b', 'head.curves.w', 'head.forecast.w'])

    // so that before training it says what prediction says
    const { logits } = denseGraph(FORECAST, { tokens: 4 })
    const samples = samplesOf(tonalCodes(240, 74))
    const program = await (await engine()).compile({ logits })
    const found = await program.run({ ...typed(added, 'float64'), ...samples })
    const rows = samples.forecast.length / 240
    for (const t of [50, 239]) {
      const mine = found.logits!.subarray(256 * t, 256 * (t + 1))
      const likeliest = mine.indexOf(Math.max(...mine))
      const expected = VALUES[likeliest]! - samples.forecast[t * rows]!
      const scale = 1 / samples.forecast[t * rows + 1]!
      expect(Math.abs(expected)).toBeLessThan(scale)
    }
  })
})
