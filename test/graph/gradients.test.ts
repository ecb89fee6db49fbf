import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  add,
  bag,
  concat,
  conv1d,
  cos,
  crossEntropy,
  dilate,
  div,
  exp,
  expand,
  gelu,
  gru,
  log,
  logSoftmax,
  matmul,
  mean,
  mul,
  normalise,
  pad,
  relu,
  reshape,
  reverse,
  scale,
  shift,
  sigmoid,
  sin,
  slice,
  softmax,
  sqrt,
  sub,
  sum,
  type Tensor,
  take,
  tanh,
  transpose,
} from '../../src/graph/index.js'
import { gradientError } from './gradcheck.js'

const dim = fc.integer({ min: 1, max: 4 })
const positive = { draw: (r: { uniform(): number }) => 0.3 + r.uniform() }

/** Property: the gradients of `build` on random shapes equal central differences to 1e-6. */
function agrees<T extends unknown[]>(
  arbitraries: { [K in keyof T]: fc.Arbitrary<T[K]> },
  check: (...values: T) => Promise<number>,
  runs = 6,
) {
  return fc.assert(
    // biome-ignore lint/suspicious/noExplicitAny: fast-check's tuple typing
    (fc as any).asyncProperty(...arbitraries, async (...values: T) => {
      expect(await check(...values)).toBeLessThan(1e-6)
    }),
    { numRuns: runs, seed: 20_26 },
  )
}

describe('gradients equal central differences in float64', () => {
  const unary: [string, (x: Tensor) => Tensor][] = [
    ['exp', exp],
    ['log', log],
    ['sqrt', sqrt],
    ['tanh', tanh],
    ['sigmoid', sigmoid],
    ['sin', sin],
    ['cos', cos],
    ['gelu', (x) => gelu(scale(shift(x, -0.8), 4))],
    ['normalise over columns', (x) => normalise(x, 0, 0.1)],
    ['normalise over rows', (x) => normalise(x, -1, 0.1)],
    ['relu', (x) => relu(shift(x, -0.8))],
    ['scale', (x) => scale(x, -2.5)],
    ['softmax', softmax],
    ['logSoftmax', logSoftmax],
    ['transpose', (x) => transpose(x)],
    ['reverse', (x) => reverse(x, 1)],
    ['dilate', (x) => dilate(x, 1, 3)],
    ['pad', (x) => pad(x, 0, 2, 1)],
    ['mean', (x) => mean(x, [0])],
    ['sum', (x) => sum(x, [-1])],
    ['reshape', (x) => reshape(x, [x.shape[0]! * x.shape[1]!])],
    ['expand', (x) => expand(reshape(x, [1, ...x.shape]), [3, ...x.shape])],
    ['a shared input', (x) => add(mul(x, x), exp(x))],
  ]
  it.each(unary)('%s', (_, f) =>
    agrees([dim, dim], (m, n) => gradientError({ x: [m, n] }, ({ x }) => f(x!), positive)),
  )

  const binary: [string, (a: Tensor, b: Tensor) => Tensor][] = [
    ['add', add],
    ['sub', sub],
    ['mul', mul],
    ['div', div],
  ]
  it.each(binary)('%s with broadcasting', (_, f) =>
    agrees([dim, dim, fc.boolean(), fc.boolean()], (m, n, flat, thin) =>
      gradientError(
        { a: [m, n], b: flat ? [n] : [thin ? 1 : m, n] },
        ({ a, b }) => f(a!, b!),
        positive,
      ),
    ),
  )

  it('slice with a step', () =>
    agrees([fc.integer({ min: 2, max: 9 }), fc.integer({ min: 1, max: 3 })], (n, step) =>
      gradientError({ x: [2, n] }, ({ x }) => slice(x!, 1, 1, n, step)),
    ))

  it('concat', () =>
    agrees([dim, dim, dim], (m, n, k) =>
      gradientError({ a: [m, k], b: [n, k] }, ({ a, b }) => concat([a!, b!], 0)),
    ))

  it('matmul, every transposition', () =>
    agrees(
      [dim, dim, dim, fc.boolean(), fc.boolean()],
      (m, k, n, transA, transB) =>
        gradientError({ a: transA ? [k, m] : [m, k], b: transB ? [n, k] : [k, n] }, ({ a, b }) =>
          matmul(a!, b!, { transA, transB }),
        ),
      10,
    ))

  it('matmul in batches', () =>
    agrees(
      [dim, dim, dim, fc.boolean(), fc.boolean()],
      (m, k, n, transA, transB) =>
        gradientError(
          { a: [3, ...(transA ? [k, m] : [m, k])], b: [3, ...(transB ? [n, k] : [k, n])] },
          ({ a, b }) => matmul(a!, b!, { transA, transB }),
        ),
      10,
    ))

  it('matmul of a batch with one matrix', () =>
    agrees([dim, dim, dim, fc.boolean()], (m, k, n, transB) =>
      gradientError({ a: [2, m, k], b: transB ? [n, k] : [k, n], c: [n] }, ({ a, b, c }) =>
        matmul(a!, b!, { transB, bias: c! }),
      ),
    ))

  it('conv1d, any stride, dilation, batch', () =>
    agrees(
      [
        fc.integer({ min: 1, max: 2 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 4 }),
      ],
      (batch, channels, filters, taps, stride, dilation, extra) =>
        gradientError(
          {
            x: [batch, channels, (taps - 1) * dilation + 1 + extra],
            w: [filters, channels, taps],
            bias: [filters],
          },
          ({ x, w, bias }) => conv1d(x!, w!, { stride, dilation, bias: bias! }),
        ),
      15,
    ))

  it('take, rows and columns', () =>
    agrees([fc.constantFrom<(0 | 1)[]>(0, 1)], (axis) =>
      gradientError({ table: [4, 4] }, ({ table, indices }) => take(table!, indices!, axis), {
        ints: { indices: Int32Array.of(3, 0, 3, 1, 3) },
      }),
    ))

  it('crossEntropy', () =>
    agrees([fc.integer({ min: 5, max: 9 })], (levels) =>
      gradientError(
        { logits: [3, levels] },
        ({ logits, targets }) => crossEntropy(logits!, targets!),
        {
          ints: { targets: Int32Array.of(4, 0, 2) },
        },
      ),
    ))

  it('bag, rows of several tables added up', () =>
    agrees([dim, dim, dim], (taps: number, width: number, n: number) =>
      gradientError(
        { tables: [taps * 5, width] },
        ({ tables, at }) => bag(tables!, reshape(at!, [n, taps]), 5),
        { ints: { at: Int32Array.from({ length: n * taps }, (_, i) => (3 * i) % 5) } },
      ),
    ))

  it('gru, over frames, units and streams', () =>
    agrees([dim, dim, dim], (frames: number, width: number, batch: number) =>
      gradientError(
        {
          x: [frames, 3 * width, batch],
          u: [3 * width, width],
          b: [3 * width, 1],
          h: [width, batch],
        },
        ({ x, u, b, h }) => gru(x!, u!, b!, h!),
      ),
    ))
})
