/** Voices over the same weights are streams, each by itself. */
import { beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../../src/engine/index.js'
import {
  type GenerateOptions,
  type ModelStream,
  type ModelVoices,
  openStream,
  openVoices,
  type VoicesOptions,
} from '../../src/generate/index.js'
import { type FlagshipConfig, openModel } from '../../src/models/index.js'
import { FORECAST, LOCAL, PAPER, randomParameters, tonalCodes } from '../laws/tiny.js'

const open = (config: FlagshipConfig, seed = 1) => ({
  model: openModel('flagship', config),
  weights: randomParameters(config, seed),
})

let engine: Engine

beforeAll(async () => {
  engine = await Engine.open({ threads: 1 })
})

async function takeAll(voices: ModelVoices, options: VoicesOptions): Promise<number[][]> {
  const all: number[][] = Array.from({ length: voices.size }, () => [])
  for await (const blocks of voices.generate({ blockSize: 17, ...options })) {
    expect(new Set(blocks.map(({ length }) => length)).size).toBe(1)
    for (const [voice, block] of blocks.entries()) all[voice]!.push(...block)
  }
  return all
}

async function take(stream: ModelStream, options: GenerateOptions): Promise<number[]> {
  const codes: number[] = []
  for await (const block of stream.generate(options)) codes.push(...block)
  return codes
}

describe('voices', () => {
  const prompts = [tonalCodes(300, 1), tonalCodes(31, 2), new Uint8Array(), tonalCodes(90, 3)]
  const seeds = [7, 8, 9, 7]

  it.each([
    ['f32', 'f32'],
    ['f32', 'f16'],
    ['int8', 'int8'],
  ] as const)(
    'are streams of their seeds, prompts and options, in %s with a cache of %s',
    async (precision, cache) => {
      const options = { engine, precision, cache, context: 240, calibration: tonalCodes(900, 4) }
      const each = [{ temperature: 0.5 }, {}, { topK: 3 }, { topP: 0.6 }]
      const voices = await openVoices(open(FORECAST), { ...options, seeds })
      await voices.prime(prompts)
      const found = await takeAll(voices, { samples: 100, temperature: 0.9, each })
      for (const [i, seed] of seeds.entries()) {
        const stream = await openStream(open(FORECAST), { ...options, seed })
        await stream.prime(prompts[i]!)
        expect(found[i]).toEqual(await take(stream, { samples: 100, temperature: 0.9, ...each[i] }))
      }
    },
  )

  it('take one prompt for all, which other seeds continue otherwise', async () => {
    const voices = await openVoices(open(LOCAL), { engine, seeds: [3, 4, 3] })
    for (let i = 0; i < 2; i++) {
      await voices.prime(prompts[0]!)
      const [first, second, third] = await takeAll(voices, { samples: 80 })
      expect(third).toEqual(first)
      expect(second).not.toEqual(first)
      const alone = await openStream(open(LOCAL), { engine, seed: 4 })
      await alone.prime(prompts[0]!)
      expect(second).toEqual(await take(alone, { samples: 80 }))
    }
  })

  it('go back, are copied and primed one by one, whatever the others do', async () => {
    const options = { engine, context: 240 }
    const voices = await openVoices(open(FORECAST), { ...options, seeds })
    const stream = await openStream(open(FORECAST), { ...options, seed: 8 })
    await voices.prime(prompts)
    await stream.prime(prompts[1]!)
    await takeAll(voices, { samples: 50 })
    const snapshot = voices.snapshot(1)
    const expected = await takeAll(voices, { samples: 60 })
    // a stream goes on where a voice was, and a voice where a stream is
    stream.restore(snapshot)
    expect(await take(stream, { samples: 60 })).toEqual(expected[1])
    voices.restore(3, snapshot)
    voices.restore(0, snapshot, { seed: 5 })
    await voices.primeVoice(2, prompts[2]!)
    voices.restore(1, stream.snapshot())
    const found = await takeAll(voices, { samples: 60 })
    expect(found[3]).toEqual(expected[1])
    expect(found[0]).not.toEqual(expected[1])
    expect(found[1]).toEqual(await take(stream, { samples: 60 }))
    const fresh = await openStream(open(FORECAST), { ...options, seed: 9 })
    expect(found[2]).toEqual(await take(fresh, { samples: 60 }))
  })

  it('begin with silence, and end when a signal says so', async () => {
    const voices = await openVoices(open(LOCAL), { engine: null, seeds: [1, 2] })
    const stop = new AbortController()
    const lengths: number[] = []
    for await (const blocks of voices.generate({ blockSize: 11, signal: stop.signal })) {
      lengths.push(...blocks.map(({ length }) => length))
      stop.abort()
    }
    expect(lengths).toEqual([11, 11])
  })

  it('tell how far all their prompts are', async () => {
    const voices = await openVoices(open(LOCAL), { engine, seeds })
    const told: number[] = []
    await voices.prime(prompts, { onProgress: (samples) => told.push(samples) })
    expect(told.at(-1)).toBe(421)
    expect(told).toEqual([...told].sort((a, b) => a - b))
  })
})

describe('a bad wish', () => {
  it.each([
    [{ seeds: [] }, /seeds/],
    [{ seeds: [1, -1] }, /seed/],
    [{ seeds: [1], context: 0 }, /context/],
  ])('%j is refused', async (options, words) => {
    await expect(openVoices(open(LOCAL), { engine, ...options })).rejects.toThrow(words)
  })

  it('of a model that runs in the engine is refused', async () => {
    await expect(openVoices(open(PAPER), { engine, seeds: [1] })).rejects.toThrow(/no step form/)
  })

  it.each([
    [{ each: [{}] }, /each/],
    [{ each: [{}, { temperature: -1 }] }, /temperature/],
    [{ topK: 0 }, /topK/],
    [{ blockSize: 0 }, /blockSize/],
  ])('%j is refused', async (options, words) => {
    const voices = await openVoices(open(LOCAL), { engine, seeds: [1, 2] })
    await expect(voices.generate(options).next()).rejects.toThrow(words)
  })

  it('for a voice that there is not is refused, and for prompts that do not fit', async () => {
    const voices = await openVoices(open(LOCAL), { engine, seeds: [1, 2] })
    await expect(voices.prime([tonalCodes(9, 1)])).rejects.toThrow(/prompts/)
    await expect(voices.primeVoice(2, tonalCodes(9, 1))).rejects.toThrow(/no voice 2/)
    expect(() => voices.snapshot(0)).toThrow(/not primed/)
    await voices.prime(tonalCodes(9, 1))
    expect(() => voices.snapshot(2)).toThrow(/no voice 2/)
    expect(() => voices.restore(-1, voices.snapshot(0))).toThrow(/no voice -1/)
  })
})
