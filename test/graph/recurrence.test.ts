import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { Graph, input, recurrence, ShapeError } from '../../src/graph/index.js'
import { distance } from '../laws/tiny.js'
import { engine, gradientError } from './gradcheck.js'

interface Problem {
  batch: number
  rows: number
  n: number
  x: Float64Array
  a: Float64Array
}

function problem(batch: number, rows: number, n: number): Problem {
  const random = new Random(rows)
  const draw = (size: number, scale: number) =>
    Float64Array.from({ length: size }, () => scale * random.normal())
  return { batch, rows, n, x: draw(batch * rows * 2 * n, 1), a: draw(batch * 2 * n, 0.5) }
}

/** One step after another. */
function plainly({ batch, rows, n, x, a }: Problem, reverse: boolean): Float64Array {
  const y = x.slice()
  for (let b = 0; b < batch; b++) {
    for (let i = 1; i < rows; i++) {
      const row = (k: number) => (b * rows + (reverse ? rows - 1 - k : k)) * 2 * n
      const [at, last] = [row(i), row(i - 1)]
      for (let m = 0; m < n; m++) {
        const [ar, ai] = [a[b * 2 * n + m]!, a[b * 2 * n + n + m]!]
        const [yr, yi] = [y[last + m]!, y[last + n + m]!]
        y[at + m]! += ar * yr - ai * yi
        y[at + n + m]! += ar * yi + ai * yr
      }
    }
  }
  return y
}

describe('recurrence', () => {
  // one row, few, whole groups, and groups that the last row does not fill
  it.each([1, 2, 12, 13, 16, 63, 64, 65, 130])('of %i rows is step after step', async (rows) => {
    for (const reverse of [false, true]) {
      const { x, a, ...sizes } = problem(3, rows, 2)
      const graph = new Graph('float64')
      const y = recurrence(input(graph, 'x', [3, rows, 4]), input(graph, 'a', [3, 4]), { reverse })
      const program = await (await engine()).compile({ y })
      const found = await program.run({ x, a })
      await program.dispose()
      expect(distance(found.y!, plainly({ x, a, ...sizes }, reverse))).toBeLessThan(1e-12)
    }
  })

  it('has gradients that equal central differences', async () => {
    const check = async (rows: number, n: number, reverse: boolean) => {
      const shapes = { x: [2, rows, 2 * n], a: [2, 2 * n] }
      const draw = (random: { normal(): number }) => 0.5 * random.normal()
      const error = await gradientError(shapes, ({ x, a }) => recurrence(x!, a!, { reverse }), {
        draw,
      })
      expect(error).toBeLessThan(1e-6)
    }
    const few = fc.integer({ min: 1, max: 3 })
    await fc.assert(fc.asyncProperty(few, few, fc.boolean(), check), { numRuns: 5, seed: 1 })
    await check(19, 1, false)
    await check(19, 1, true)
  })

  it('names what does not fit', () => {
    const graph = new Graph()
    const x = input(graph, 'x', [3, 5, 4])
    expect(() => recurrence(x, input(graph, 'a', [3, 3]))).toThrow(ShapeError)
    expect(() => recurrence(input(graph, 'odd', [3, 5, 3]), input(graph, 'b', [3, 3]))).toThrow(
      /do not fit/,
    )
  })
})
