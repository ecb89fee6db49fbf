/** What a stream counts goes on beyond every number that integers or floats end at. */
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { flagshipPlan } from '../../src/models/flagship-plan.js'
import { pack } from '../../src/stream/pack.js'
import { LOCAL, randomCodes, randomParameters } from '../laws/tiny.js'
import { Feed } from './models.js'

const CONFIG = { ...LOCAL, forecast: null }
const WINDOW = 4
const PERIOD = WINDOW * CONFIG.chunk

describe.each([
  ['2^24', 2 ** 24],
  ['2^31', 2 ** 31],
  ['2^32', 2 ** 32],
  ['2^37', 2 ** 37],
])('a stream that comes by %s', (_, border) => {
  it.each(['f32', 'f16'] as const)(
    'gives the logits of one that is young, with caches of %s',
    (cache) => {
      const plan = flagshipPlan(CONFIG, randomParameters(CONFIG, 3), PERIOD)
      const packed = pack(plan, { precision: 'f32', cache })
      const [young, old] = [new Feed(packed), new Feed(packed)]
      // both know as many tokens at the same places, one of them much later
      const codes = randomCodes(2 * PERIOD, 4)
      for (const code of codes) {
        young.push(code)
        old.push(code)
      }
      const later = border - 37 - ((border - 37 - codes.length) % PERIOD)
      old.runtime.setRemembered(later)
      for (const [i, code] of randomCodes(2 * PERIOD, 5).entries()) {
        expect([...old.push(code)]).toEqual([...young.push(code)])
        for (const name of Object.keys(old.runtime.header.caches)) {
          expect(old.runtime.remembered(name)).toBe(later + i + 1)
          expect(young.runtime.remembered(name)).toBe(codes.length + i + 1)
        }
      }
      expect(later + 2 * PERIOD).toBeGreaterThan(border)
    },
  )

  it('draws the random numbers that belong there', () => {
    const first = border - 20
    const whole = new Random(7, 1, first)
    const numbers = Array.from({ length: 40 }, () => whole.uint32())
    expect(new Set(numbers).size).toBe(40)
    expect(whole.state.drawn).toBe(first + 40)
    for (const [i, number] of numbers.entries()) {
      expect(new Random(7, 1, first + i).uint32()).toBe(number)
      expect(new Random(7, 1, i).uint32()).not.toBe(number)
    }
  })
})
