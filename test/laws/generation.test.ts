/** Law 1 and E3 of whole models: the generator, sample by sample, is the dense pass. */
import { describe, expect, it } from 'vitest'
import type { FlagshipConfig } from '../../src/models/flagship.js'
import { flagship } from '../../src/models/flagship-model.js'
import type { Generator } from '../../src/models/model.js'
import { engine } from '../graph/gradcheck.js'
import {
  denseGraph,
  FORMS,
  inputsOf,
  natsOf,
  PAPER,
  randomCodes,
  randomParameters,
  STREAM,
  samplesOf,
} from './tiny.js'

const ALL: [string, FlagshipConfig][] = [...FORMS, ['paper', PAPER]]

/** Nats of codes[from .. to] by a generator that stands before codes[from]. */
async function generatedNats(generator: Generator, codes: Uint8Array, from: number, to: number) {
  const nats: number[] = []
  for (let t = from; t < to; t++) {
    nats.push(natsOf(await generator.logits(), codes[t]!))
    await generator.push(codes[t]!)
  }
  return nats
}

function expectClose(found: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(found.length).toBe(expected.length)
  expect(found.length).toBeGreaterThan(0)
  expect(Math.max(...Array.from(found, (nats, i) => Math.abs(nats - expected[i]!)))).toBeLessThan(
    1e-4,
  )
}

async function open(config: FlagshipConfig, seed: number, context: number) {
  const parameters = randomParameters(config, seed)
  const model = flagship(config)
  return {
    parameters,
    generator: await model.generator(await engine(), parameters, context),
    scorer: await model.scorer(await engine(), parameters),
  }
}

describe.each(ALL)('within one window, %s', (_, config) => {
  const context = 4 * config.chunk
  const codes = randomCodes(context, 91)

  it('pushing samples gives the nats of the scorer, from the first sample on', async () => {
    const { generator, scorer } = await open(config, 91, context)
    const expected = await scorer.score(codes, context)
    await generator.prime(codes.subarray(0, 0))
    expectClose(await generatedNats(generator, codes, 0, codes.length), expected)
    // the nats are those of a model that has an opinion
    expect(Math.max(...expected) - Math.min(...expected)).toBeGreaterThan(1)
    await generator.dispose()
    await scorer.dispose()
  })

  it('a prompt of any length leads to the same', async () => {
    const { generator, scorer } = await open(config, 92, context)
    const expected = await scorer.score(codes, context)
    // the same generator every time: what was there before is forgotten
    for (const prompt of [1, 100, 0, 59, 60, 61, 7, 180, 239]) {
      await generator.prime(codes.subarray(0, prompt))
      const to = Math.min(codes.length, prompt + 25)
      const found = await generatedNats(generator, codes, prompt, to)
      expectClose(found, expected.subarray(prompt, to))
    }
    await generator.dispose()
    await scorer.dispose()
  })
})

/**
 * Nats of codes from `start` on by one dense graph whose tokens begin at `start` and see `window`
 * tokens in every layer.
 */
async function denseNats(
  config: FlagshipConfig,
  seed: number,
  codes: Uint8Array,
  { start, window }: { start: number; window: number },
): Promise<number[]> {
  const tokens = Math.ceil((codes.length - start) / config.chunk)
  const time = start + tokens * config.chunk
  const { logits } = denseGraph(config, { tokens, before: start, window, dtype: 'float32' })
  const program = await (await engine()).compile({ logits })
  const inputs = new Int32Array(time)
  inputs.set(inputsOf(codes))
  const feeds = samplesOf(inputs, 'float32')
  const found = await program.run({ ...randomParameters(config, seed), ...feeds })
  await program.dispose()
  return Array.from(codes.subarray(start), (code, row) =>
    natsOf(found.logits!.subarray(row * 256, (row + 1) * 256), code),
  )
}

describe.each(FORMS)('beyond one window, %s', (_, config) => {
  const window = 3
  const context = window * config.chunk
  const codes = randomCodes(420, 93)

  it('a token sees the last tokens of its phase in every layer, however long it goes on', async () => {
    const { generator } = await open(config, 93, context)
    await generator.prime(codes.subarray(0, 0))
    const found = await generatedNats(generator, codes, 0, codes.length)
    expectClose(found, await denseNats(config, 93, codes, { start: 0, window }))
    await generator.dispose()
  })

  it('a prompt longer than the context gives the tokens of its end', async () => {
    const { generator } = await open(config, 94, context)
    for (const prompt of [181, 240, 333]) {
      const start = prompt - context
      const expected = await denseNats(config, 94, codes, { start, window })
      await generator.prime(codes.subarray(0, prompt))
      const found = await generatedNats(generator, codes, prompt, codes.length)
      expectClose(found, expected.slice(prompt - start))
    }
    await generator.dispose()
  })
})

describe('a prompt longer than the context equals pushing it', () => {
  // where a token remembers nothing of tokens that its window has left behind
  it.each([
    ['one layer', { ...STREAM, layers: 1 }],
    ['the paper, whose tokens are made anew', PAPER],
  ] as [string, FlagshipConfig][])('%s', async (_, config) => {
    const codes = randomCodes(300, 95)
    const context = 2 * config.chunk
    const { generator } = await open(config, 95, context)
    await generator.prime(codes.subarray(0, 0))
    const pushed = await generatedNats(generator, codes, 0, codes.length)
    for (const prompt of [121, 200, 250]) {
      await generator.prime(codes.subarray(0, prompt))
      const found = await generatedNats(generator, codes, prompt, codes.length)
      expectClose(found, pushed.slice(prompt))
    }
    await generator.dispose()
  })

  it('the paper: also equals its scorer, at every sample of a piece of several windows', async () => {
    const codes = randomCodes(270, 96)
    const context = 2 * PAPER.chunk
    const { generator, scorer } = await open(PAPER, 96, context)
    await generator.prime(codes.subarray(0, 0))
    const found = await generatedNats(generator, codes, 0, codes.length)
    expectClose(found, await scorer.score(codes, context))
    await generator.dispose()
    await scorer.dispose()
  })
})

describe('the scorer', () => {
  it.each(ALL)('gives a piece the same nats however it goes on: %s', async (_, config) => {
    const { scorer } = await open(config, 97, 120)
    const codes = randomCodes(130, 97)
    const whole = await scorer.score(codes, 300)
    for (const length of [1, 59, 60, 61, 130]) {
      const nats = await scorer.score(codes.subarray(0, length), 300)
      expectClose(nats, whole.subarray(0, length))
    }
    await scorer.dispose()
  })

  it.each(FORMS)('never uses more than its context, and at least half: %s', async (_, config) => {
    const tokens = 4
    const { scorer } = await open(config, 98, 0)
    const codes = randomCodes(7 * config.chunk, 98)
    const found = await scorer.score(codes, tokens * config.chunk)
    // segments of 4 tokens move on by 2: the first is scored whole, of the others the newer half
    let at = 0
    for (const [first, scored] of [
      [0, 4],
      [2, 2],
      [4, 2],
    ] as const) {
      const start = first * config.chunk
      const end = Math.min(codes.length, start + tokens * config.chunk)
      const options = { start, window: tokens }
      const expected = await denseNats(config, 98, codes.subarray(0, end), options)
      const from = (first + tokens - scored) * config.chunk
      expect(from).toBe(at)
      expectClose(found.subarray(from, end), expected.slice(from - start))
      at = end
    }
    expect(at).toBe(codes.length)
    await scorer.dispose()
  })
})
