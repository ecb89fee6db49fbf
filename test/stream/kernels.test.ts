/** Every kernel against its scalar reference, on random sizes and numbers. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { byFourModes, byInput, paddedTo, toInt8, wordsByInput } from '../../src/stream/blocks.js'
import { fromHalf, LARGEST_HALF, toHalf } from '../../src/stream/half.js'
import { hasRelaxedSimd } from '../../src/stream/kernels.js'
import { ATTENTION_TILE } from '../../src/stream/opcodes.js'
import * as reference from '../../src/stream/reference.js'
import { Arena } from './arena.js'

const files = ['kernels.wasm', ...(hasRelaxedSimd() ? ['kernels-relaxed.wasm'] : [])]

/** Sizes around the blocks of the kernels. */
const size = (max = 90) => fc.integer({ min: 1, max })
const seed = fc.integer({ min: 0, max: 2 ** 31 })
const flags = fc.integer({ min: 0, max: 3 })

function normals(n: number, seed: number, stream: number, scale = 1): Float32Array {
  const random = new Random(seed, stream)
  return Float32Array.from({ length: n }, () => scale * random.normal())
}

/** Half of the numbers zero, as behind a rectifier. */
const rectified = (x: Float32Array) => x.map((value) => Math.max(value, 0))

function expectClose(found: ArrayLike<number>, expected: readonly number[], tolerance: number) {
  expect(found.length).toBe(expected.length)
  const largest = expected.reduce((m, x) => Math.max(m, Math.abs(x)), 1)
  for (let i = 0; i < expected.length; i++) {
    if (!(Math.abs(found[i]! - expected[i]!) <= tolerance * largest)) {
      expect.fail(`number ${i}: ${found[i]}, not ${expected[i]}`)
    }
  }
}

const capacityOf = (n: number) => Math.ceil(n / 8) * 8 + 8

describe.each(files)('%s', (file) => {
  const arena = new Arena(file)
  const { kernels } = arena

  it('matvecF32', () => {
    fc.assert(
      fc.property(size(), size(150), seed, flags, (inputs, outputs, seed, flags) => {
        arena.clear()
        const [w, x] = [normals(inputs * outputs, seed, 1), normals(inputs, seed, 2)]
        const [bias, plus] = [normals(outputs, seed, 3), normals(outputs, seed, 4)]
        const y = arena.write(Float32Array.of(...plus, 77))
        kernels.matvecF32!(
          arena.write(byInput(w, outputs, inputs)),
          arena.write(paddedTo(bias, outputs)),
          ...[arena.write(x), inputs, outputs, y, flags],
        )
        const options = { relu: (flags & 2) !== 0, ...(flags & 1 ? { plus } : {}) }
        const found = arena.floats(y, outputs + 1)
        expectClose(found.subarray(0, -1), reference.affine(w, bias, x, options), 1e-5)
        expect(found[outputs]).toBe(77) // nothing is written behind the end
      }),
    )
  })

  it.each([false, true])('matvecInt8, as a list: %s', (sparse) => {
    fc.assert(
      fc.property(size(), size(150), seed, flags, (inputs, outputs, seed, flags) => {
        arena.clear()
        const { w, scales } = toInt8(normals(inputs * outputs, seed, 1), outputs)
        const x = rectified(normals(inputs, seed, 2))
        const [bias, plus] = [normals(outputs, seed, 3), normals(outputs, seed, 4)]
        const y = arena.write(Float32Array.of(...plus, 77))
        const factor = 1000
        const capacity = capacityOf(inputs)
        const small = scales.map((scale) => scale / factor)
        const q = arena.place(16 + 4 * capacity)
        const rest = [arena.write(paddedTo(small, outputs)), arena.write(paddedTo(bias, outputs))]
        const sizes = [q, inputs, outputs, y, flags]
        if (sparse) {
          kernels.quantiseSparse!(arena.write(x), inputs, factor, 32767, q, capacity)
          const columns = arena.write(wordsByInput(w, outputs, inputs))
          kernels.matvecInt8Sparse!(columns, ...rest, ...sizes, capacity)
        } else {
          kernels.quantiseDense!(arena.write(x), inputs, factor, 32767, q)
          kernels.matvecInt8!(arena.write(wordsByInput(w, outputs, inputs, 2)), ...rest, ...sizes)
        }
        const options = { relu: (flags & 2) !== 0, ...(flags & 1 ? { plus } : {}) }
        const integers = reference.quantise(x, factor, 32767)
        const expected = reference.affineInt8(w, small, bias, integers, options)
        const found = arena.floats(y, outputs + 1)
        expectClose(found.subarray(0, -1), expected, 1e-6)
        expect(found[outputs]).toBe(77)
      }),
    )
  })

  it('sums of the largest integers do not overflow', () => {
    arena.clear()
    const [inputs, outputs] = [1792, 40]
    const { w, scales, most } = toInt8(new Float32Array(inputs * outputs).fill(1), outputs)
    const limit = Math.min(32767, Math.floor(0x7fffffff / most))
    const x = new Float32Array(inputs).fill(1)
    const [q, y] = [arena.place(2 * inputs), arena.place(4 * outputs)]
    const none = new Float32Array(outputs)
    kernels.quantiseDense!(arena.write(x), inputs, 4 * limit, limit, q) // bounded to the limit
    kernels.matvecInt8!(
      arena.write(wordsByInput(w, outputs, inputs, 2)),
      ...[arena.write(scales), arena.write(none), q, inputs, outputs, y, 0],
    )
    const sum = 127 * inputs * limit
    expectClose(arena.floats(y, outputs), Array(outputs).fill(sum * scales[0]!), 1e-6)
  })

  it('quantiseDense and quantiseSparse', () => {
    fc.assert(
      fc.property(size(), seed, fc.integer({ min: 1, max: 32767 }), (n, seed, limit) => {
        arena.clear()
        const x = rectified(normals(n, seed, 1)).map((v, i) => (i % 5 ? v : -v))
        const [at, capacity] = [arena.write(x), capacityOf(n)]
        const [dense, list] = [arena.place(2 * n + 2), arena.place(16 + 4 * capacity)]
        kernels.quantiseDense!(at, n, 20_000.5, limit, dense)
        kernels.quantiseSparse!(at, n, 20_000.5, limit, list, capacity)
        const expected = reference.quantise(x, 20_000.5, limit)
        expect([...arena.shorts(dense, n)]).toEqual(expected)
        expect(arena.list(list, capacity, n)).toEqual(expected)
      }),
    )
  })

  it('rings give the taps of a dilated convolution, newest first', () => {
    const few = fc.integer({ min: 1, max: 5 })
    fc.assert(
      fc.property(size(20), few, few, seed, (channels, taps, dilation, seed) => {
        arena.clear()
        const length = (taps - 1) * dilation + 1
        const one = capacityOf(channels)
        const all = capacityOf(channels * taps)
        const [bytes, listBytes] = [4 * channels, 16 + 4 * one]
        const [ring, sparse] = [
          arena.zeros(16 + length * bytes),
          arena.zeros(16 + length * listBytes),
        ]
        const [y, list] = [arena.place(4 * channels * taps), arena.place(16 + 4 * all)]
        const columns: number[][] = []
        for (let t = 0; t < 2 * length + 1; t++) {
          const x = rectified(normals(channels, seed, t))
          const at = arena.write(x)
          columns.unshift([...x])
          const to = kernels.advance!(ring, length, bytes)
          new Float32Array(arena.buffer, to, channels).set(x)
          const place = kernels.advance!(sparse, length, listBytes)
          kernels.quantiseSparse!(at, channels, 1000, 32767, place, one)
          kernels.gather!(ring, length, bytes, bytes, taps, dilation, y)
          kernels.gatherSparse!(sparse, length, listBytes, channels, taps, dilation, one, list, all)
          const silence = Array<number>(channels).fill(0)
          const seen = Array.from({ length: taps }, (_, k) => columns[k * dilation] ?? silence)
          expect([...arena.floats(y, channels * taps)]).toEqual(seen.flat())
          const integers = reference.quantise(seen.flat(), 1000, 32767)
          expect(arena.list(list, all, channels * taps)).toEqual(integers)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('normalise', () => {
    fc.assert(
      fc.property(size(), seed, (n, seed) => {
        arena.clear()
        const [x, scale, offset] = [1, 2, 3].map((k) => normals(n, seed, k))
        const y = arena.place(4 * n)
        kernels.normalise!(arena.write(x!), arena.write(scale!), arena.write(offset!), n, 1e-5, y)
        expectClose(arena.floats(y, n), reference.normalise(x!, scale!, offset!, 1e-5), 2e-5)
      }),
    )
  })

  it('gate, exact to float32 from the smallest to the largest numbers', () => {
    fc.assert(
      fc.property(size(), seed, fc.integer({ min: -20, max: 6 }), (n, seed, power) => {
        arena.clear()
        const x = normals(2 * n, seed, 1, 2 ** power)
        const y = arena.place(4 * n)
        kernels.gate!(arena.write(x), n, y)
        const found = arena.floats(y, n)
        const expected = reference.gate(x)
        for (let i = 0; i < n; i++) {
          const apart = Math.abs(found[i]! - expected[i]!)
          expect(apart).toBeLessThanOrEqual(5e-7 * Math.abs(expected[i]!) + 1e-37)
        }
      }),
    )
  })

  it('glu and gelu, from the smallest to the largest numbers', () => {
    fc.assert(
      fc.property(size(), seed, fc.integer({ min: -20, max: 6 }), (n, seed, power) => {
        arena.clear()
        const x = normals(2 * n, seed, 1, 2 ** power)
        const y = arena.write(new Float32Array(n + 1).fill(77))
        const most = Math.max(...x.map(Math.abs))
        const agree = (expected: number[]) => {
          const found = arena.floats(y, n + 1)
          for (const [i, value] of expected.entries()) {
            expect(Math.abs(found[i]! - value)).toBeLessThanOrEqual(3e-7 * most)
          }
          expect(found[n]).toBe(77) // nothing is written behind the end
        }
        kernels.glu!(arena.write(x), n, y)
        agree(reference.glu(x))
        const half = x.subarray(0, n)
        kernels.gelu!(arena.write(half), n, y)
        agree(reference.gelu(half))
      }),
      { numRuns: 60 },
    )
  })

  it('oscillate, step after step', () => {
    const few = fc.integer({ min: 1, max: 9 })
    fc.assert(
      fc.property(size(20), few, seed, (channels, modes, seed) => {
        arena.clear()
        const poles = normals(channels * modes * 4, seed, 1)
        for (let m = 0; m < channels * modes; m++) {
          // inside of the unit circle, as poles are
          const size = Math.hypot(poles[4 * m]!, poles[4 * m + 1]!) + 0.01
          for (const k of [0, 1]) poles[4 * m + k]! /= size
        }
        const fours = Math.ceil(modes / 4)
        const state = arena.zeros(channels * fours * 32)
        const packed = arena.write(byFourModes(poles, channels))
        const d = normals(channels, seed, 2)
        const [dAt, y] = [arena.write(d), arena.place(4 * channels)]
        const kept = Array<number>(channels * modes * 2).fill(0)
        for (let t = 0; t < 20; t++) {
          const u = normals(channels, seed, 10 + t)
          kernels.oscillate!(arena.write(u), state, packed, dAt, channels, fours, y)
          const expected = reference.oscillate(u, kept, poles, d)
          expectClose(arena.floats(y, channels), expected, 2e-5)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('recur, a gated recurrent unit whose state is kept less another', () => {
    fc.assert(
      fc.property(size(), seed, fc.integer({ min: -3, max: 3 }), (n, seed, power) => {
        arena.clear()
        const [x, u] = [normals(3 * n, seed, 1, 2 ** power), normals(3 * n, seed, 2, 2 ** power)]
        const [first, h] = [normals(n, seed, 3), normals(n, seed, 4)]
        const at = arena.write(Float32Array.of(...h, 77))
        kernels.recur!(arena.write(x), arena.write(u), arena.write(first), n, at)
        const found = arena.floats(at, n + 1)
        expectClose(found.subarray(0, -1), reference.recur(x, u, first, h), 1e-6)
        expect(found[n]).toBe(77)
      }),
    )
  })

  it('lookup of the newest numbers of a ring', () => {
    const few = fc.integer({ min: 1, max: 5 })
    fc.assert(
      fc.property(size(40), few, few, seed, (n, taps, more, seed) => {
        arena.clear()
        const rows = 9
        const length = taps + more - 1
        const tables = normals(taps * rows * n, seed, 1)
        const [ring, at] = [arena.zeros(16 + 4 * length), arena.write(tables)]
        const y = arena.write(new Float32Array(n + 1).fill(77))
        // numbers from -2 on in quarters; before them zeros
        const past = Array<number>(taps).fill(0)
        for (let t = 0; t < 2 * length; t++) {
          const x = new Random(seed, t).below(rows) / 4 - 2
          past.unshift(x)
          new Float32Array(arena.buffer, kernels.advance!(ring, length, 4), 1)[0] = x
          kernels.lookup!(ring, length, taps, 4, 8, at, rows, n, y)
          const to = { scale: 4, offset: 8 }
          const expected = reference.lookup(past.slice(0, taps), to, tables, rows)
          expectClose(arena.floats(y, n), expected, 1e-6)
          expect(arena.floats(y, n + 1)[n]).toBe(77)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('add and relu', () => {
    fc.assert(
      fc.property(size(), seed, (n, seed) => {
        arena.clear()
        const [a, b] = [normals(n, seed, 1), normals(n, seed, 2)]
        const y = arena.write(Float32Array.of(...a, 77))
        kernels.add!(y, arena.write(b), n, y)
        expect([...arena.floats(y, n + 1)]).toEqual([...a.map((v, i) => v + b[i]!), 77])
        kernels.relu!(y, n, y)
        expect([...arena.floats(y, n + 1)]).toEqual([...rectified(a.map((v, i) => v + b[i]!)), 77])
      }),
    )
  })

  it.each(['F32', 'F16', 'Int8'] as const)(
    'attend%s over the phases of a cache, while the window slides',
    (type) => {
      const few = fc.integer({ min: 1, max: 5 })
      const windows = fc.integer({ min: 1, max: 150 })
      fc.assert(
        fc.property(few, few, size(40), windows, seed, (groups, heads, width, window, seed) => {
          arena.clear()
          const all = groups * heads
          const phases = 2
          const padded = Math.ceil(width / 16) * 16
          const padWindow = Math.ceil(window / 8) * 8
          const isInt8 = type === 'Int8'
          const rowBytes = groups * padded * { F32: 4, F16: 2, Int8: 1 }[type]
          const phaseBytes = padWindow * rowBytes
          const [keys, values] = [
            arena.zeros(phases * phaseBytes),
            arena.zeros(phases * phaseBytes),
          ]
          const positions = [arena.zeros(16), arena.zeros(16)]
          const tile = ATTENTION_TILE * groups * padded
          const scratch = arena.place(4 * (all * (2 * padded + padWindow) + tile))
          const scales = normals(groups * padded, seed, 9).map((s) => (1 + Math.abs(s)) / 40)
          const [scalesAt, factors] = [arena.write(scales), arena.write(scales.map((s) => 1 / s))]
          const bias = normals(all * window, seed, 10)
          const unit = isInt8 ? Math.LOG2E : 1
          const twice = new Float32Array(all * 2 * padWindow)
          for (let h = 0; h < all; h++) {
            for (let i = 0; i < 2 * window; i++) {
              twice[h * 2 * padWindow + i] =
                unit * bias[h * window + ((2 * window - 1 - i) % window)]!
            }
          }
          const biasAt = arena.write(twice)
          const [x, q, y] = [
            arena.place(4 * groups * width),
            arena.place(4 * all * width),
            arena.place(4 * all * width),
          ]
          const past: { keys: number[]; values: number[] }[][] = [[], []]
          // what is remembered of a row
          const kept = (row: Float32Array) =>
            Array.from(row, (v, i) => {
              if (type === 'F16') return fromHalf(toHalf(v))
              if (type === 'F32') return v
              const s = scales[Math.floor(i / width) * padded + (i % width)]!
              return reference.quantise([v], 1 / s, 127)[0]! * s
            })
          const steps = phases * (window + 3)
          for (let t = 0; t < steps; t++) {
            const rows = [
              normals(groups * width, seed, 100 + t),
              normals(groups * width, seed, 9000 + t),
            ]
            for (const [i, cache] of [keys, values].entries()) {
              new Float32Array(arena.buffer, x, groups * width).set(rows[i]!)
              kernels[`remember${type}`]!(
                ...[positions[i]!, cache, phases, phaseBytes, rowBytes, window],
                ...[x, groups, width, padded, factors],
              )
            }
            const mine = past[t % phases]!
            mine.push({ keys: kept(rows[0]!), values: kept(rows[1]!) })
            if (mine.length > window) mine.shift()
            if (t % 7 !== 0 && t < steps - 4) continue
            const query = normals(all * width, seed, 20_000 + t)
            new Float32Array(arena.buffer, q, all * width).set(query)
            kernels[`attend${type}`]!(
              ...[positions[0]!, keys, values, phaseBytes, rowBytes, window, padWindow],
              ...[groups, heads, width, padded],
              ...[q, biasAt, scratch, y, scalesAt, scalesAt],
            )
            const expected = reference.attend(
              { groups, heads, width },
              query,
              mine.map((row) => row.keys),
              mine.map((row) => row.values),
              bias,
            )
            // int16 queries and weights
            expectClose(arena.floats(y, all * width), expected, isInt8 ? 2e-3 : 2e-5)
          }
        }),
        { numRuns: 25 },
      )
    },
  )

  it('toHalves and fromHalves: subnormals, halves to the even one, bounds and NaN too', () => {
    const number = fc.oneof(
      fc.float(), // of any size, infinite, or none
      fc.float({ min: -(2 ** -13), max: 2 ** -13, noNaN: true }),
      fc.float({ min: -70_000, max: 70_000, noNaN: true }),
      // between two halves
      fc.integer({ min: 0, max: 0x7bfe }).map((h) => (fromHalf(h) + fromHalf(h + 1)) / 2),
      fc.constantFrom(0, -0, 65_504, 65_519.9, 65_520, 2 ** -24, 2 ** -25, 2 ** -14, 2 ** -149),
    )
    fc.assert(
      fc.property(fc.array(number, { minLength: 1, maxLength: 40 }), (numbers) => {
        arena.clear()
        const x = Float32Array.from(numbers)
        const n = x.length
        const [y, back] = [arena.write(new Int16Array(n + 8).fill(77)), arena.place(4 * (n + 8))]
        kernels.toHalves!(arena.write(x), n, y)
        const found = Uint16Array.from(arena.shorts(y, n + 1))
        expect([...found]).toEqual([...Array.from(x, toHalf), 77])
        kernels.fromHalves!(y, Math.ceil(n / 8) * 8, back)
        expect([...arena.floats(back, n)]).toEqual([...found.subarray(0, n)].map(fromHalf))
      }),
      { numRuns: 1000 },
    )
  })

  it('fromHalves gives every number of 16 bits that is not infinite', () => {
    arena.clear()
    const all = Uint16Array.from({ length: 0x10000 }, (_, i) => i)
    const [x, y] = [arena.write(new Int16Array(all.buffer)), arena.place(4 * all.length)]
    kernels.fromHalves!(x, all.length, y)
    const found = arena.floats(y, all.length)
    for (const half of all) {
      const expected = fromHalf(half)
      if (Math.abs(expected) === Number.POSITIVE_INFINITY) continue // never written
      if (!Object.is(found[half], expected)) expect.fail(`${half}: ${found[half]}, not ${expected}`)
      // and back, but for the digits of what is no number
      if (Number.isNaN(expected)) continue
      if (toHalf(expected) !== half) expect.fail(`${expected}: ${toHalf(expected)}, not ${half}`)
    }
    expect(LARGEST_HALF).toBe(fromHalf(0x7bff))
  })

  it('curves, down to the least probability', () => {
    const count = fc.integer({ min: 1, max: 4 })
    fc.assert(
      fc.property(count, seed, fc.integer({ min: -3, max: 9 }), (count, seed, power) => {
        arena.clear()
        const edges = Float32Array.from({ length: 255 }, (_, i) => ((i - 127) / 128) ** 3)
        const numbers = normals(3 * count, seed, 1)
        const [mean] = normals(1, seed, 2, 0.3)
        const inverse = 2 ** power
        const widths = Float32Array.from({ length: count }, (_, k) => 0.25 + k / 3)
        const all = Float32Array.of(-1e6, ...edges, 1e6)
        const gaps = Float32Array.from({ length: 256 }, (_, i) => all[i + 1]! - all[i]!)
        const plus = normals(256, seed, 3)
        const y = arena.write(plus)
        kernels.curves!(
          arena.write(Float32Array.of(mean!, inverse)),
          ...[arena.write(numbers), count, arena.write(widths), arena.write(all)],
          ...[arena.write(gaps), 256, y, arena.place(1024)],
        )
        const expected = reference.curves(mean!, inverse, numbers, widths, edges)
        const found = arena.floats(y, 256).map((v, i) => v - plus[i]!)
        expectClose(found, expected, 3e-5 / 3)
      }),
    )
  })
})
