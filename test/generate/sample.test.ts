import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/base/errors.js'
import { NOTHING } from '../../src/base/exp.js'
import { Random } from '../../src/base/random.js'
import { NoDistributionError, type Sampling, sampleCode } from '../../src/generate/index.js'

/** Random numbers of which the next is known. */
const next = (uniform: number) => ({ uniform: () => uniform }) as Random

const logitsOf = (...probabilities: number[]) => Float32Array.from(probabilities, Math.log)

/** How often each code comes for evenly spread random numbers. */
function shares(logits: Float32Array, sampling: Sampling, draws = 1000): number[] {
  const counts = new Array<number>(logits.length).fill(0)
  for (let i = 0; i < draws; i++) counts[sampleCode(logits, sampling, next((i + 0.5) / draws))]!++
  return counts.map((n) => n / draws)
}

const FOUR = logitsOf(0.1, 0.4, 0.2, 0.3)

describe('a drawn code', () => {
  it('follows the distribution of the model at temperature 1', () => {
    expect(shares(FOUR, { temperature: 1 })).toEqual([0.1, 0.4, 0.2, 0.3])
  })

  it('is laid out by rising code', () => {
    const draw = (u: number) => sampleCode(FOUR, { temperature: 1 }, next(u))
    expect([0, 0.09, 0.11, 0.49, 0.51, 0.69, 0.71, 0.999999].map(draw)).toEqual([
      0, 0, 1, 1, 2, 2, 3, 3,
    ])
  })

  it('follows powers of the probabilities at other temperatures', () => {
    // squares of 1, 4, 2, 3 over their sum 30
    const [a, b, c, d] = shares(FOUR, { temperature: 0.5 }, 3000)
    for (const [share, square] of [
      [a, 1],
      [b, 16],
      [c, 4],
      [d, 9],
    ] as const) {
      expect(share).toBeCloseTo(square / 30, 3)
    }
  })

  it('is the likeliest at temperature 0, of equals the lowest', () => {
    expect(sampleCode(FOUR, { temperature: 0 }, next(0.99))).toBe(1)
    expect(sampleCode(logitsOf(0.2, 0.4, 0.4), { temperature: 0 }, next(0.99))).toBe(1)
  })

  it('is one of the top k, in their proportions', () => {
    expect(shares(FOUR, { temperature: 1, topK: 2 }, 700)).toEqual([0, 4 / 7, 0, 3 / 7])
    expect(shares(FOUR, { temperature: 1, topK: 256 })).toEqual([0.1, 0.4, 0.2, 0.3])
    const equal = logitsOf(0.25, 0.25, 0.25, 0.25)
    expect(shares(equal, { temperature: 1, topK: 2 })).toEqual([0.5, 0.5, 0, 0])
  })

  it('is one of the fewest that hold the share of top p, the one that reaches it included', () => {
    expect(shares(FOUR, { temperature: 1, topP: 0.39 })).toEqual([0, 1, 0, 0])
    expect(shares(FOUR, { temperature: 1, topP: 0.41 }, 700)).toEqual([0, 4 / 7, 0, 3 / 7])
    expect(shares(FOUR, { temperature: 1, topP: 1 })).toEqual([0.1, 0.4, 0.2, 0.3])
  })

  it('meets top p after top k', () => {
    // of 4/7 and 3/7 the first holds half
    expect(shares(FOUR, { temperature: 1, topK: 2, topP: 0.5 })).toEqual([0, 1, 0, 0])
  })

  it('with top k = 1 is that of temperature 0, for any logits', () => {
    const anyLogits = fc.float32Array({
      minLength: 1,
      maxLength: 256,
      noNaN: true,
      min: -50,
      max: 50,
    })
    fc.assert(
      fc.property(
        anyLogits,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (x, u) => {
          const greedy = sampleCode(x, { temperature: 0 }, next(u))
          expect(sampleCode(x, { temperature: 1.7, topK: 1 }, next(u))).toBe(greedy)
          expect(sampleCode(x, { temperature: 1.7, topP: 1e-9 }, next(u))).toBe(greedy)
        },
      ),
    )
  })

  it('never has a probability of 0', () => {
    const x = Float32Array.of(Number.NEGATIVE_INFINITY, 0, Number.NEGATIVE_INFINITY)
    expect(shares(x, { temperature: 1 })).toEqual([0, 1, 0])
  })

  it('takes one random number, whatever the options', () => {
    const options: Sampling[] = [
      { temperature: 0 },
      { temperature: 1 },
      { temperature: 2, topK: 3 },
      { temperature: 0.5, topP: 0.3 },
      { temperature: 1, topK: 1 },
    ]
    for (const sampling of options) {
      const random = new Random(1)
      sampleCode(FOUR, sampling, random)
      expect(random.state.drawn).toBe(2) // two uint32 make one uniform number
    }
  })
})

/** The rules as they are written, with a sort and all probabilities. */
function plainly(logits: Float32Array, sampling: Sampling, chosen: number): number {
  const { temperature, topK = logits.length, topP = 1 } = sampling
  const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b)
  if (temperature === 0) return order[0]!
  const weight = (code: number) => {
    const x = (logits[code]! - logits[order[0]!]!) / temperature
    return x >= NOTHING ? Math.exp(x) : 0
  }
  const sum = (codes: readonly number[]) => codes.reduce((all, code) => all + weight(code), 0)
  let kept = order.slice(0, topK)
  if (topP < 1) {
    const enough = topP * sum(kept)
    kept = kept.slice(0, 1 + kept.findIndex((_, i) => sum(kept.slice(0, i + 1)) >= enough))
  }
  kept.sort((a, b) => a - b)
  let left = chosen * sum(kept)
  for (const code of kept) {
    left -= weight(code)
    if (left < 0) return code
  }
  return kept.at(-1)!
}

describe('a drawn code of any distribution', () => {
  it('is the one that the rules give', () => {
    // few values, so that there are equals
    const logit = fc.oneof(
      fc.integer({ min: -3, max: 3 }),
      fc.float({ min: -30, max: 3, noNaN: true }),
    )
    const sampling = fc.record(
      {
        temperature: fc.constantFrom(0, 0.3, 0.9, 1, 1.7),
        topK: fc.integer({ min: 1, max: 300 }),
        topP: fc.constantFrom(0.05, 0.33, 0.8, 0.97, 1),
      },
      { requiredKeys: ['temperature'] },
    )
    const levels = fc.array(logit, { minLength: 1, maxLength: 300 })
    const chosen = fc.double({ min: 0, max: 0.999999, noNaN: true })
    fc.assert(
      fc.property(levels, sampling, chosen, (numbers, wish, u) => {
        const logits = Float32Array.from(numbers)
        expect(sampleCode(logits, wish, next(u))).toBe(plainly(logits, wish, u))
      }),
      { numRuns: 2000, seed: 1 },
    )
  })
})

describe('what cannot be drawn from', () => {
  it.each([
    [{ temperature: -1 }, 'temperature'],
    [{ temperature: Number.NaN }, 'temperature'],
    [{ temperature: Number.POSITIVE_INFINITY }, 'temperature'],
    [{ temperature: 1, topK: 0 }, 'topK'],
    [{ temperature: 1, topK: 1.5 }, 'topK'],
    [{ temperature: 1, topP: 0 }, 'topP'],
    [{ temperature: 1, topP: 1.1 }, 'topP'],
  ])('%j is a usage error that names %s', (sampling, option) => {
    const draw = () => sampleCode(FOUR, sampling, next(0))
    expect(draw).toThrow(UsageError)
    expect(draw).toThrow(option)
  })

  it.each([
    [[0, Number.NaN]],
    [[0, Number.POSITIVE_INFINITY]],
    [[Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]],
  ])('logits %j are an error of the model', (logits) => {
    for (const temperature of [0, 1]) {
      const draw = () => sampleCode(Float32Array.from(logits), { temperature }, next(0))
      expect(draw).toThrow(NoDistributionError)
    }
  })
})
