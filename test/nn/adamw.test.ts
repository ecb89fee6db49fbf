import { beforeAll, describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { Engine, type Program } from '../../src/engine/index.js'
import { Graph } from '../../src/graph/index.js'
import {
  ADAMW,
  type AdamWScalars,
  adamW,
  corrections,
  learningRate,
  SCALARS,
  type Schedule,
} from '../../src/nn/index.js'

const PARAMETERS = [
  { name: 'weight', shape: [7, 5] },
  { name: 'bias', shape: [5] },
  { name: 'kernel', shape: [3, 2, 4] },
  { name: 'gain', shape: [] },
]
const SIZES = PARAMETERS.map(({ shape }) => shape.reduce((n: number, dim) => n * dim, 1))

let engine: Engine
beforeAll(async () => {
  engine = await Engine.open()
})

/** Arrays of one kind (`p`, `m`, `v`, `g`, `a`), one for each parameter. */
type Kind = number[][]
interface State {
  p: Kind
  m: Kind
  v: Kind
  a: Kind
}

const draw = (random: Random): Kind =>
  SIZES.map((size) => Array.from({ length: size }, () => random.normal()))
const zeros = (): Kind => SIZES.map((size) => new Array<number>(size).fill(0))

/** Of the rate: each parameter has its own. */
const FACTORS = [1, 0.5, 0.1, 2]

/** AdamW as its paper writes it, number by number. */
function literal(state: State, g: Kind, t: number[], scalars: AdamWScalars): [State, number] {
  const { beta1, beta2, epsilon } = ADAMW
  const norm = Math.sqrt(g.flat().reduce((total, x) => total + x * x, 0))
  const clip = Math.min(1, scalars.clip / (norm + 1e-6))
  const next: State = { p: zeros(), m: zeros(), v: zeros(), a: zeros() }
  for (const [i, size] of SIZES.entries()) {
    const decay = PARAMETERS[i]!.shape.length < 2 ? 0 : scalars.decay
    for (let j = 0; j < size; j++) {
      const gradient = g[i]![j]! * clip
      const m = beta1 * state.m[i]![j]! + (1 - beta1) * gradient
      const v = beta2 * state.v[i]![j]! + (1 - beta2) * gradient ** 2
      const mHat = m / (1 - beta1 ** t[i]!)
      const vHat = v / (1 - beta2 ** t[i]!)
      const old = state.p[i]![j]!
      const p =
        old - FACTORS[i]! * scalars.rate * (mHat / (Math.sqrt(vHat) + epsilon) + decay * old)
      next.p[i]![j] = p
      next.m[i]![j] = m
      next.v[i]![j] = v
      next.a[i]![j] = scalars.average * state.a[i]![j]! + (1 - scalars.average) * p
    }
  }
  return [next, norm]
}

function feedsOf<A>(state: State, g: Kind, t: number[], scalars: AdamWScalars, array: Make<A>) {
  const feeds: Record<string, A> = {}
  for (const [i, { name }] of PARAMETERS.entries()) {
    for (const [kind, arrays] of Object.entries({ ...state, g })) {
      feeds[`${kind}.${name}`] = array(arrays[i]!)
    }
  }
  for (const name of SCALARS) feeds[name] = array([scalars[name]])
  feeds.rates = array(FACTORS.map((factor) => factor * scalars.rate))
  const both = t.map((update) => corrections(update, ADAMW))
  feeds.correction1 = array(both.map(([first]) => first))
  feeds.correction2 = array(both.map(([, second]) => second))
  return feeds
}
type Make<A> = (values: number[]) => A

const compile = (dtype: 'float32' | 'float64'): Promise<Program> =>
  engine.compile(adamW(new Graph(dtype), PARAMETERS, ADAMW, { average: true }))

describe('adamW', () => {
  it.each([
    ['clipped', 0.5],
    ['unclipped', 1e30],
  ])('equals the algorithm of its paper in float64, %s', async (_, clip) => {
    const program = await compile('float64')
    const random = new Random(5)
    const p = draw(random)
    let state: State = { p, m: zeros(), v: zeros(), a: p }
    for (let update = 1; update <= 6; update++) {
      const g = draw(random)
      // the last parameters joined later: each has its own count
      const t = [update, update, update + 3, update + 40]
      const scalars = { rate: 0.01 * update, decay: 0.1, clip, average: 0.9 }
      const found = await program.run(feedsOf(state, g, t, scalars, (x) => Float64Array.from(x)))
      const [next, norm] = literal(state, g, t, scalars)
      expect(found.norm![0]).toBeCloseTo(norm, 12)
      for (const [kind, arrays] of Object.entries(next) as [string, Kind][]) {
        for (const [i, { name }] of PARAMETERS.entries()) {
          const got = found[`next.${kind}.${name}`]!
          for (const [j, x] of arrays[i]!.entries()) {
            expect(Math.abs(got[j]! - x)).toBeLessThan(1e-12)
          }
        }
      }
      state = next
    }
    await program.dispose()
  })

  it('gives the same bits twice in float32', async () => {
    const random = new Random(6)
    const state = { p: draw(random), m: draw(random), v: draw(random), a: draw(random) }
    state.v = state.v.map((values) => values.map(Math.abs))
    const g = draw(random)
    const scalars = { rate: 1e-3, decay: 0.1, clip: 1, average: 0.99 }
    const feeds = feedsOf(state, g, [3, 3, 3, 3], scalars, (x) => Float32Array.from(x))
    const first = await compile('float32')
    const second = await compile('float32')
    const results = [await first.run(feeds), await first.run(feeds), await second.run(feeds)]
    expect(results[1]).toEqual(results[0])
    expect(results[2]).toEqual(results[0])
  })

  it('does nothing for a rate of zero', async () => {
    const random = new Random(7)
    const p = draw(random)
    const state = { p, m: zeros(), v: zeros(), a: p }
    const scalars = { rate: 0, decay: 0.1, clip: 1, average: 0.9 }
    const feeds = feedsOf(state, draw(random), [1, 1, 1, 1], scalars, (x) => Float32Array.from(x))
    const found = await (await compile('float32')).run(feeds)
    expect(found['next.p.weight']).toEqual(feeds['p.weight'])
    expect(found['next.a.weight']).toEqual(feeds['p.weight'])
  })

  it('passes NaN on in the norm', async () => {
    const random = new Random(8)
    const g = draw(random)
    g[2]![5] = Number.NaN
    const state = { p: draw(random), m: zeros(), v: zeros(), a: zeros() }
    const scalars = { rate: 1e-3, decay: 0, clip: 1, average: 0 }
    const feeds = feedsOf(state, g, [1, 1, 1, 1], scalars, (x) => Float32Array.from(x))
    const { norm } = await (await compile('float32')).run(feeds)
    expect(norm![0]).toBeNaN()
  })
})

describe('learningRate', () => {
  const rate = (targets: number, schedule: Schedule) =>
    learningRate(targets, { peak: 2, warmup: 100, total: 1100, schedule })

  it('rises linearly, then falls to its floor', () => {
    for (const kind of ['cosine', 'linear'] as const) {
      const schedule = { kind, floor: 0.1 }
      expect(rate(50, schedule)).toBe(1)
      expect(rate(100, schedule)).toBe(2)
      expect(rate(600, schedule)).toBeCloseTo(1.1, 12)
      expect(rate(1100, schedule)).toBeCloseTo(0.2, 12)
      expect(rate(9999, schedule)).toBeCloseTo(0.2, 12)
    }
    expect(rate(350, { kind: 'cosine', floor: 0 })).toBeCloseTo(1 + Math.SQRT1_2, 12)
    expect(rate(350, { kind: 'linear', floor: 0 })).toBeCloseTo(1.5, 12)
  })

  it('can stay, or fall in steps at shares of the run', () => {
    expect(rate(800, { kind: 'constant' })).toBe(2)
    const steps = [
      { share: 0.5, factor: 0.05 },
      { share: 0.75, factor: 0.01 },
    ]
    expect(rate(549, { kind: 'steps', steps })).toBe(2)
    expect(rate(550, { kind: 'steps', steps })).toBeCloseTo(0.1, 12)
    expect(rate(825, { kind: 'steps', steps })).toBeCloseTo(0.02, 12)
  })

  it('needs no warm-up', () => {
    const schedule = { kind: 'cosine', floor: 0 } as const
    expect(learningRate(0, { peak: 1, warmup: 0, total: 10, schedule })).toBe(1)
  })
})
