import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { downmix, Resampler, resample } from '../../src/audio/index.js'
import { rmsDifference, sine } from './signals.js'

/** Level of `a` against a full-scale sine, in dB. */
const db = (rms: number) => 20 * Math.log10(rms * Math.SQRT2)

const RATIOS: [number, number][] = [
  [44100, 16000],
  [48000, 16000],
  [16000, 44100],
  [8000, 16000],
  [22050, 16000],
  [11025, 8000],
  [96000, 16000],
  [44099, 16001], // no small bank: interpolated
  [44100, 16000.5],
  [16000, 15999.9],
]

describe('resampling', () => {
  it.each(RATIOS)('%d to %d Hz keeps sines of the pass band to -80 dB', (from, to) => {
    const nyquist = Math.min(from, to) / 2
    for (const share of [0.01, 0.3, 0.6, 0.85]) {
      const hz = share * nyquist
      const out = resample(sine(Math.round(from * 0.2), hz, from, 1), from, to)
      const expected = sine(out.length, hz, to, 1)
      const edge = Math.round(0.06 * to)
      const error = rmsDifference(out, expected, edge, out.length - edge)
      expect(db(error), `${hz} Hz`).toBeLessThan(-80)
    }
  })

  it.each(RATIOS.filter(([from, to]) => from > to))(
    '%d to %d Hz removes what would alias, to -80 dB',
    (from, to) => {
      for (const above of [1.001, 1.05, 1.5]) {
        const hz = (above * to) / 2
        if (hz >= from / 2) continue
        const out = resample(sine(Math.round(from * 0.2), hz, from, 1), from, to)
        const edge = Math.round(0.06 * to)
        const level = rmsDifference(out, new Float32Array(out.length), edge, out.length - edge)
        expect(db(level), `${hz} Hz`).toBeLessThan(-80)
      }
    },
  )

  it('removes images when the rate rises', () => {
    const out = resample(sine(3200, 3000, 8000, 1), 8000, 16000)
    const expected = sine(out.length, 3000, 16000, 1)
    expect(db(rmsDifference(out, expected, 800, out.length - 800))).toBeLessThan(-80)
  })

  it('returns round(n * to / from) samples for any length', () => {
    const rate = fc.integer({ min: 1000, max: 96000 })
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 500 }), rate, rate, (n, from, to) => {
        expect(resample(new Float32Array(n), from, to)).toHaveLength(Math.round((n * to) / from))
      }),
      { numRuns: 60 },
    )
  })

  it('gives the same bits for any split into blocks', () => {
    const input = sine(3000, 700, 44100)
    const blocks = fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 12 })
    for (const to of [16000, 48000, 16000.5]) {
      const whole = resample(input, 44100, to)
      fc.assert(
        fc.property(blocks, (sizes) => {
          const resampler = new Resampler(44100, to)
          const parts: number[] = []
          let at = 0
          for (const size of sizes) {
            parts.push(...resampler.push(input.subarray(at, at + size)))
            at = Math.min(input.length, at + size)
          }
          parts.push(...resampler.push(input.subarray(at)), ...resampler.flush())
          expect(Float32Array.from(parts)).toEqual(whole)
        }),
        { numRuns: 20 },
      )
    }
  })

  it('has no delay and is symmetric: an impulse stays where it is', () => {
    const input = new Float32Array(401)
    input[200] = 1
    const out = resample(input, 16000, 32000)
    const peak = out.indexOf(Math.max(...out))
    expect(peak).toBe(400)
    for (let k = 1; k < 200; k++) expect(out[400 + k]!).toBeCloseTo(out[400 - k]!, 7)
  })

  it('keeps a constant inside', () => {
    const out = resample(new Float32Array(4000).fill(0.5), 44100, 16000)
    for (const sample of out.subarray(200, -200)) expect(sample).toBeCloseTo(0.5, 7)
  })

  it('at equal rates copies', () => {
    const input = Float32Array.of(1, -1, 0.5)
    const out = resample(input, 16000, 16000)
    expect(out).toEqual(input)
    expect(out).not.toBe(input)
  })

  it('refuses rates that are not positive numbers', () => {
    for (const rate of [0, -1, Number.NaN, Infinity]) {
      expect(() => resample(new Float32Array(1), rate, 16000)).toThrow('positive number')
      expect(() => resample(new Float32Array(1), 16000, rate)).toThrow('positive number')
      expect(() => resample(new Float32Array(1), rate, rate)).toThrow('positive number')
    }
  })
})

describe('downmix', () => {
  it('is the mean of the channels', () => {
    const channels = [Float32Array.of(1, 0.5), Float32Array.of(-1, 0.5), Float32Array.of(0.75, 0.5)]
    expect([...downmix(channels)]).toEqual([0.25, 0.5])
  })

  it('returns one channel as it is, and nothing for none', () => {
    const channel = Float32Array.of(0.1)
    expect(downmix([channel])).toBe(channel)
    expect(downmix([])).toHaveLength(0)
  })
})
