import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { realFft, spectrogram } from '../../src/audio/spectrum.js'
import { UsageError } from '../../src/base/errors.js'
import { Random } from '../../src/base/random.js'

function transform(input: ArrayLike<number>) {
  const n = input.length
  const re = new Float64Array(n / 2 + 1)
  const im = new Float64Array(n / 2 + 1)
  realFft(n)(Float64Array.from(input), re, im)
  return { re, im }
}

/** The definition, term by term. */
function definition(input: ArrayLike<number>) {
  const n = input.length
  const sum = (k: number, f: (x: number) => number) =>
    Array.from(input).reduce((total, x, i) => total + x * f((2 * Math.PI * k * i) / n), 0)
  const bins = Array.from({ length: n / 2 + 1 }, (_, k) => k)
  return { re: bins.map((k) => sum(k, Math.cos)), im: bins.map((k) => -sum(k, Math.sin)) }
}

const signals = fc.integer({ min: 1, max: 8 }).chain((log) =>
  fc.array(fc.double({ min: -1, max: 1, noNaN: true }), {
    minLength: 2 ** log,
    maxLength: 2 ** log,
  }),
)

describe('realFft', () => {
  it('is the sum that defines it', () => {
    fc.assert(
      fc.property(signals, (signal) => {
        const got = transform(signal)
        const expected = definition(signal)
        expected.re.forEach((x, k) => {
          expect(Math.abs(got.re[k]! - x)).toBeLessThan(1e-11)
          expect(Math.abs(got.im[k]! - expected.im[k]!)).toBeLessThan(1e-11)
        })
      }),
    )
  })

  it('keeps the energy (Parseval) at a large size', () => {
    const random = new Random(4)
    const signal = Float64Array.from({ length: 16384 }, () => random.normal())
    const { re, im } = transform(signal)
    const power = (k: number) => re[k]! ** 2 + im[k]! ** 2
    let energy = power(0) + power(8192)
    for (let k = 1; k < 8192; k++) energy += 2 * power(k)
    const expected = signal.reduce((sum, x) => sum + x * x, 0)
    expect(energy / 16384 / expected).toBeCloseTo(1, 12)
  })

  it('gives the same bits when it is used again', () => {
    const plan = realFft(8)
    const [re, im] = [new Float64Array(5), new Float64Array(5)]
    plan(Float64Array.of(9, 9, 9, 9, 1, 2, 3, 4), re, im)
    plan(Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8), re, im)
    expect({ re, im }).toEqual(transform([1, 2, 3, 4, 5, 6, 7, 8]))
  })

  it.each([0, 1, 3, 12, 1000, 2.5, -4, Number.NaN])('refuses a size of %d', (size) => {
    expect(() => realFft(size)).toThrow(UsageError)
  })
})

describe('spectrogram', () => {
  it('puts a full-scale sine at 0 decibels in its bin and far below elsewhere', () => {
    const sine = Float32Array.from({ length: 4096 }, (_, n) =>
      Math.sin((2 * Math.PI * 20 * n) / 256),
    )
    const { frames, bins, decibels } = spectrogram(sine, { fft: 256, hop: 64 })
    expect([frames, bins]).toEqual([64, 129])
    const frame = decibels.subarray(32 * bins, 33 * bins)
    expect(frame[20]).toBeCloseTo(0, 4)
    expect(frame[19]).toBeCloseTo(-6.02, 1)
    expect(Math.max(...frame.subarray(0, 18), ...frame.subarray(23))).toBeLessThan(-80)
  })

  it('puts silence at -120 decibels', () => {
    const { decibels } = spectrogram(new Float32Array(1000), { fft: 64, hop: 32 })
    expect(new Set(decibels)).toEqual(new Set([-120]))
  })

  it('centres frame t on sample t * hop', () => {
    const click = new Float32Array(1000)
    click[480] = 1
    const { frames, bins, decibels } = spectrogram(click, { fft: 64, hop: 16 })
    expect(frames).toBe(63)
    const level = Array.from({ length: frames }, (_, t) => decibels[t * bins + 5]!)
    expect(level.indexOf(Math.max(...level))).toBe(30)
    expect(level.flatMap((x, t) => (x > -119 ? [t] : []))).toEqual([29, 30, 31])
  })

  it('of nothing has no frames', () => {
    expect(spectrogram(new Float32Array(0), { fft: 8, hop: 4 }).frames).toBe(0)
  })

  it('refuses a hop that is no count and a window that is no power of two', () => {
    const samples = new Float32Array(10)
    expect(() => spectrogram(samples, { fft: 8, hop: 0 })).toThrow(UsageError)
    expect(() => spectrogram(samples, { fft: 8, hop: 1.5 })).toThrow(UsageError)
    expect(() => spectrogram(samples, { fft: 2, hop: 1 })).toThrow(UsageError)
    expect(() => spectrogram(samples, { fft: 100, hop: 1 })).toThrow(UsageError)
  })
})
