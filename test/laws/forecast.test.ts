/** The forecast is one function of the codes before: of no split, of no silence in front. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type QuantizerName, quantizer, SILENCE } from '../../src/audio/index.js'
import { Random } from '../../src/base/random.js'
import { restoreState, saveState } from '../../src/base/tape.js'
import { segmentAt } from '../../src/data/index.js'
import {
  FORECAST_FEATURES,
  FORECAST_LEAD,
  FORECAST_WIDTH,
  Forecaster,
} from '../../src/models/forecast.js'
import { forecastOf, randomCodes, splits, tonalCodes } from './tiny.js'

const QUANTIZERS: QuantizerName[] = ['mu-law', 'linear']

/** Rows after every one of `codes`. */
function rowsOf(codes: ArrayLike<number>, name: QuantizerName = 'mu-law'): Float32Array {
  const rows = new Float32Array(codes.length * FORECAST_WIDTH)
  new Forecaster(quantizer(name).table).run(codes, rows)
  return rows
}

const rowAt = (rows: Float32Array, i: number) =>
  rows.subarray(i * FORECAST_WIDTH, (i + 1) * FORECAST_WIDTH)

/** Whether all bits are the same: -0 is not 0. */
const same = (a: Float32Array, b: Float32Array) =>
  a.length === b.length && a.every((x, i) => Object.is(x, b[i]))

const RECORDINGS: [string, Uint8Array][] = [
  ['a wandering signal', randomCodes(700, 51)],
  ['tones', tonalCodes(700, 51)],
]

describe.each(RECORDINGS)('of %s', (_, codes) => {
  const whole = rowsOf(codes)

  it('any split gives the same rows, bit for bit', () => {
    fc.assert(
      fc.property(splits(codes.length, [1, 2, 5, 64, 300]), (pieces) => {
        const forecaster = new Forecaster(quantizer('mu-law').table)
        const found = new Float32Array(whole.length)
        let at = 0
        for (const length of pieces) {
          const rows = found.subarray(at * FORECAST_WIDTH, (at + length) * FORECAST_WIDTH)
          forecaster.run(codes.subarray(at, at + length), rows)
          at += length
        }
        expect(same(found, whole)).toBe(true)
      }),
      { numRuns: 15, seed: 51, examples: [[Array(codes.length).fill(1)]] },
    )
  })

  it('a copy of what is remembered goes on to the same rows, bit for bit', () => {
    for (const heard of [0, 1, 7, 64, 161, 500]) {
      const forecaster = new Forecaster(quantizer('mu-law').table)
      forecaster.run(codes.subarray(0, heard))
      const saved = saveState(forecaster)
      // whatever else the same one, or another, has heard is forgotten
      for (const other of [forecaster, new Forecaster(quantizer('mu-law').table)]) {
        other.run(randomCodes(300, 52))
        restoreState(other, saved)
        const rows = new Float32Array((codes.length - heard) * FORECAST_WIDTH)
        other.run(codes.subarray(heard), rows)
        expect(same(rows, whole.subarray(heard * FORECAST_WIDTH))).toBe(true)
      }
    }
  })

  it('a copy of one that is held goes on as it would', () => {
    const forecaster = new Forecaster(quantizer('mu-law').table)
    forecaster.run(codes.subarray(0, 500))
    forecaster.hold()
    const saved = saveState(forecaster)
    const rest = codes.subarray(500)
    const rows = new Float32Array(rest.length * FORECAST_WIDTH)
    forecaster.run(rest, rows)
    // all but the first, which was looked for before
    expect(same(rowAt(rows, 1), rowAt(whole, 501))).toBe(false)
    const other = new Forecaster(quantizer('mu-law').table)
    restoreState(other, saved)
    const found = new Float32Array(rows.length)
    other.run(rest, found)
    expect(same(found, rows)).toBe(true)
    // until it hears something new from the beginning
    restoreState(other, saveState(new Forecaster(quantizer('mu-law').table)))
    const fresh = new Float32Array(whole.length)
    other.run(codes, fresh)
    expect(same(fresh, whole)).toBe(true)
  })

  it('history that was only heard gives the same rows after it', () => {
    for (const heard of [1, 33, 500]) {
      const rest = forecastOf(codes.subarray(heard), codes.subarray(0, heard))
      expect(same(rest, whole.subarray(heard * FORECAST_WIDTH))).toBe(true)
    }
  })

  it('silence in front changes nothing, of any length', () => {
    for (const count of [1, 7, 64, 1000]) {
      const silence = new Uint8Array(count).fill(SILENCE)
      expect(same(forecastOf(codes, silence), whole)).toBe(true)
    }
  })

  it('a change of codes changes rows from there on only', () => {
    for (const t of [0, 1, 300, 699]) {
      const changed = codes.map((code, i) => (i < t ? code : 255 - code))
      const found = rowsOf(changed)
      const before = t * FORECAST_WIDTH
      expect(same(found.subarray(0, before), whole.subarray(0, before))).toBe(true)
      expect(same(rowAt(found, t), rowAt(whole, t))).toBe(false)
    }
  })
})

/** Recordings of extremes, code by code. */
const extremes: Record<string, (random: Random, i: number) => number> = {
  silence: () => SILENCE,
  noise: (random) => random.below(256),
  'quiet noise': (random) => SILENCE - 1 + random.below(3),
  'a full-scale square wave': (_, i) => (i % 90 < 45 ? 0 : 255),
  'the highest square wave': (_, i) => (i % 2 ? 0 : 255),
  'full-scale flips at random': (random) => 255 * random.below(2),
  'the lowest level': () => 0,
  'the highest level': () => 255,
  'noise between silences': (random, i) => (i % 900 < 300 ? random.below(256) : SILENCE),
}

describe.each(QUANTIZERS)('rows under %s', (name) => {
  const { table } = quantizer(name)

  it.each(Object.keys(extremes))('are numbers about 1 in size: %s', (kind) => {
    const random = new Random(52)
    const codes = Uint8Array.from({ length: 2500 }, (_, i) => extremes[kind]!(random, i))
    const rows = rowsOf(codes, name)
    for (let i = 0; i < codes.length; i++) {
      const [mean, inverse, ...features] = rowAt(rows, i)
      if (!(mean! >= table[0]! && mean! <= table[255]!)) expect(mean).toBe('in the table')
      if (!(inverse! > 0.4 && inverse! < 1e6)) expect(inverse).toBe('1 / scale')
      expect(features).toHaveLength(FORECAST_WIDTH - FORECAST_FEATURES)
      const [position, scale, ...others] = features
      // the scale of errors as large as sound itself is a little above 3
      if (!(Math.abs(position!) <= 1)) expect(position).toBe('within 1')
      if (!(Math.abs(scale!) <= 3.5)) expect(scale).toBe('within 3.5')
      if (!others.every((x) => Math.abs(x) <= 3)) expect(others).toBe('within 3')
    }
  })

  it('expect silence after silence, with the finest scale', () => {
    const rows = rowsOf(new Uint8Array(100).fill(SILENCE), name)
    for (let i = 0; i < 100; i++) {
      expect(rows[i * FORECAST_WIDTH]).toBe(0)
      expect(same(rowAt(rows, i), rowAt(rows, 0))).toBe(true)
    }
  })
})

describe('what rows say', () => {
  const { table } = quantizer('mu-law')
  const column = (rows: Float32Array, i: number) =>
    rows.filter((_, at) => at % FORECAST_WIDTH === i)

  it('the mean is near the next sample of a tone, the scale is that of its errors', () => {
    const codes = tonalCodes(6000, 53)
    const rows = rowsOf(codes)
    const [mean, inverse] = [column(rows, 0), column(rows, 1)]
    let [error, relative] = [0, 0]
    const from = 3000 // by then it has learned
    for (let i = from; i < codes.length - 1; i++) {
      const off = table[codes[i + 1]!]! - mean[i]!
      error += off ** 2 / (codes.length - from)
      relative += (off * inverse[i]!) ** 2 / (codes.length - from)
    }
    // noise of 0.03 cannot be predicted
    expect(Math.sqrt(error)).toBeGreaterThan(0.028)
    expect(Math.sqrt(error)).toBeLessThan(0.036)
    expect(Math.sqrt(relative)).toBeGreaterThan(0.7)
    expect(Math.sqrt(relative)).toBeLessThan(1.5)
  })

  it('a jump after calm surprises', () => {
    const codes = tonalCodes(3000, 54)
    codes[2000] = 255
    const surprise = column(rowsOf(codes), FORECAST_FEATURES + 6)
    expect(surprise[2000]).toBe(3)
    const usual = surprise.slice(1000, 1900).map(Math.abs).sort()
    expect(usual[450]).toBeLessThan(1)
  })

  it('how wrong they have been: as at the end of what was heard, where they are held', () => {
    const forecaster = new Forecaster(table)
    forecaster.run(tonalCodes(3000, 56))
    const saved = saveState(forecaster)
    const scale = () => {
      const rows = new Float32Array(2000 * FORECAST_WIDTH)
      const random = new Random(57)
      const loud = Uint8Array.from({ length: 2000 }, () => 255 * random.below(2))
      forecaster.run(loud, rows)
      return 1 / Math.min(...column(rows, 1).subarray(1))
    }
    expect(scale()).toBeGreaterThan(0.9)
    restoreState(forecaster, saved)
    forecaster.hold()
    // noise of 0.03
    expect(scale()).toBeLessThan(0.1)
  })

  it('hardly depend on more history than the lead of a segment', () => {
    const codes = tonalCodes(3 * FORECAST_LEAD, 55)
    const samples = codes.length
    const piece = { name: 'a', split: 'train', samples, seconds: 1, codes: () => codes } as const
    const [at, length] = [samples - 500, 400]
    const segment = segmentAt(piece, at, { length, lead: FORECAST_LEAD })
    const [lead, inputs] = [segment.subarray(0, FORECAST_LEAD), segment.subarray(FORECAST_LEAD, -1)]
    const error = (history: Uint8Array) => {
      const mean = column(forecastOf(inputs, history), 0)
      return mean.reduce((sum, x, i) => sum + (x - table[codes[at + i + 1]!]!) ** 2, 0)
    }
    expect(error(lead)).toBeLessThan(1.1 * error(codes.subarray(0, at)))
  })
})
