import { beforeAll, describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { Engine } from '../../src/engine/index.js'
import type { Arrays } from '../../src/models/model.js'
import { ADAMW } from '../../src/nn/index.js'
import { Optimiser } from '../../src/train/optimiser.js'

/** `encoder` is a prefix of two names, and neither of `encode.w` nor of `head.encoder`. */
const SPECS = [
  { name: 'encoder.0.w', shape: [4, 3] },
  { name: 'encoder.0.b', shape: [3] },
  { name: 'encode.w', shape: [2, 2] },
  { name: 'head.encoder', shape: [5] },
]
const NAMES = SPECS.map(({ name }) => name)
const OF_ENCODER = ['encoder.0.w', 'encoder.0.b']

const SCALARS = { rate: 0.01, decay: 0, clip: Number.POSITIVE_INFINITY, average: 0 }

let engine: Engine
beforeAll(async () => {
  engine = await Engine.open({ threads: 1 })
})

function draw(seed: number): Arrays {
  const random = new Random(seed)
  const entries = SPECS.map(({ name, shape }) => {
    const values = new Float32Array(shape.reduce((n, dim) => n * dim, 1))
    return [name, values.map(() => random.normal())] as const
  })
  return Object.fromEntries(entries)
}

/** What `steps` steps add to every parameter, and where they lead. */
async function moved(
  rates: Record<string, number> | undefined,
  { steps = 1, scalars = SCALARS }: { steps?: number; scalars?: typeof SCALARS } = {},
) {
  const start = draw(1)
  const optimiser = new Optimiser(engine, SPECS, ADAMW, false, rates)
  optimiser.begin(start)
  for (let step = 0; step < steps; step++) await optimiser.update(draw(2 + step), scalars)
  const end = Object.fromEntries(NAMES.map((name) => [name, optimiser.parameters[name]!.slice()]))
  await optimiser.dispose()
  const by = Object.fromEntries(
    NAMES.map((name) => [name, end[name]!.map((x, i) => x - start[name]![i]!)]),
  )
  return { start, end, by }
}

describe('factors of the learning rate', () => {
  it('of one, or none, change nothing', async () => {
    const { end } = await moved(undefined, { steps: 3 })
    expect((await moved({}, { steps: 3 })).end).toEqual(end)
    expect((await moved({ encoder: 1 }, { steps: 3 })).end).toEqual(end)
    expect((await moved({ local: 0 }, { steps: 3 })).end).toEqual(end)
  })

  it('halve a first step of the parameters whose names begin so, and of no others', async () => {
    const usual = await moved(undefined)
    const { by } = await moved({ 'encoder.': 0.5 })
    for (const name of NAMES) {
      const factor = OF_ENCODER.includes(name) ? 0.5 : 1
      for (const [i, x] of by[name]!.entries()) {
        // the first step of Adam is the rate itself
        expect(Math.abs(usual.by[name]![i]!)).toBeCloseTo(0.01, 6)
        expect(x).toBeCloseTo(factor * usual.by[name]![i]!, 6)
      }
    }
  })

  it('hold for every step: moments are those of the usual rate', async () => {
    const usual = await moved(undefined, { steps: 5 })
    const { by } = await moved({ encoder: 0.1 }, { steps: 5 })
    for (const name of OF_ENCODER) {
      for (const [i, x] of by[name]!.entries()) {
        expect(x).toBeCloseTo(0.1 * usual.by[name]![i]!, 6)
      }
    }
  })

  it('of zero leave parameters as they are, bit for bit, whatever decays', async () => {
    const scalars = { ...SCALARS, decay: 0.5 }
    const { start, end } = await moved({ encoder: 0 }, { steps: 4, scalars })
    for (const name of NAMES) {
      if (OF_ENCODER.includes(name)) expect(end[name]).toEqual(start[name])
      else expect(end[name]).not.toEqual(start[name])
    }
  })

  it('scale the decay of weights with the rate', async () => {
    const decayed = async (rates: Record<string, number>) => {
      const { end } = await moved(rates, { scalars: { ...SCALARS, rate: 0.5, decay: 0.2 } })
      const plain = await moved(rates, { scalars: { ...SCALARS, rate: 0.5 } })
      return {
        start: plain.start,
        lost: (name: string) => end[name]!.map((x, i) => x - plain.end[name]![i]!),
      }
    }
    const usual = await decayed({})
    const { start, lost } = await decayed({ encoder: 0.1 })
    for (const [i, x] of start['encoder.0.w']!.entries()) {
      expect(usual.lost('encoder.0.w')[i]).toBeCloseTo(-0.1 * x, 6)
      expect(lost('encoder.0.w')[i]).toBeCloseTo(-0.01 * x, 6)
    }
    expect(lost('encode.w')).toEqual(usual.lost('encode.w'))
    for (const x of lost('encoder.0.b')) expect(x).toBe(0) // vectors do not decay
  })

  it('are those of the first prefix that fits', async () => {
    const usual = await moved(undefined)
    const factorOf = async (rates: Record<string, number>) => {
      const { by } = await moved(rates)
      return OF_ENCODER.map((name) => by[name]![0]! / usual.by[name]![0]!)
    }
    const near = (found: number[], expected: number[]) =>
      found.every((x, i) => Math.abs(x - expected[i]!) < 1e-3)
    expect(near(await factorOf({ 'encoder.0.w': 0.2, encoder: 0.4 }), [0.2, 0.4])).toBe(true)
    expect(near(await factorOf({ encoder: 0.4, 'encoder.0.w': 0.2 }), [0.4, 0.4])).toBe(true)
  })
})
