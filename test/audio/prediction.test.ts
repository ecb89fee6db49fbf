import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dot } from '../../src/audio/dot.js'
import {
  cellEdges,
  cellOf,
  cellWidths,
  type LinearPredictor,
  plainPredictor,
  quantizer,
  STAGES,
  strongPredictor,
} from '../../src/audio/index.js'
import { burg } from '../../src/audio/prediction/burg.js'
import { history } from '../../src/audio/prediction/history.js'
import { leastSquares } from '../../src/audio/prediction/least-squares.js'
import { normalisedLms } from '../../src/audio/prediction/lms.js'
import { mix } from '../../src/audio/prediction/mix.js'
import { roundingFilter } from '../../src/audio/prediction/rounding.js'
import { Random } from '../../src/base/random.js'

const { table, encode } = quantizer('mu-law')
const edges = cellEdges(table)
const widths = cellWidths(edges)

/** What a predictor expected of each value, before it came. */
function expectations(predictor: LinearPredictor, values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values, (value) => {
    const expected = predictor.predict()
    predictor.update(value, widths[cellOf(edges, value)]!)
    return expected
  })
}

/** Root of the mean squared difference, from `start` on. */
function apart(found: ArrayLike<number>, expected: ArrayLike<number>, start = 0): number {
  let sum = 0
  for (let i = start; i < found.length; i++) sum += (found[i]! - expected[i]!) ** 2
  return Math.sqrt(sum / (found.length - start))
}

/** Decaying partials, struck anew every half second at 16 kHz. */
const strings = (length: number) =>
  Float32Array.from({ length }, (_, i) => {
    const t = i / 16_000
    const tones = [220, 277.2, 329.6, 440].map((f) => Math.sin(2 * Math.PI * f * t + f))
    return 0.2 * Math.exp(-2 * (t % 0.5)) * tones.reduce((x, y) => x + y)
  })

const rounded = (wave: Float32Array) => Float64Array.from(encode(wave), (code) => table[code]!)

const PREDICTORS: [string, () => LinearPredictor][] = [
  ['plain', () => plainPredictor(32)],
  ['strong', () => strongPredictor()],
]

describe.each(PREDICTORS)('the %s predictor', (_, make) => {
  it('depends on nothing that comes later', () => {
    const random = new Random(1)
    const values = Float64Array.from({ length: 3000 }, () => table[random.below(256)]!)
    const whole = expectations(make(), values)
    for (const t of [0, 1, 100, 2500]) {
      const changed = values.map((value, i) => (i < t ? value : -value))
      const found = expectations(make(), changed)
      expect(found.subarray(0, t + 1)).toEqual(whole.subarray(0, t + 1))
      expect(found.subarray(t + 1)).not.toEqual(whole.subarray(t + 1))
    }
  })

  it('expects silence of silence, and the next value of a constant', () => {
    expect(expectations(make(), new Float64Array(200)).every((x) => x === 0)).toBe(true)
    const constant = new Float64Array(3000).fill(table[200]!)
    expect(apart(expectations(make(), constant), constant, 1000)).toBeLessThan(1e-3)
  })

  it('comes near the noise of a process that is linear', () => {
    const random = new Random(2)
    const values = new Float64Array(8000)
    for (let i = 2; i < values.length; i++) {
      values[i] = 1.8 * values[i - 1]! - 0.95 * values[i - 2]! + 0.01 * random.normal()
    }
    const error = apart(expectations(make(), values), values, 4000)
    expect(error).toBeGreaterThan(0.0099)
    expect(error).toBeLessThan(0.0115)
  })

  it('never expects more than it has heard', () => {
    const jump = fc.tuple(
      fc.double({ min: -1, max: 1, noNaN: true }),
      fc.integer({ min: 1, max: 90 }),
    )
    fc.assert(
      fc.property(fc.array(jump, { minLength: 1, maxLength: 20 }), (jumps) => {
        const values = jumps.flatMap(([value, count]) =>
          Array.from({ length: count }, (_, i) => (i % 3 === 2 ? -value : value)),
        )
        let peak = 0
        for (const [i, expected] of expectations(make(), values).entries()) {
          expect(Math.abs(expected)).toBeLessThanOrEqual(peak) // false for NaN too
          peak = Math.max(peak, Math.abs(values[i]!))
        }
      }),
      { seed: 3, numRuns: 40 },
    )
  })
})

describe('the strong predictor', () => {
  it('tells what it expected after each stage', () => {
    const predictor = strongPredictor()
    const { stages } = predictor
    expect(stages).toHaveLength(STAGES)
    const random = new Random(8)
    const values = rounded(strings(8000).map((x) => x + 0.005 * random.normal()))
    const found = Array.from({ length: STAGES }, () => new Float64Array(values.length))
    for (const [i, value] of values.entries()) {
      expect(predictor.predict()).toBe(stages[STAGES - 1])
      for (const [stage, all] of found.entries()) all[i] = stages[stage]!
      predictor.update(value, widths[cellOf(edges, value)]!)
    }
    const errors = found.map((all) => apart(all, values, 4000))
    expect(new Set(errors).size).toBe(STAGES)
    expect(errors.at(-1)).toBeLessThan(1.05 * Math.min(...errors))
  })

  it('looks behind the rounding: on decaying tones better than the plain one', () => {
    const values = rounded(strings(12_000))
    const strong = apart(expectations(strongPredictor(), values), values, 4000)
    const plain = apart(expectations(plainPredictor(32), values), values, 4000)
    expect(strong).toBeLessThan(0.9 * plain)
  })

  it('knows how wrong it will be', () => {
    const random = new Random(4)
    const wave = strings(8000).map((x) => x + 0.005 * random.normal())
    const values = rounded(wave)
    const predictor = strongPredictor()
    let [expected, found] = [0, 0]
    for (const [i, value] of values.entries()) {
      const cell = widths[cellOf(edges, value)]!
      const error = value - predictor.predict()
      if (i >= 4000) {
        expected += predictor.variance + cell ** 2 / 12
        found += error ** 2
      }
      predictor.update(value, cell)
    }
    expect(found / expected).toBeGreaterThan(0.5)
    expect(found / expected).toBeLessThan(2)
  })

  it('begins with the first sound, however long the silence before it', () => {
    const values = rounded(strings(700))
    const fresh = expectations(strongPredictor(), values)
    for (const silence of [1, 31, 64, 5000]) {
      const later = expectations(strongPredictor(), [...new Float64Array(silence), ...values])
      expect(later.subarray(silence)).toEqual(fresh)
    }
  })

  it('outlives silence after a sound, and the loudest there is', () => {
    const square = Float64Array.from({ length: 4000 }, (_, i) => (i % 100 < 50 ? -1 : table[255]!))
    const values = [...square, ...new Float64Array(5000), ...square]
    const found = expectations(strongPredictor(), values)
    expect(found.every(Number.isFinite)).toBe(true)
    expect(apart(found.subarray(8000, 9000), new Float64Array(1000))).toBeLessThan(1e-3)
  })
})

describe('the strong predictor, held', () => {
  /** One that has heard tones, and is held. */
  function held(): ReturnType<typeof strongPredictor> {
    const predictor = strongPredictor()
    const random = new Random(9)
    const values = rounded(strings(8000).map((x) => x + 0.002 * random.normal()))
    expectations(predictor, values)
    predictor.hold()
    return predictor
  }

  it('makes a sound that neither grows nor dies, of its own predictions and errors', () => {
    const predictor = held()
    const random = new Random(10)
    const made = Float32Array.from({ length: 32_000 }, () => {
      const mean = predictor.predict()
      const drawn = mean + Math.sqrt(predictor.variance) * random.normal()
      const code = encode(Float32Array.of(drawn))[0]!
      predictor.update(table[code]!, widths[code]!)
      return table[code]!
    })
    const level = (from: number, to: number) =>
      apart(made.subarray(from, to), Array(to - from).fill(0))
    const before = apart(strings(8000), Array(8000).fill(0), 4000)
    for (let at = 0; at < made.length; at += 4000) {
      expect(level(at, at + 4000) / before).toBeGreaterThan(1 / 4)
      expect(level(at, at + 4000) / before).toBeLessThan(4)
    }
  })

  it('learns nothing: the same past gives the same predictions', () => {
    const predictor = held()
    const chord = rounded(strings(8000))
    const noise = Float64Array.from({ length: 4000 }, (_, i) => table[i % 7 === 0 ? 255 : 100]!)
    const first = expectations(predictor, chord)
    expectations(predictor, noise)
    const again = expectations(predictor, chord)
    // what it makes of the noise dies away
    expect(apart(again, first, 4000)).toBeLessThan(1e-12)
    expect(apart(again, chord, 7000)).toBeGreaterThan(1e-3)
  })

  it('before it has heard anything expects silence', () => {
    const predictor = strongPredictor()
    predictor.hold()
    expect(expectations(predictor, rounded(strings(100))).every((x) => x === 0)).toBe(true)
  })
})

describe('the parts of it', () => {
  it('history gives the last values, newest first, for as long as one likes', () => {
    const past = history(5)
    for (let i = 1; i <= 10_000; i++) {
      past.push(i)
      const { values, start } = past
      expect(values[start]).toBe(i)
      expect(values[start + 4]).toBe(Math.max(0, i - 4))
    }
  })

  it('dot is a sum of products, from anywhere', () => {
    const random = new Random(5)
    const [a, b] = [0, 1].map(() => Float64Array.from({ length: 30 }, () => random.normal()))
    for (let n = 0; n <= 20; n++) {
      let sum = 0
      for (let i = 0; i < n; i++) sum += a![3 + i]! * b![7 + i]!
      expect(dot(a!, 3, b!, 7, n)).toBeCloseTo(sum, 12)
    }
  })

  it.each([
    ['solved every time', { stepEvery: 16, factorEvery: 16 }],
    ['with steps of descent in between', { stepEvery: 16, factorEvery: 512 }],
  ])('leastSquares finds the weights of a linear process, %s', (_, every) => {
    const random = new Random(6)
    const fit = leastSquares({ order: 4, memory: 4000, ...every })
    const values = new Float64Array(20_000)
    for (let i = 0; i < values.length; i++) {
      const [a, b, c] = [1, 2, 3].map((back) => values[i - back] ?? 0)
      values[i] = 0.9 * a! - 0.6 * b! + 0.2 * c! + 0.1 * random.normal()
      fit.update(values[i]!)
    }
    expect(apart(fit.weights, [0.9, -0.6, 0.2, 0])).toBeLessThan(0.03)
  })

  it('burg finds the weights of a linear process', () => {
    const random = new Random(11)
    const newest = history(4000)
    for (let i = 0; i < 20_000; i++) {
      const [a, b, c] = [0, 1, 2].map((back) => newest.values[newest.start + back]!)
      newest.push(0.9 * a! - 0.6 * b! + 0.2 * c! + 0.1 * random.normal())
    }
    const values = newest.values.subarray(newest.start, newest.start + 4000)
    expect(apart(burg(values, 4), [0.9, -0.6, 0.2, 0])).toBeLessThan(0.05)
  })

  it('burg makes stable weights of whatever comes, also of what grows', () => {
    const signal = fc.record({
      growth: fc.double({ min: 0.98, max: 1.02, noNaN: true }),
      frequency: fc.double({ min: 0, max: Math.PI, noNaN: true }),
      noise: fc.constantFrom(0, 1e-6, 0.1, 1),
      seed: fc.nat(),
    })
    fc.assert(
      fc.property(signal, ({ growth, frequency, noise, seed }) => {
        const random = new Random(seed)
        const wave = Float64Array.from(
          { length: 400 },
          (_, i) => growth ** i * Math.cos(frequency * i) + noise * random.normal(),
        ).reverse()
        const weights = burg(wave, 12)
        // an impulse dies away, if slowly: no later stretch is louder
        const made = [...new Array(12).fill(0), 1]
        for (let i = 0; i < 60_000; i++) {
          made.push(weights.reduce((sum, w, back) => sum + w * made[made.length - 1 - back]!, 0))
        }
        const loudest = (from: number) => Math.max(...made.slice(from, from + 20_000).map(Math.abs))
        expect(loudest(40_000)).toBeLessThanOrEqual(loudest(20_000) * (1 + 1e-6))
        expect(loudest(20_000)).toBeLessThanOrEqual(loudest(0) * (1 + 1e-6))
      }),
      { numRuns: 30, seed: 11 },
    )
  })

  it('normalisedLms learns what is linear in its past, at any loudness', () => {
    for (const loudness of [1, 1e-2]) {
      const filter = normalisedLms(8, 0.1)
      const wave = Float64Array.from({ length: 6000 }, (_, i) => loudness * Math.sin(0.3 * i))
      const found = wave.map((value) => {
        const expected = filter.predict()
        filter.update(value)
        return expected
      })
      expect(apart(found, wave, 5000)).toBeLessThan(0.05 * loudness)
    }
  })

  it('mix begins as a sum and finds better weights', () => {
    const weigh = mix(3)
    expect(weigh.predict(Float64Array.of(0.5, 0.25, -0.125))).toBe(0.625)
    const random = new Random(7)
    for (let i = 0; i < 4000; i++) {
      const parts = Float64Array.from({ length: 3 }, () => 0.1 * random.normal())
      const value = parts[0]! + 0.5 * parts[1]! + 0.001 * random.normal()
      weigh.update(parts, value, 1e6)
    }
    const weights = [0, 1, 2].map((i) =>
      weigh.predict(Float64Array.from({ length: 3 }, (_, j) => (i === j ? 1 : 0))),
    )
    expect(apart(weights, [1, 0.5, 0])).toBeLessThan(0.01)
  })

  it('mix heeds samples by their weight', () => {
    const weigh = mix(1)
    const part = Float64Array.of(1)
    for (let i = 0; i < 4000; i++) weigh.update(part, i % 2 === 0 ? 0.4 : 5, i % 2 === 0 ? 1 : 1e-4)
    expect(weigh.predict(part)).toBeCloseTo(0.4, 2)
  })

  it('roundingFilter is nearer to the wave than its rounded values are, and within their cells', () => {
    const w = 0.08
    const weights = new Float64Array(8)
    weights.set([2 * Math.cos(w), -1])
    const wave = Float32Array.from({ length: 3000 }, (_, i) => 0.6 * Math.sin(w * i))
    const values = rounded(wave)
    const past = history(8)
    const filter = roundingFilter(past)
    const estimates = values.map((value) => {
      const predicted = dot(weights, 0, past.values, past.start, 8)
      expect(filter.expect(weights)).toBeGreaterThan(0)
      const cell = widths[cellOf(edges, value)]!
      filter.update(value, cell, predicted)
      const estimate = past.values[past.start]!
      expect(Math.abs(estimate - value)).toBeLessThanOrEqual(cell / 2 + 1e-12)
      return estimate
    })
    expect(apart(estimates, wave, 500)).toBeLessThan(0.75 * apart(values, wave, 500))
  })
})
