import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { plainPredictor, quantizer, strongPredictor } from '../../src/audio/index.js'
import { UsageError } from '../../src/base/errors.js'
import { Random } from '../../src/base/random.js'
import {
  codeCounts,
  linearBits,
  linearModel,
  orderZeroBits,
  uniformBits,
} from '../../src/eval/reference.js'

const muLaw = quantizer('mu-law')
const linear = quantizer('linear')

const strongBits = (codes: Uint8Array, table: Float32Array) =>
  linearBits(codes, table, strongPredictor())

const noise = (n: number, seed = 1) => {
  const random = new Random(seed)
  return Uint8Array.from({ length: n }, () => random.below(256))
}

describe('uniformBits', () => {
  it('is 8 for 256 levels', () => {
    expect(uniformBits()).toBe(8)
    expect(uniformBits(2)).toBe(1)
  })
})

describe('orderZeroBits', () => {
  it('is the entropy of the codes of all pieces together', () => {
    expect(orderZeroBits([Uint8Array.of(3, 3), Uint8Array.of(9, 9)])).toBe(1)
    expect(orderZeroBits([Uint8Array.of(5, 5, 5)])).toBe(0)
    expect(orderZeroBits([Uint8Array.from({ length: 512 }, (_, i) => i)])).toBe(8)
    const skewed = orderZeroBits([Uint8Array.of(0, 0, 0, 1)])
    expect(skewed).toBeCloseTo(0.75 * Math.log2(4 / 3) + 0.25 * 2, 12)
  })

  it('under training counts is never below it, and finite for a level that was never seen', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 50 }),
        fc.uint8Array({ maxLength: 50 }),
        (codes, train) => {
          const cross = orderZeroBits([codes], codeCounts([train]))
          expect(cross).toBeGreaterThanOrEqual(orderZeroBits([codes]) - 1e-12)
          expect(cross).toBeLessThan(8 + Math.log2(1 + train.length / 128) + 1e-9)
        },
      ),
    )
    expect(orderZeroBits([Uint8Array.of(7)], codeCounts([]))).toBeCloseTo(8, 12)
  })

  it('refuses no codes and counts of another size', () => {
    expect(() => orderZeroBits([])).toThrow(UsageError)
    expect(() => orderZeroBits([new Uint8Array(0)])).toThrow(UsageError)
    expect(() => orderZeroBits([Uint8Array.of(1)], [1, 2])).toThrow(UsageError)
  })
})

describe('linearBits', () => {
  it('is about 8 on noise without any order, and not below', () => {
    const { bits } = strongBits(noise(30_000), muLaw.table)
    expect(bits).toBeGreaterThan(7.99)
    expect(bits).toBeLessThan(8.06)
  })

  it('is near 0 on a constant, and on silence', () => {
    for (const code of [0, 128, 200, 255]) {
      const codes = new Uint8Array(10_000).fill(code)
      const { bits, perSample } = strongBits(codes, muLaw.table)
      expect(bits).toBeLessThan(0.05)
      expect(perSample[9_999]).toBeLessThan(0.003)
    }
  })

  it.each([
    [1.8, -0.95, 0.006],
    [0.9, -0.5, 0.04],
    [-1.2, -0.6, 0.02],
  ])('is near the entropy of the noise of an AR(2) process (%f, %f)', (a, b, sigma) => {
    const random = new Random(5)
    const samples = new Float32Array(40_000)
    for (let i = 2; i < samples.length; i++) {
      samples[i] = a * samples[i - 1]! + b * samples[i - 2]! + sigma * random.normal()
    }
    expect(samples.every((x) => Math.abs(x) < 1)).toBe(true)
    // what rounding adds to the noise: an error of 1 / 128 / sqrt(12) in each of the three values
    const rounding = ((1 + a * a + b * b) * (1 / 128) ** 2) / 12
    const spread = Math.sqrt(2 * Math.PI * Math.E * (sigma * sigma + rounding))
    const entropy = Math.log2(spread * 128)
    const { bits } = linearBits(linear.encode(samples), linear.table, plainPredictor(32))
    expect(bits).toBeLessThan(entropy + 0.05)
    expect(bits).toBeGreaterThan(Math.log2(Math.sqrt(2 * Math.PI * Math.E) * sigma * 128) - 0.02)
    // filters that are not needed cost little
    const full = strongBits(linear.encode(samples), linear.table)
    expect(full.bits).toBeLessThan(entropy + 0.12)
  })

  it('is far below the order-0 entropy on decaying mu-law tones', () => {
    const samples = Float32Array.from({ length: 32_000 }, (_, i) => {
      const t = i / 16_000
      const tones = [220, 277.2, 329.6, 440].map((f) => Math.sin(2 * Math.PI * f * t + f))
      return 0.2 * Math.exp(-2 * (t % 0.5)) * tones.reduce((x, y) => x + y)
    })
    const codes = muLaw.encode(samples)
    const { bits } = strongBits(codes, muLaw.table)
    expect(bits).toBeLessThan(orderZeroBits([codes]) - 5)
  })

  it('of a sample depends on nothing that comes later', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.uint8Array({ maxLength: 40 }),
        (past, one, other) => {
          const bitsWith = (future: Uint8Array) =>
            linearBits(Uint8Array.of(...past, ...future), muLaw.table, plainPredictor(4)).perSample
          const [a, b] = [bitsWith(one), bitsWith(other)]
          expect(a.subarray(0, past.length)).toEqual(b.subarray(0, past.length))
        },
      ),
      { numRuns: 50 },
    )
    const codes = noise(3000)
    const changed = codes.map((code, i) => (i < 2000 ? code : 255 - code))
    const of = (piece: Uint8Array) => strongBits(piece, muLaw.table).perSample
    expect(of(codes).subarray(0, 2000)).toEqual(of(changed).subarray(0, 2000))
  })

  it('is the mean of what it tells per sample, and the same each time', () => {
    const codes = muLaw.encode(Float32Array.from({ length: 5000 }, (_, i) => Math.sin(i / 9) / 2))
    const { bits, perSample } = strongBits(codes, muLaw.table)
    expect(perSample.length).toBe(codes.length)
    const mean = perSample.reduce((sum, b) => sum + b, 0) / codes.length
    expect(bits).toBeCloseTo(mean, 5)
    expect(strongBits(codes, muLaw.table)).toEqual({ bits, perSample })
  })

  it('starts at the 8 bits of no knowledge, give or take the shape of the table', () => {
    const { perSample } = strongBits(Uint8Array.of(128), linear.table)
    expect(perSample[0]).toBeGreaterThan(2)
    expect(perSample[0]).toBeLessThan(10)
  })

  it('is finite and bounded by its floor for any codes, loud, square or silent', () => {
    const run = fc.tuple(
      fc.nat({ max: 255 }),
      fc.nat({ max: 255 }),
      fc.integer({ min: 1, max: 90 }),
    )
    fc.assert(
      fc.property(
        fc.array(run, { minLength: 1, maxLength: 30 }),
        fc.boolean(),
        (runs, companded) => {
          const codes = runs.flatMap(([low, high, n]) => [
            ...Array(n).fill(low),
            ...Array(n).fill(high),
          ])
          const { table } = companded ? muLaw : linear
          const { perSample } = strongBits(Uint8Array.from(codes), table)
          expect(perSample.find((b) => !(b >= 0 && b < 21.5))).toBeUndefined()
        },
      ),
      { numRuns: 40 },
    )
  })

  it('refuses no codes, and a table that does not rise', () => {
    const codes = Uint8Array.of(1, 2)
    expect(() => strongBits(new Uint8Array(0), muLaw.table)).toThrow(UsageError)
    expect(() => strongBits(codes, new Float32Array(256))).toThrow(UsageError)
    expect(() => strongBits(codes, muLaw.table.subarray(1))).toThrow(UsageError)
  })
})

describe('linearModel', () => {
  it('gives probabilities above 0 that sum to 1, whatever came before', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (past, companded) => {
        const model = linearModel((companded ? muLaw : linear).table, strongPredictor())
        for (const code of past) model.update(code)
        const p = Array.from({ length: 256 }, (_, code) => model.probability(code))
        expect(Math.min(...p)).toBeGreaterThan(0)
        expect(p.reduce((a, b) => a + b)).toBeCloseTo(1, 10)
      }),
    )
  })

  it('charges a code exactly what it promised', () => {
    const model = linearModel(muLaw.table, strongPredictor())
    const codes = noise(300, 2)
    const { perSample } = strongBits(codes, muLaw.table)
    codes.forEach((code, i) => {
      const promised = model.probability(code)
      model.probability((code + 1) % 256)
      expect(model.update(code)).toBe(promised)
      expect(perSample[i]).toBe(Math.fround(-Math.log2(promised)))
    })
  })
})
