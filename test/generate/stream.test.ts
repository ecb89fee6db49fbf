/** Streams: prompts by the dense pass are prompts by stepping; copies; the same samples everywhere. */
import { beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../../src/engine/index.js'
import {
  continueRecording,
  type GeneratorOptions,
  openGenerator,
  openStream,
} from '../../src/generate/index.js'
import { type FlagshipConfig, type Model, openModel } from '../../src/models/index.js'
import {
  FORECAST,
  LOCAL,
  PAPER,
  RECALL,
  randomParameters,
  STREAM,
  tonalCodes,
  WINDOW,
} from '../laws/tiny.js'

/** Narrow heads keep keys and values instead of one row. */
const NARROW: FlagshipConfig = { ...LOCAL, heads: 3, headWidth: 2 }

const FORMS: [string, FlagshipConfig][] = [
  ['stream', STREAM],
  ['stream + local', LOCAL],
  ['narrow heads', NARROW],
  ['stream + local + forecast', FORECAST],
  ['stream + local, a window', WINDOW],
  ['stream + local + recall', RECALL],
]

const open = (config: FlagshipConfig, seed = 1) => ({
  model: openModel('flagship', config),
  weights: randomParameters(config, seed),
})

let engine: Engine

beforeAll(async () => {
  engine = await Engine.open({ threads: 1 })
})

/** The largest difference between the logits of two generators after prompts and some more samples. */
async function apart(
  config: FlagshipConfig,
  prompts: readonly number[],
  [first, second]: readonly [GeneratorOptions | 'engine', GeneratorOptions],
  context: number,
): Promise<number> {
  const checkpoint = open(config)
  const one =
    first === 'engine'
      ? await checkpoint.model.generator(engine, checkpoint.weights, context)
      : await openGenerator(checkpoint, { context, ...first })
  const other = await openGenerator(checkpoint, { context, ...second })
  const codes = tonalCodes(Math.max(...prompts) + 130, 11)
  let most = 0
  // the same generators every time: what was there before is forgotten
  for (const prompt of prompts) {
    await one.prime(codes.subarray(0, prompt))
    await other.prime(codes.subarray(0, prompt))
    for (const code of codes.subarray(prompt, prompt + 130)) {
      const [a, b] = [await one.logits(), await other.logits()]
      for (let i = 0; i < 256; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!))
      if (Number.isNaN(a[0]! + b[0]!)) return Number.NaN
      await one.push(code)
      await other.push(code)
    }
  }
  await one.dispose()
  await other.dispose()
  return most
}

describe.each(FORMS)('a primed stream, %s', (_, config) => {
  const window = 4 * config.chunk

  it('is a stepped stream, for prompts up to the context', async () => {
    const prompts = [239, 60, 0, 1, 57, 121, 180, 240, 61]
    const dense = { engine }
    expect(await apart(config, prompts, [dense, { engine: null }], window)).toBeLessThan(1e-4)
  })

  it('is one of a single token too', async () => {
    const prompts = [59, 60, 200]
    expect(await apart(config, prompts, [{ engine }, { engine: null }], 1)).toBeLessThan(1e-4)
  })

  it('is the generator of the engine, for prompts longer than the context', async () => {
    const prompts = [300, 241, 555]
    expect(await apart(config, prompts, ['engine', { engine }], window)).toBeLessThan(1e-4)
  })

  it('of one layer is a stepped stream whatever the prompt: nothing is remembered of what is past', async () => {
    const single = { ...config, layers: 1 }
    const prompts = [300, 555]
    expect(await apart(single, prompts, [{ engine }, { engine: null }], window)).toBeLessThan(1e-4)
  })
})

describe('samples', () => {
  const prompt = tonalCodes(150, 3)

  it.each(FORMS)('are those of the engine for the same seed: %s', async (_, config) => {
    const checkpoint = open(config, 2)
    const context = 180
    const slow = await checkpoint.model.generator(engine, checkpoint.weights, context)
    const wish = { prompt, samples: 200, sampling: { temperature: 0.9, topP: 0.95 }, seed: 5 }
    const { codes: expected } = await continueRecording(slow, wish)
    await slow.dispose()
    const fast = await openGenerator(checkpoint, { context, engine })
    const { codes } = await continueRecording(fast, wish)
    expect(codes).toEqual(expected)
    expect(new Set(codes).size).toBeGreaterThan(5)
  })

  it('do not depend on blocks, and a stream goes on where it stopped', async () => {
    const stream = await openStream(open(FORECAST), { engine, seed: 9 })
    const made = async (...blocks: [blockSize: number, samples: number][]) => {
      await stream.prime(prompt)
      const codes: number[] = []
      for (const [blockSize, samples] of blocks) {
        for await (const block of stream.generate({ blockSize, samples })) codes.push(...block)
      }
      return codes
    }
    const whole = await made([1000, 90])
    expect(whole).toHaveLength(90)
    expect(await made([1, 30], [7, 33], [27, 27])).toEqual(whole)
  })

  it('do not depend on threads', async () => {
    const wide = { ...LOCAL, width: 64, heads: 4, feedForward: 640, hidden: 640 }
    const made = async (threads: number) => {
      const options = { engine: null, threads, precision: 'int8', calibration: prompt } as const
      const stream = await openStream(open(wide), { ...options, seed: 4 })
      const codes: number[] = []
      for (let take = 0; take < 2; take++) {
        await stream.prime(prompt)
        for await (const block of stream.generate({ samples: 60 })) codes.push(...block)
      }
      await stream.dispose()
      return codes
    }
    const alone = await made(1)
    expect(new Set(alone).size).toBeGreaterThan(5)
    expect(await made(2)).toEqual(alone)
    await expect(openStream(open(wide), { threads: 0 })).rejects.toThrow(/`threads` makes no sense/)
    await expect(openStream(open(wide), { threads: 9 })).rejects.toThrow(/makes no sense/)
  })

  it('come without an end, until nobody wants them or a signal ends them', async () => {
    const stream = await openStream(open(LOCAL), { engine: null })
    let samples = 0
    for await (const block of stream.generate({ blockSize: 11 })) {
      samples += block.length
      if (samples >= 33) break
    }
    expect(samples).toBe(33)
    const stop = new AbortController()
    const lengths: number[] = []
    for await (const block of stream.generate({ blockSize: 11, signal: stop.signal })) {
      lengths.push(block.length)
      stop.abort()
    }
    expect(lengths).toEqual([11])
  })
})

describe('a snapshot', () => {
  const prompt = tonalCodes(300, 4)
  const take = async (stream: Awaited<ReturnType<typeof openStream>>, samples: number) => {
    const codes: number[] = []
    for await (const block of stream.generate({ samples, blockSize: 13 })) codes.push(...block)
    return codes
  }

  it.each([
    ['f32', 'f32'],
    ['f32', 'f16'],
    ['int8', 'int8'],
  ] as const)(
    'of a prompt has many continuations, in %s with a cache of %s',
    async (precision, cache) => {
      const options = { engine, precision, cache, calibration: prompt, context: 240 }
      const stream = await openStream(open(FORECAST), { ...options, seed: 1 })
      await stream.prime(prompt)
      await take(stream, 50)
      const snapshot = stream.snapshot()
      const first = await take(stream, 120)
      stream.restore(snapshot)
      expect(await take(stream, 120)).toEqual(first)
      stream.restore(snapshot, { seed: 2 })
      const second = await take(stream, 120)
      expect(second).not.toEqual(first)
      const other = await openStream(open(FORECAST), options)
      other.restore(snapshot)
      expect(await take(other, 120)).toEqual(first)
      other.restore(snapshot, { seed: 2 })
      expect(await take(other, 120)).toEqual(second)
    },
  )

  it('is refused of other weights or another context, and before there is a prompt', async () => {
    const options = { engine: null, context: 240 }
    const stream = await openStream(open(LOCAL), options)
    expect(() => stream.snapshot()).toThrow(/not primed/)
    await stream.prime(prompt.subarray(0, 20))
    const snapshot = stream.snapshot()
    const others = [
      await openStream(open(LOCAL, 2), options),
      await openStream(open(LOCAL), { ...options, context: 60 }),
    ]
    for (const other of others) expect(() => other.restore(snapshot)).toThrow(/not of this model/)
  })
})

describe('a held forecast', () => {
  const prompt = tonalCodes(6000, 8)
  const make = async (options: GeneratorOptions, seed = 1) => {
    const stream = await openStream(open(FORECAST), { engine, context: 240, seed, ...options })
    await stream.prime(prompt)
    const snapshot = stream.snapshot()
    const codes: number[] = []
    for await (const block of stream.generate({ samples: 200 })) codes.push(...block)
    return { snapshot, codes }
  }

  it('draws other samples, the same for the same seed, and goes on from a snapshot', async () => {
    const { codes: free } = await make({})
    const { codes, snapshot } = await make({ hold: true })
    // the logits of the first are there when the prompt ends
    expect(codes[0]).toBe(free[0])
    expect(codes).not.toEqual(free)
    expect((await make({ hold: true, threads: 2 })).codes).toEqual(codes)
    expect((await make({ hold: true }, 2)).codes).not.toEqual(codes)
    const other = await openStream(open(FORECAST), { engine, context: 240 })
    other.restore(snapshot)
    const again: number[] = []
    for await (const block of other.generate({ samples: 200 })) again.push(...block)
    expect(again).toEqual(codes)
  })

  it('is let go by the next prompt', async () => {
    const { codes } = await make({ hold: true })
    const stream = await openStream(open(FORECAST), { engine, context: 240, seed: 1, hold: true })
    await stream.prime(tonalCodes(500, 9))
    for await (const _ of stream.generate({ samples: 50 }));
    await stream.prime(prompt)
    const again: number[] = []
    for await (const block of stream.generate({ samples: 200 })) again.push(...block)
    expect(again).toEqual(codes)
  })

  it.each([
    ['no forecast', LOCAL],
    ['no step form', PAPER],
  ])('is refused of a model with %s', async (_, config) => {
    const wish = openStream(open(config), { engine, hold: true })
    await expect(wish).rejects.toThrow(/has no forecast that could be held/)
  })
})

describe('int8', () => {
  it('is measured on the first prompt, which is near f32', async () => {
    const prompt = tonalCodes(700, 5)
    const [exact, small] = [{ engine }, { engine, precision: 'int8' as const }]
    // of a tiny model few products are large enough for int8; the caches are
    expect(await apart(FORECAST, [570], [exact, small], 240)).toBeLessThan(0.2)
    const stream = await openStream(open(FORECAST), small)
    await expect(stream.prime(new Uint8Array())).rejects.toThrow(/real audio/)
    await expect(stream.prime(new Uint8Array(9).fill(128))).rejects.toThrow(/real audio/)
    await stream.prime(prompt)
    await stream.prime(new Uint8Array())
    expect(await stream.next({ temperature: 1 })).toBeLessThan(256)
  })
})

describe('a cache of f16', () => {
  it('is near f32, of narrow heads too, and needs to hear nothing before', async () => {
    const [exact, half] = [{ engine }, { engine, cache: 'f16' as const }]
    // the least likely levels of a forecast move most
    expect(await apart(FORECAST, [570, 0, 100], [exact, half], 240)).toBeLessThan(0.05)
    expect(await apart(NARROW, [570, 0, 100], [exact, half], 240)).toBeLessThan(0.01)
    expect(await apart(NARROW, [100], [exact, half], 240)).toBeGreaterThan(1e-6)
  })

  it('may be remembered beside int8, and int8 beside f32', async () => {
    for (const [precision, cache] of [
      ['int8', 'f16'],
      ['int8', 'f32'],
      ['f32', 'int8'],
    ] as const) {
      const small = { engine, precision, cache }
      expect(await apart(FORECAST, [570], [{ engine }, small], 240)).toBeLessThan(0.2)
    }
    const stream = await openStream(open(FORECAST), { engine, cache: 'int8' })
    await expect(stream.prime(new Uint8Array())).rejects.toThrow(/real audio/)
  })
})

describe('progress', () => {
  it.each([
    ['by the dense pass', 1000, {}],
    ['by steps', 40, { engine: null }],
  ])('of a prompt %s rises to its end', async (_, samples, options) => {
    const stream = await openStream(open(LOCAL), { engine, context: 2000, ...options })
    const told: number[] = []
    await stream.prime(tonalCodes(samples, 6), { onProgress: (n) => told.push(n) })
    expect(told.at(-1)).toBe(samples)
    expect(told).toEqual([...told].sort((a, b) => a - b))
    const stop = { onProgress: () => expect.fail('enough') }
    await expect(stream.prime(tonalCodes(samples, 6), stop)).rejects.toThrow('enough')
  })
})

describe('a model without a step form', () => {
  const paper: { model: Model; weights: ReturnType<typeof randomParameters> } = open(PAPER)

  it('streams from the engine, but has no copies and no other precision', async () => {
    const stream = await openStream(paper, { engine, context: 120 })
    const codes: number[] = []
    for await (const block of stream.generate({ samples: 5 })) codes.push(...block)
    expect(codes).toHaveLength(5)
    expect(() => stream.snapshot()).toThrow(/cannot be copied/)
    await stream.dispose()
    await expect(openStream(paper, { engine, precision: 'int8' })).rejects.toThrow(/no step form/)
    await expect(openStream(paper, { engine, cache: 'f16' })).rejects.toThrow(/no step form/)
    await expect(openStream(paper, { engine: null })).rejects.toThrow(/no step form/)
  })
})

describe('a bad wish', () => {
  it.each([
    [{ context: 0 }, /context/],
    [{ context: 1.5 }, /context/],
    [{ seed: -1 }, /seed/],
    [{ seed: 2 ** 32 }, /seed/],
  ])('%j is refused', async (options, words) => {
    await expect(openStream(open(STREAM), { engine, ...options })).rejects.toThrow(words)
  })

  it.each([
    [{ blockSize: 0 }, /blockSize/],
    [{ samples: -1 }, /samples/],
    [{ samples: Number.NaN }, /samples/],
    [{ temperature: -1 }, /temperature/],
    [{ topK: 0 }, /topK/],
  ])('%j is refused', async (options, words) => {
    const stream = await openStream(open(STREAM), { engine })
    await expect(stream.generate(options).next()).rejects.toThrow(words)
  })
})
