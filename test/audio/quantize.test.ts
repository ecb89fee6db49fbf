import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QUANTIZER_NAMES, quantizer, SILENCE } from '../../src/audio/index.js'

const allCodes = Uint8Array.from({ length: 256 }, (_, code) => code)
const sample = fc.float({ min: -1, max: 1, noNaN: true })

describe.each(QUANTIZER_NAMES)('the %s quantizer', (name) => {
  const q = quantizer(name)

  it('gives every code back after decoding it', () => {
    expect(q.encode(q.decode(allCodes))).toEqual(allCodes)
  })

  it('makes silence code 128, which decodes to exactly 0', () => {
    expect([...q.encode(Float32Array.of(0, -0))]).toEqual([SILENCE, SILENCE])
    expect(q.decode(Uint8Array.of(SILENCE))[0]).toBe(0)
  })

  it('has a table that rises from -1 and is what decode returns', () => {
    expect(q.table).toHaveLength(q.levels)
    expect(q.table[0]).toBe(-1)
    for (let code = 1; code < 256; code++)
      expect(q.table[code]!).toBeGreaterThan(q.table[code - 1]!)
    expect(q.decode(allCodes)).toEqual(q.table)
  })

  it('is odd: code 128 + k and code 128 - k are opposite samples', () => {
    for (let k = 1; k < 128; k++) expect(q.table[128 + k]!).toBe(-q.table[128 - k]!)
  })

  it('never lowers the code when the sample rises', () => {
    fc.assert(
      fc.property(sample, sample, (a, b) => {
        const codes = q.encode(Float32Array.of(Math.min(a, b), Math.max(a, b)))
        expect(codes[0]!).toBeLessThanOrEqual(codes[1]!)
      }),
    )
  })

  it('clamps samples beyond full scale', () => {
    const beyond = Float32Array.of(1, 1.5, Infinity, -1, -1.5, -Infinity)
    expect([...q.encode(beyond)]).toEqual([255, 255, 255, 0, 0, 0])
  })
})

describe('quantization error', () => {
  it('of linear is half a step of 1/128, a whole one at the top', () => {
    const q = quantizer('linear')
    fc.assert(
      fc.property(sample, (x) => {
        const error = Math.abs(q.decode(q.encode(Float32Array.of(x)))[0]! - x)
        expect(error).toBeLessThanOrEqual(x > 127.5 / 128 ? 1 / 128 : 0.5 / 128)
      }),
    )
  })

  it('of mu-law is at most 2.2% of the sample plus 0.0001, and twice that at the top', () => {
    const q = quantizer('mu-law')
    fc.assert(
      fc.property(sample, (x) => {
        const error = Math.abs(q.decode(q.encode(Float32Array.of(x)))[0]! - x)
        const bound = 0.022 * Math.abs(x) + 0.0001
        expect(error).toBeLessThanOrEqual(x > q.table[255]! ? 2 * bound : bound)
      }),
    )
  })
})

it('a quantizer of another name is a usage error that lists the names', () => {
  expect(() => quantizer('a-law')).toThrow('There is no quantizer named "a-law"')
  expect(() => quantizer('toString')).toThrow('There is no quantizer')
})
