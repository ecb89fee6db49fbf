import { describe, expect, it } from 'vitest'
import { plainPredictor, quantizer, strongPredictor } from '../../src/audio/index.js'
import { UsageError } from '../../src/base/errors.js'
import { Random } from '../../src/base/random.js'
import {
  baselines,
  commonStart,
  evaluate,
  formatEvaluation,
  linearBits,
  orderZeroBits,
  type Recording,
  ScoreError,
  standardError,
} from '../../src/eval/index.js'
import type { Scorer } from '../../src/models/index.js'

const MODEL = { family: 'toy', size: 1234 }

function recording(name: string, samples: number, seed = 1): Recording {
  const random = new Random(seed)
  const codes = Uint8Array.from({ length: samples }, () => 100 + random.below(40))
  return { name, samples, codes: () => codes }
}

/** Sample i costs (code + i) / context bits: every target and context has its own score. */
const bitsOf = (codes: Uint8Array, context: number) =>
  Array.from(codes, (code, i) => (code + i) / context)

const scorer: Scorer = {
  async score(codes, context, onProgress, from = 0) {
    onProgress?.(Math.floor((codes.length - from) / 2))
    onProgress?.(codes.length - from)
    return Float32Array.from(bitsOf(codes, context).slice(from), (bits) => bits * Math.LN2)
  },
  async dispose() {},
}

const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length

describe('the targets that contexts are compared on', () => {
  it.each([
    [1000, 100, 100],
    [101, 100, 100], // one sample has the whole context
    [100, 100, 50], // none has
    [99, 100, 49],
    [1, 100, 0],
  ])('of %i samples and a longest context of %i begin at %i', (samples, longest, start) => {
    expect(commonStart(samples, longest)).toBe(start)
  })
})

describe('the standard error', () => {
  it('of equal pieces is s / sqrt(n)', () => {
    const means = [3, 4, 4.5, 5.1]
    const m = mean(means)
    const s = Math.sqrt(means.reduce((sum, x) => sum + (x - m) ** 2, 0) / 3)
    const pieces = means.map((x) => ({ weight: 700, mean: x }))
    expect(standardError(pieces)).toBeCloseTo(s / 2, 12)
  })

  it('of pieces that agree is 0, of one piece unknown', () => {
    expect(standardError([1, 2, 3].map((weight) => ({ weight, mean: 4 })))).toBe(0)
    expect(standardError([{ weight: 1, mean: 4 }])).toBeNull()
    expect(standardError([])).toBeNull()
  })

  it('counts a piece by its samples', () => {
    const long = { weight: 1e9, mean: 4 }
    expect(standardError([long, { weight: 1, mean: 100 }])).toBeLessThan(1e-6)
  })
})

describe('an evaluation', () => {
  const pieces = [recording('a', 500), recording('b', 120, 2), recording('c', 80, 3)]
  const run = (contexts: number[]) => evaluate(MODEL, scorer, pieces, contexts)

  it('scores every sample of every piece under every context', async () => {
    const results = await run([50, 200])
    expect(results.map(({ context }) => context)).toEqual([50, 200])
    for (const result of results) {
      const all = pieces.flatMap((piece) => bitsOf(piece.codes(), result.context))
      expect(result).toMatchObject({ model: 'toy', parameters: 1234, samples: 700 })
      expect(result.bitsPerSample).toBeCloseTo(mean(all), 4)
      expect(result.natsPerSample).toBeCloseTo(mean(all) * Math.LN2, 4)
      expect(result.samplesPerSecond).toBeCloseTo(700 / result.seconds, 6)
      expect(result.standardError).toBe(
        standardError(result.pieces.map((p) => ({ weight: p.samples, mean: p.bitsPerSample! }))),
      )
    }
  })

  it('compares contexts on the same targets, the longest context being over or half way', async () => {
    for (const { context, pieces: scored, commonBitsPerSample } of await run([50, 200])) {
      const starts = [200, 60, 40] // the last two are shorter than 200
      const common = pieces.map((piece, i) => bitsOf(piece.codes(), context).slice(starts[i]))
      expect(scored.map((p) => p.commonSamples)).toEqual([300, 60, 40])
      for (const [i, piece] of scored.entries()) {
        expect(piece.commonBitsPerSample).toBeCloseTo(mean(common[i]!), 4)
      }
      expect(commonBitsPerSample).toBeCloseTo(mean(common.flat()), 4)
    }
  })

  it('says how sure it is of what a context changes, whatever pieces are like', async () => {
    const [short, long] = await run([50, 200])
    const changes = short!.pieces.map((piece, i) => ({
      weight: piece.commonSamples,
      mean: (piece.commonBitsPerSample - long!.pieces[i]!.commonBitsPerSample) / 2,
    }))
    expect(short!.commonStandardError).toBeCloseTo(standardError(changes)!, 10)
    expect(long!.commonStandardError).toBeCloseTo(standardError(changes)!, 10)
    expect((await run([50]))[0]!.commonStandardError).toBeNull()
  })

  it('tells apart the targets that have the whole context and those that do not', async () => {
    const [short, long] = await run([50, 100])
    const [a, , c] = short!.pieces
    const bits = bitsOf(pieces[0]!.codes(), 50)
    expect(a).toMatchObject({ fullContextSamples: 450, shortHistorySamples: 50 })
    expect(a!.fullContextBits).toBeCloseTo(mean(bits.slice(50)), 4)
    expect(a!.shortHistoryBits).toBeCloseTo(mean(bits.slice(0, 50)), 4)
    expect(c).toMatchObject({ fullContextSamples: 30, shortHistorySamples: 50 })
    expect(long!.pieces[2]).toMatchObject({
      fullContextSamples: 0,
      fullContextBits: null,
      shortHistorySamples: 80,
    })
    for (const p of [...short!.pieces, ...long!.pieces]) {
      const sum =
        p.fullContextSamples * (p.fullContextBits ?? 0) +
        p.shortHistorySamples * (p.shortHistoryBits ?? 0)
      expect(sum / p.samples).toBeCloseTo(p.bitsPerSample!, 10)
    }
  })

  it('tells how far it is, over all pieces and contexts', async () => {
    const told: [string, number, number][] = []
    await evaluate(MODEL, scorer, pieces.slice(1), [50, 60], {
      onProgress: ({ name, context, samples, total }) => {
        expect(total).toBe(400)
        told.push([name, context, samples])
      },
    })
    expect(told).toEqual([
      ['b', 50, 60],
      ['b', 50, 120],
      ['c', 50, 160],
      ['c', 50, 200],
      ['b', 60, 260],
      ['b', 60, 320],
      ['c', 60, 360],
      ['c', 60, 400],
    ])
  })

  it('can score the common targets alone, and says nothing of whole pieces then', async () => {
    const told: number[] = []
    const whole = await run([50, 200])
    const alone = await evaluate(MODEL, scorer, pieces, [50, 200], {
      onlyCommon: true,
      onProgress: ({ samples, total }) => {
        expect(total).toBe(800)
        told.push(samples)
      },
    })
    expect(told).toEqual([150, 300, 330, 360, 380, 400, 550, 700, 730, 760, 780, 800])
    for (const [i, result] of alone.entries()) {
      const { context, commonBitsPerSample, commonStandardError } = whole[i]!
      expect(result).toMatchObject({ context, samples: 700, standardError: null })
      expect([result.bitsPerSample, result.natsPerSample]).toEqual([null, null])
      expect(result.commonBitsPerSample).toBeCloseTo(commonBitsPerSample, 6)
      expect(result.commonStandardError).toBeCloseTo(commonStandardError!, 6)
      expect(result.samplesPerSecond).toBeCloseTo(400 / result.seconds, 6)
      for (const [j, piece] of result.pieces.entries()) {
        const { name, samples, commonSamples, ...expected } = whole[i]!.pieces[j]!
        expect(piece).toMatchObject({ name, samples, commonSamples })
        expect(piece.commonBitsPerSample).toBeCloseTo(expected.commonBitsPerSample, 6)
        expect(piece).toMatchObject({
          ...{ bitsPerSample: null, fullContextBits: null, shortHistoryBits: null },
          ...{ fullContextSamples: 0, shortHistorySamples: 0 },
        })
      }
    }
  })

  it('of one context alone begins after it, and of a single sample with it', async () => {
    const [a, one] = (
      await evaluate(MODEL, scorer, [pieces[0]!, recording('one', 1)], [50], { onlyCommon: true })
    )[0]!.pieces
    expect([a!.commonSamples, one!.commonSamples]).toEqual([450, 1])
    expect([a!.bitsPerSample, one!.bitsPerSample]).toEqual([null, null])
  })

  it('refuses scores that are not numbers, and names the piece', async () => {
    const broken: Scorer = { ...scorer, score: async () => Float32Array.of(1, Number.NaN) }
    const run = evaluate(MODEL, broken, [recording('the piece', 2)], [50])
    await expect(run).rejects.toThrow(ScoreError)
    await expect(run).rejects.toThrow('the piece')
  })

  it.each([[[]], [[0]], [[-5]], [[1.5]], [[Number.NaN]]])(
    'refuses the contexts %j',
    async (contexts) => {
      await expect(evaluate(MODEL, scorer, pieces, contexts)).rejects.toThrow(UsageError)
    },
  )

  it('refuses to score nothing', async () => {
    await expect(evaluate(MODEL, scorer, [], [50])).rejects.toThrow(UsageError)
  })
})

describe('what needs no training', () => {
  const { table } = quantizer('mu-law')
  const pieces = [recording('a', 400), recording('b', 90, 2)]

  it('is scored over the same samples and the same common targets', () => {
    const told: string[] = []
    const found = baselines(pieces, table, 200, (name) => told.push(name))
    const bits = pieces.map((piece) => [
      ...linearBits(piece.codes(), table, strongPredictor()).perSample,
    ])
    expect(told).toEqual(['a', 'b'])
    expect(found.uniform).toBe(8)
    expect(found.orderZero).toBe(orderZeroBits(pieces.map((piece) => piece.codes())))
    expect(found.orderZero).toBeGreaterThan(5) // 40 levels alike: 5.3 bits
    expect(found.orderZero).toBeLessThan(5.33)
    expect(found.strongPredictor).toBeCloseTo(mean(bits.flat()), 6)
    const common = [...bits[0]!.slice(200), ...bits[1]!.slice(45)]
    expect(found.commonStrongPredictor).toBeCloseTo(mean(common), 6)
    const alone = pieces.map((piece) => [
      ...linearBits(piece.codes(), table, plainPredictor(32)).perSample,
    ])
    expect(found.linearPredictor).toBeCloseTo(mean(alone.flat()), 6)
  })
})

describe('the table', () => {
  it('shows every context beside the references, and every piece', async () => {
    const pieces = [recording('first', 500), recording('second', 120, 2)]
    const results = await evaluate(MODEL, scorer, pieces, [50, 200])
    const beside = {
      uniform: 8,
      orderZero: 6.25,
      linearPredictor: 4.5,
      commonLinearPredictor: 4.25,
      strongPredictor: 4,
      commonStrongPredictor: 3.75,
    }
    const text = formatEvaluation(results, beside)
    expect(text).toContain('toy, 1234 parameters; 2 pieces, 620 samples')
    expect(text).toMatch(/^ +bits\/sample +\+- +nats +same targets +\+- +samples\/s$/m)
    const [first] = results
    const figures = [first!.bitsPerSample!, first!.standardError!, first!.natsPerSample!]
    expect(text).toMatch(
      new RegExp(`^context 50 +${figures.map((x) => x.toFixed(4)).join(' +')}`, 'm'),
    )
    expect(text).toMatch(/^linear predictor, order 32 +4\.5000 +- +3\.1192 +4\.2500 +- +-$/m)
    expect(text).toMatch(/^order-0 entropy +6\.2500 +- +4\.3322 +- +- +-$/m)
    expect(text).toMatch(/^uniform +8\.0000/m)
    expect(text).toMatch(/^context 200 +[\d.]+ +300 +[\d.]+ +320$/m)
    expect(text).toMatch(/^second +120 +[\d.]+ +[\d.]+$/m)
    for (const line of text.split('\n')) expect(line).not.toMatch(/NaN|undefined|null| $/)
  })

  it('of the common targets alone leaves out what was not scored', async () => {
    const pieces = [recording('first', 500), recording('second', 120, 2)]
    const results = await evaluate(MODEL, scorer, pieces, [50, 200], { onlyCommon: true })
    const beside = {
      ...{ uniform: 8, orderZero: 6.25, linearPredictor: 4.5, commonLinearPredictor: 4.25 },
      ...{ strongPredictor: 4, commonStrongPredictor: 3.75 },
    }
    const text = formatEvaluation(results, beside)
    expect(text).toContain('2 pieces, 360 of 620 samples')
    expect(text).toMatch(/^ +same targets +\+- +samples\/s$/m)
    const { commonBitsPerSample, commonStandardError } = results[1]!
    const figures = [commonBitsPerSample, commonStandardError!]
    expect(text).toMatch(
      new RegExp(`^context 200 +${figures.map((x) => x.toFixed(4)).join(' +')} +\\d+$`, 'm'),
    )
    expect(text).toMatch(/^strong predictor, order 160 +3\.7500 +- +-$/m)
    expect(text).toMatch(/^second +60 +[\d.]+ +[\d.]+$/m)
    expect(text).not.toMatch(/order-0|uniform|full context|NaN|undefined|null| $/m)
  })

  it('of one context and one piece compares nothing', async () => {
    const results = await evaluate(MODEL, scorer, [recording('one', 300)], [50])
    const text = formatEvaluation(results, null)
    expect(text).toContain('1 piece, 300 samples')
    expect(text).not.toContain('same targets')
    expect(text).not.toContain('linear predictor')
  })
})
