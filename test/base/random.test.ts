import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Random, threefry2x32 } from '../../src/base/random.js'

const seeds = fc.integer({ min: 0, max: 0xffff_ffff })

describe('threefry2x32', () => {
  // kat_vectors of Random123, lines "threefry2x32 20"
  it.each([
    [
      [0x00000000, 0x00000000],
      [0x00000000, 0x00000000],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x13198a2e, 0x03707344],
      [0x243f6a88, 0x85a308d3],
      [0xc4923a9c, 0x483df7a0],
    ],
  ])('gives the published answer for key %j', (key, counter, answer) => {
    const out = new Uint32Array(2)
    threefry2x32(key[0]!, key[1]!, counter[0]!, counter[1]!, out)
    expect([...out]).toEqual(answer)
  })
})

describe('Random', () => {
  it('reads the blocks of the cipher in order, seed and stream as the key', () => {
    const random = new Random(0x13198a2e, 0x03707344)
    const out = new Uint32Array(2)
    for (let block = 0; block < 5; block++) {
      threefry2x32(0x13198a2e, 0x03707344, block, 0, out)
      expect([random.uint32(), random.uint32()]).toEqual([...out])
    }
  })

  it('carries into the upper half of the counter after 2^33 numbers', () => {
    const out = new Uint32Array(2)
    threefry2x32(5, 6, 0, 1, out)
    const random = new Random(5, 6, 2 ** 33)
    expect([random.uint32(), random.uint32()]).toEqual([...out])
    threefry2x32(5, 6, 0xffff_ffff, 0, out)
    expect(new Random(5, 6, 2 ** 33 - 1).uint32()).toBe(out[1])
  })

  it('goes on from its state as if it had never stopped, after any draws', () => {
    const draw = fc.constantFrom<('uint32' | 'uniform' | 'normal')[]>('uint32', 'uniform', 'normal')
    fc.assert(
      fc.property(seeds, seeds, fc.array(draw, { maxLength: 20 }), (seed, stream, draws) => {
        const random = new Random(seed, stream)
        for (const kind of draws) random[kind]()
        const saved = JSON.parse(JSON.stringify(random.state)) as typeof random.state
        const again = Random.from(saved)
        for (const kind of ['uint32', 'normal', 'uniform', 'uint32'] as const) {
          expect(again[kind]()).toBe(random[kind]())
        }
        expect(again.state).toEqual(random.state)
      }),
      { seed: 1 },
    )
  })

  it('gives other numbers for another seed or stream', () => {
    const first = (seed: number, stream: number) => {
      const random = new Random(seed, stream)
      return Array.from({ length: 4 }, () => random.uint32()).join()
    }
    fc.assert(
      fc.property(seeds, seeds, seeds, (a, b, stream) => {
        fc.pre(a !== b)
        expect(first(a, stream)).not.toBe(first(b, stream))
        expect(first(stream, a)).not.toBe(first(stream, b))
      }),
      { seed: 2 },
    )
  })

  it('is uniform: moments, bits and the spread over equal bins', () => {
    const n = 64_000
    const random = new Random(3)
    const bins = new Array<number>(64).fill(0)
    let mean = 0
    let square = 0
    let outside = 0
    for (let i = 0; i < n; i++) {
      const u = random.uniform()
      if (!(u >= 0 && u < 1)) outside++
      mean += u / n
      square += (u * u) / n
      bins[Math.floor(u * 64)]!++
    }
    expect(outside).toBe(0)
    // five standard errors
    expect(Math.abs(mean - 1 / 2)).toBeLessThan(5 * Math.sqrt(1 / 12 / n))
    expect(Math.abs(square - 1 / 3)).toBeLessThan(5 * Math.sqrt(4 / 45 / n))
    // chi squared with 63 degrees of freedom: 127 has a probability of 4e-6
    const chi2 = bins.reduce((sum, count) => sum + (count - n / 64) ** 2 / (n / 64), 0)
    expect(chi2).toBeLessThan(127)
    expect(chi2).toBeGreaterThan(21)

    const ones = new Array<number>(32).fill(0)
    for (let i = 0; i < 16_000; i++) {
      const bits = random.uint32()
      for (let b = 0; b < 32; b++) ones[b]! += (bits >>> b) & 1
    }
    for (const count of ones) expect(Math.abs(count - 8000)).toBeLessThan(5 * Math.sqrt(4000))
  })

  it('draws integers below a bound, each about equally often', () => {
    const random = new Random(4)
    const counts = new Array<number>(7).fill(0)
    for (let i = 0; i < 14_000; i++) counts[random.below(7)]!++
    expect(counts).toHaveLength(7)
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(5 * Math.sqrt(2000))
  })

  it('draws normal numbers of mean 0, variance 1 and fourth moment 3', () => {
    const n = 40_000
    const random = new Random(5)
    const moments = [0, 0, 0, 0]
    for (let i = 0; i < n; i++) {
      const x = random.normal() // one that is not finite spoils every moment
      for (let k = 0; k < 4; k++) moments[k]! += x ** (k + 1) / n
    }
    // five standard errors: the variances of x, x^2, x^3 and x^4 are 1, 2, 15 and 96
    const expected = [0, 1, 0, 3]
    for (const [k, variance] of [1, 2, 15, 96].entries()) {
      const error = Math.abs(moments[k]! - expected[k]!)
      expect(error).toBeLessThan(5 * Math.sqrt(variance / n))
    }
  })

  it('permutes: every index once, and every place equally likely', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 0, max: 50 }), (seed, n) => {
        const order = new Random(seed).permutation(n)
        expect([...order].sort((a, b) => a - b)).toEqual([...Array(n).keys()])
      }),
      { seed: 6 },
    )
    const random = new Random(7)
    const seen = new Map<string, number>()
    for (let i = 0; i < 6000; i++) {
      const key = random.permutation(3).join()
      seen.set(key, (seen.get(key) ?? 0) + 1)
    }
    expect(seen.size).toBe(6)
    for (const count of seen.values()) {
      expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(1000))
    }
  })
})
