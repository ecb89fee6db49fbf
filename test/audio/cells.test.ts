import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cellEdges, cellOf, cellWidths, quantizer } from '../../src/audio/index.js'

const TABLES = (['mu-law', 'linear'] as const).map((name) => [name, quantizer(name).table] as const)

describe.each(TABLES)('cells of %s', (_, table) => {
  const edges = cellEdges(table)

  it('meet half way between levels, and have no outer ends', () => {
    expect(edges).toHaveLength(257)
    expect([edges[0], edges[256]]).toEqual([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY])
    for (let i = 1; i < 256; i++) expect(edges[i]).toBe((table[i - 1]! + table[i]!) / 2)
  })

  it('hold their level, and each value lies in one', () => {
    for (const [code, value] of table.entries()) expect(cellOf(edges, value)).toBe(code)
    expect([cellOf(edges, -9), cellOf(edges, 9)]).toEqual([0, 255])
    fc.assert(
      fc.property(fc.double({ min: -1.5, max: 1.5, noNaN: true }), (value) => {
        const cell = cellOf(edges, value)
        expect(edges[cell]! <= value && value < edges[cell + 1]!).toBe(true)
      }),
      { seed: 1 },
    )
  })

  it('are as wide as their edges are apart, the outermost as their neighbours', () => {
    const widths = cellWidths(edges)
    expect(widths).toHaveLength(256)
    for (let i = 1; i < 255; i++) expect(widths[i]).toBe(edges[i + 1]! - edges[i]!)
    expect([widths[0], widths[255]]).toEqual([widths[1], widths[254]])
    expect(widths.every((width) => width > 0)).toBe(true)
  })
})
