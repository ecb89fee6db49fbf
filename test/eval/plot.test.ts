import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/base/errors.js'
import { linePlot, type PlotOptions } from '../../src/eval/plot.js'
import { scaleOf } from '../../src/eval/scale.js'

const plot = (options: Partial<PlotOptions> = {}) =>
  linePlot({
    title: 'Training',
    x: { label: 'step' },
    y: { label: 'bits/sample' },
    series: [
      {
        name: 'held out',
        points: [
          [0, 8],
          [500, 4],
          [1000, 3],
        ],
      },
    ],
    ...options,
  })

/** The texts of an SVG in order, and a check that its tags match and its numbers are numbers. */
function readSvg(svg: string) {
  expect(svg).not.toMatch(/"[^"]*(NaN|Infinity|undefined)[^"]*"/)
  const open: string[] = []
  const texts: string[] = []
  for (const [, slash, name, empty] of svg.matchAll(
    /<(\/?)([a-z]+)(?:\s+[\w:-]+=(?:"[^"<]*"|'[^'<]*'))*\s*(\/?)>/g,
  )) {
    if (slash && open.pop() !== name) throw new Error(`</${name}> closes another`)
    if (!slash && !empty) open.push(name!)
  }
  expect(open).toEqual([])
  expect(svg.replace(/<\/?[a-z][^<>]*>/g, '')).not.toMatch(/[<>]/)
  for (const [, content] of svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)) texts.push(content!)
  return texts
}

const dots = (svg: string) =>
  [...svg.matchAll(/<circle cx="([^"]+)" cy="([^"]+)"/g)].map(([, x, y]) => [Number(x), Number(y)])

/** Any code points, lone surrogates and controls included. */
const anyText = fc
  .array(fc.oneof(fc.nat({ max: 0x7f }), fc.nat({ max: 0xffff }), fc.nat({ max: 0x10ffff })), {
    maxLength: 12,
  })
  .map((points) => String.fromCodePoint(...points))

describe('linePlot', () => {
  it('shows its title, its labels, its legend and round ticks', () => {
    const texts = readSvg(plot())
    for (const expected of ['Training', 'held out', 'step', 'bits/sample', '0', '400', '1000']) {
      expect(texts).toContain(expected)
    }
    expect(texts.filter((text) => /^[3-8]$/.test(text))).toEqual(['3', '4', '5', '6', '7', '8'])
    expect(plot()).toBe(plot())
  })

  it('has no legend for a single line without a name', () => {
    const points = [[1, 2]] as const
    expect(readSvg(plot({ series: [{ name: '', points }] }))).not.toContain('')
  })

  it('draws more to the right and above where x and y are larger', () => {
    const [a, b, c] = dots(plot()) as [number[], number[], number[]]
    expect(a[0]).toBeLessThan(b[0]!)
    expect(b[0]! - a[0]!).toBeCloseTo(c[0]! - b[0]!, 0)
    expect(a[1]).toBeLessThan(b[1]!)
    expect((b[1]! - a[1]!) / (c[1]! - b[1]!)).toBeCloseTo(4, 1)
  })

  it('puts equal factors at equal distances on a logarithmic axis', () => {
    const points = [
      [64, 3],
      [256, 2.8],
      [1024, 2.7],
    ] as const
    const svg = plot({ x: { label: 'context', log: true }, series: [{ name: 'a', points }] })
    const [a, b, c] = dots(svg) as [number[], number[], number[]]
    expect(b[0]! - a[0]!).toBeCloseTo(c[0]! - b[0]!, 0)
    expect(readSvg(svg)).toEqual(expect.arrayContaining(['100', '200', '500', '1k']))
  })

  it('draws an error bar as tall as two errors, within the axis', () => {
    const points = [
      [0, 2, 0.5],
      [1, 4],
    ] as const
    const svg = plot({ series: [{ name: 'a', points }] })
    const [, x, low, high] = /M([\d.]+) ([\d.]+)V([\d.]+)M/.exec(svg)!.map(Number)
    const [a, b] = dots(svg) as [number[], number[]]
    expect(x).toBe(a[0])
    expect(low! - high!).toBeCloseTo((a[1]! - b[1]!) / 2, 0)
    expect(svg.match(/V[\d.]+M/g)).toHaveLength(1)
    expect(readSvg(svg)).toContain('1.5')
  })

  it('breaks the line where a value is missing', () => {
    const points = [
      [0, 1],
      [1, 2],
      [2, Number.NaN],
      [3, 3],
      [4, 4],
    ] as const
    const svg = plot({ series: [{ name: 'a', points }] })
    const [, path] = /<path d="([^"]+)"/.exec(svg)!
    expect(path!.match(/M/g)).toHaveLength(2)
    expect(path!.match(/L/g)).toHaveLength(2)
    readSvg(svg)
  })

  it('leaves the dots out of a dense line', () => {
    const points = Array.from({ length: 500 }, (_, i) => [i, Math.sin(i)] as const)
    expect(dots(plot({ series: [{ name: 'loss', points }] }))).toEqual([])
  })

  it('wraps a legend that is wide, and moves the plot below it', () => {
    const series = Array.from({ length: 9 }, (_, i) => ({
      name: `a model with a long name, number ${i}`,
      points: [[i, i]] as const,
    }))
    const svg = plot({ series })
    const texts = readSvg(svg)
    for (const { name } of series) expect(texts).toContain(name)
    const lines = [...svg.matchAll(/y="([\d.]+)"[^>]*>a model/g)].map(([, y]) => Number(y))
    expect(new Set(lines).size).toBeGreaterThan(2)
    for (const [, y] of dots(svg)) expect(y).toBeGreaterThan(Math.max(...lines))
  })

  it('is well-formed whatever the texts and the numbers are', () => {
    const value = fc.oneof(
      fc.double({ min: -1e6, max: 1e6, noDefaultInfinity: true }),
      fc.double({ min: 0, max: 1e-3, noNaN: true }),
      fc.integer({ min: -10, max: 10 }),
    )
    fc.assert(
      fc.property(
        anyText,
        fc.array(fc.tuple(anyText, fc.array(fc.tuple(value, value), { maxLength: 8 })), {
          maxLength: 4,
        }),
        (title, lines) => {
          const series = lines.map(([name, points]) => ({ name, points }))
          if (!series.some(({ points }) => points.some((p) => p.every(Number.isFinite)))) return
          readSvg(plot({ title, series, x: { label: title }, y: { label: title } }))
        },
      ),
      { numRuns: 50 },
    )
  })

  it('refuses no points, and an x of 0 on a logarithmic axis', () => {
    expect(() => plot({ series: [] })).toThrow(UsageError)
    expect(() => plot({ series: [{ name: 'a', points: [] }] })).toThrow(UsageError)
    const points = [[Number.NaN, 1]] as const
    expect(() => plot({ series: [{ name: 'a', points }] })).toThrow(UsageError)
    expect(() => plot({ x: { label: 'context', log: true } })).toThrow(UsageError)
  })
})

describe('scaleOf', () => {
  const labels = (values: number[], log = false) => scaleOf(values, log).ticks.map((t) => t.label)

  it('labels linear axes in steps of 1, 2 or 5, in one unit', () => {
    expect(labels([2.31, 2.58])).toEqual(['2.30', '2.35', '2.40', '2.45', '2.50', '2.55', '2.60'])
    expect(labels([0, 5000])).toEqual(['0', '1000', '2000', '3000', '4000', '5000'])
    expect(labels([0, 12_000])).toEqual(['0', '2k', '4k', '6k', '8k', '10k', '12k'])
    expect(labels([-3, 2])).toEqual(['-3', '-2', '-1', '0', '1', '2'])
    expect(labels([7, 7])).toEqual(['2', '4', '6', '8', '10', '12'])
    expect(labels([0, 0])).toContain('0')
    expect(labels([0, 5e-324])).toContain('0')
    expect(labels([1e6, 1e6 + 1e-9]).length).toBeGreaterThan(1)
  })

  it('labels logarithmic axes with powers of ten, more of them where there is room', () => {
    expect(labels([64, 1024], true)).toEqual(['100', '200', '500', '1k'])
    expect(labels([64, 131_072], true)).toEqual(['100', '300', '1k', '3k', '10k', '30k', '100k'])
    expect(labels([1, 1e8], true)).toEqual([
      '1',
      '10',
      '100',
      '1k',
      '10k',
      '100k',
      '1M',
      '10M',
      '100M',
    ])
    expect(labels([1e-3, 1e-2], true)).toEqual(['0.001', '0.002', '0.005', '0.01'])
    expect(labels([300, 400], true).length).toBeGreaterThan(1)
  })

  it('holds every value between its ends, in order, and has few ticks', () => {
    const value = fc.double({ min: -1e9, max: 1e9, noNaN: true })
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), fc.boolean(), (raw, log) => {
        const values = log ? raw.map((x) => Math.abs(x) + 1e-6) : raw
        const { share, ticks } = scaleOf(values, log)
        const sorted = [...values].sort((a, b) => a - b).map(share)
        expect(sorted[0]).toBeGreaterThanOrEqual(-1e-9)
        expect(sorted.at(-1)).toBeLessThanOrEqual(1 + 1e-9)
        expect(sorted.every((x, i) => i === 0 || x >= sorted[i - 1]!)).toBe(true)
        expect(ticks.length).toBeGreaterThanOrEqual(1)
        expect(ticks.length).toBeLessThanOrEqual(10)
        for (const tick of ticks) expect(tick.share).toBeGreaterThan(-1e-6)
      }),
    )
  })
})
