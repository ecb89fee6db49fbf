import { afterAll, describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { Engine } from '../../src/engine/index.js'
import { continueRecording } from '../../src/generate/index.js'
import type { Generator } from '../../src/models/index.js'
import { TINY, tinyModel } from '../cli/tiny.js'

const SILENCE = 128

/** A generator that always makes the code after the newest one likeliest, and tells what it met. */
function counter(): Generator & { primed: number[]; pushed: number[] } {
  const primed: number[] = []
  const pushed: number[] = []
  let newest = SILENCE
  return {
    primed,
    pushed,
    async prime(codes, onProgress) {
      primed.push(...codes)
      newest = codes.at(-1) ?? SILENCE
      for (let i = 1; i <= codes.length; i++) onProgress?.(i)
    },
    async logits() {
      return Float32Array.from({ length: 256 }, (_, code) => (code === newest + 1 ? 50 : 0))
    },
    async push(code) {
      pushed.push(code)
      newest = code
    },
    async dispose() {},
  }
}

const wish = { prompt: Uint8Array.of(7, 8, 9), samples: 5, sampling: { temperature: 1 }, seed: 3 }

describe('a continuation', () => {
  it('takes the prompt in, then feeds back every sample but the last', async () => {
    const generator = counter()
    const { codes, seconds, primeSeconds } = await continueRecording(generator, wish)
    expect([...codes]).toEqual([10, 11, 12, 13, 14])
    expect(generator.primed).toEqual([7, 8, 9])
    expect(generator.pushed).toEqual([10, 11, 12, 13])
    expect(seconds).toBeGreaterThan(0)
    expect(primeSeconds).toBeGreaterThan(0)
  })

  it('tells how far it is', async () => {
    const told: number[] = []
    const primed: number[] = []
    await continueRecording(counter(), {
      ...wish,
      onPrime: (samples) => primed.push(samples),
      onSample: (samples) => told.push(samples),
    })
    expect([primed, told]).toEqual([
      [1, 2, 3],
      [1, 2, 3, 4, 5],
    ])
  })

  it('ends at once when it is stopped, with what there is', async () => {
    const stop = new AbortController()
    const onSample = (samples: number) => samples === 3 && stop.abort()
    const some = await continueRecording(counter(), { ...wish, signal: stop.signal, onSample })
    expect([...some.codes]).toEqual([10, 11, 12])

    const early = new AbortController()
    const onPrime = (samples: number) => samples === 2 && early.abort()
    const none = await continueRecording(counter(), { ...wish, signal: early.signal, onPrime })
    expect(none.codes).toHaveLength(0)
  })

  it('fails when taking in the prompt fails', async () => {
    const broken = { ...counter(), prime: () => Promise.reject(new Error('no memory')) }
    await expect(continueRecording(broken, wish)).rejects.toThrow('no memory')
  })
})

describe('a real model', async () => {
  const engine = await Engine.open({ threads: 1 })
  const { model, weights } = tinyModel()
  const context = TINY.chunk * TINY.tokens
  const generator = await model.generator(engine, weights, context)
  const scorer = await model.scorer(engine, weights)
  afterAll(async () => {
    await generator.dispose()
    await scorer.dispose()
  })

  /** Codes that wander. */
  const random = new Random(4)
  let level = SILENCE
  const piece = Uint8Array.from({ length: context }, () => {
    level = Math.max(0, Math.min(255, level + Math.round(20 * random.normal())))
    return level
  })
  const natsOf = (logits: Float32Array, code: number) => {
    const top = Math.max(...logits)
    return top + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - top), 0)) - logits[code]!
  }

  it('gives a recording, sample by sample, the probabilities that the scorer gives it', async () => {
    const expected = await scorer.score(piece, context)
    await generator.prime(new Uint8Array(0))
    for (const [i, code] of piece.entries()) {
      const nats = natsOf(await generator.logits(), code)
      expect(Math.abs(nats - expected[i]!), `sample ${i}`).toBeLessThan(1e-3)
      await generator.push(code)
    }
  })

  it('gives the same after a prompt as after the same samples one by one', async () => {
    const expected = await scorer.score(piece, context)
    for (const length of [1, 39, 40, 41, 300]) {
      await generator.prime(piece.subarray(0, length))
      const nats = natsOf(await generator.logits(), piece[length]!)
      expect(Math.abs(nats - expected[length]!), `after ${length}`).toBeLessThan(1e-3)
    }
  })

  it('makes the same samples with the same seed, others with another', async () => {
    const made = async (seed: number) => {
      const options = { prompt: piece.subarray(0, 100), samples: 60, sampling: { temperature: 1 } }
      return (await continueRecording(generator, { ...options, seed })).codes
    }
    const first = await made(1)
    expect(await made(1)).toEqual(first)
    expect(await made(2)).not.toEqual(first)
    expect(new Set(first).size).toBeGreaterThan(5)
  })
})
