import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { expDown, NOTHING } from '../../src/base/exp.js'

describe('expDown', () => {
  it('is e^x to the last digits', () => {
    fc.assert(
      fc.property(fc.double({ min: NOTHING, max: 0, noNaN: true }), (x) => {
        expect(Math.abs(expDown(x) / Math.exp(x) - 1)).toBeLessThan(1e-15)
      }),
      { numRuns: 5000 },
    )
  })

  it('ends where a double does not tell it beside 1', () => {
    expect(expDown(0)).toBe(1)
    expect(expDown(-0)).toBe(1)
    expect(expDown(NOTHING)).toBeGreaterThan(0)
    expect(1 + expDown(NOTHING)).toBe(1)
    for (const x of [NOTHING - 1e-9, -1e300, Number.NEGATIVE_INFINITY, Number.NaN]) {
      expect(expDown(x)).toBe(0)
    }
  })

  it('gives the same bits in every runtime', () => {
    // a golden sum of thousands of values
    let sum = 0
    for (let x = 0; x > NOTHING; x -= 0.0078125) sum += expDown(x)
    expect(sum).toBe(GOLDEN)
  })
})

const GOLDEN = 128.50065104100287
