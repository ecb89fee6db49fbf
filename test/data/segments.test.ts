import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SILENCE } from '../../src/audio/index.js'
import { type Piece, type Segment, segmentAt, segmentLoader } from '../../src/data/index.js'

/** A piece whose codes count up, so that a segment shows where it is from. */
function piece(samples: number, name = 'piece'): Piece {
  const codes = Uint8Array.from({ length: samples }, (_, i) => i % 251)
  return { name, split: 'train', samples, seconds: samples / 16000, codes: () => codes }
}

const take = (loader: { next(): Segment }, count: number) =>
  Array.from({ length: count }, () => loader.next())

const anySizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 6 })
const anyLength = fc.integer({ min: 1, max: 40 })
const anySeed = fc.integer({ min: 0, max: 2 ** 32 - 1 })

describe('segments of one epoch', () => {
  it('are stretches of the pieces at their offsets', () => {
    fc.assert(
      fc.property(anySizes, anyLength, anySeed, (sizes, length, seed) => {
        const pieces = sizes.map((size) => piece(size))
        const loader = segmentLoader({ pieces, length, seed })
        for (const { codes, piece: p, offset, padded } of take(loader, loader.segmentsPerEpoch)) {
          expect(codes).toHaveLength(length + 1)
          const source = pieces[p]!.codes()
          expect(codes.subarray(padded)).toEqual(
            source.subarray(offset, offset + length + 1 - padded),
          )
          expect(codes.subarray(0, padded).every((code) => code === SILENCE)).toBe(true)
        }
      }),
    )
  })

  it('follow one another in each piece, from a start below the length, to its end', () => {
    fc.assert(
      fc.property(anySizes, anyLength, anySeed, (sizes, length, seed) => {
        const loader = segmentLoader({ pieces: sizes.map((size) => piece(size)), length, seed })
        const segments = take(loader, loader.segmentsPerEpoch)
        sizes.forEach((size, p) => {
          const mine = segments.filter((segment) => segment.piece === p)
          const offsets = mine.map(({ offset }) => offset).sort((a, b) => a - b)
          expect(offsets.length).toBeGreaterThan(0)
          offsets.forEach((offset, k) => {
            expect(offset).toBe(offsets[0]! + k * length)
          })
          expect(offsets[0]!).toBeLessThan(length)
          // no whole segment is left over at the end
          if (size > length) expect(size - 1 - offsets.at(-1)! - length).toBeLessThan(length)
        })
      }),
    )
  })

  it('use a short piece once, padded with silence on the left, and say so', () => {
    const loader = segmentLoader({ pieces: [piece(5), piece(50)], length: 10, seed: 1 })
    const short = take(loader, loader.segmentsPerEpoch).filter((segment) => segment.piece === 0)
    expect(short).toHaveLength(1)
    expect(short[0]).toEqual({
      codes: Uint8Array.of(128, 128, 128, 128, 128, 128, 0, 1, 2, 3, 4),
      piece: 0,
      offset: 0,
      padded: 6,
      begins: true,
    })
  })

  it('take a piece of length + 1 whole', () => {
    const loader = segmentLoader({ pieces: [piece(11)], length: 10, seed: 1 })
    expect(loader.segmentsPerEpoch).toBe(1)
    expect(loader.next()).toMatchObject({ offset: 0, padded: 0 })
  })

  it('cannot be written through to the piece', () => {
    const source = piece(100)
    segmentLoader({ pieces: [source], length: 10, seed: 1 })
      .next()
      .codes.fill(7)
    expect(source.codes()).toEqual(piece(100).codes())
  })
})

describe('a lead', () => {
  const anyLead = fc.integer({ min: 1, max: 120 })

  it('is the history of the piece, with silence before its beginning', () => {
    fc.assert(
      fc.property(anySizes, anyLength, anyLead, anySeed, (sizes, length, lead, seed) => {
        const pieces = sizes.map((size) => piece(size))
        const loader = segmentLoader({ pieces, length, lead, seed })
        for (const { codes, piece: p, offset, padded } of take(loader, loader.segmentsPerEpoch)) {
          expect(codes).toHaveLength(lead + length + 1)
          const start = padded > 0 ? -padded : offset
          const source = pieces[p]!.codes()
          const expected = codes.map((_, i) => source[start - lead + i] ?? SILENCE)
          expect(Buffer.compare(codes, expected)).toBe(0)
        }
      }),
      { seed: 71, numRuns: 50 },
    )
  })

  it('changes nothing after it, nor the order of segments', () => {
    fc.assert(
      fc.property(anySizes, anyLength, anyLead, anySeed, (sizes, length, lead, seed) => {
        const options = { pieces: sizes.map((size) => piece(size)), length, seed }
        const [plain, led] = [segmentLoader(options), segmentLoader({ ...options, lead })]
        const count = 2 * plain.segmentsPerEpoch + 1 // into the third epoch
        const found = take(led, count).map((s) => ({ ...s, codes: s.codes.slice(lead) }))
        expect(found).toEqual(take(plain, count))
        expect(led.cursor).toEqual(plain.cursor)
      }),
      { seed: 72, numRuns: 40 },
    )
  })

  it('stays when the length changes', () => {
    const loader = segmentLoader({ pieces: [piece(500)], length: 16, lead: 7, seed: 1 })
    loader.setLength(40)
    expect(loader.next().codes).toHaveLength(7 + 40 + 1)
  })
})

describe('segmentAt', () => {
  it('cuts anywhere, and is silent where the piece has nothing', () => {
    const source = piece(6)
    const at = (place: number) => [...segmentAt(source, place, { length: 2, lead: 3 })]
    expect(at(3)).toEqual([0, 1, 2, 3, 4, 5])
    expect(at(1)).toEqual([128, 128, 0, 1, 2, 3])
    expect(at(0)).toEqual([128, 128, 128, 0, 1, 2])
    expect(at(-2)).toEqual([128, 128, 128, 128, 128, 0])
    expect([...segmentAt(source, 3, { length: 2, lead: 0 })]).toEqual([3, 4, 5])
  })
})

describe('epochs', () => {
  const pieces = [piece(1000, 'a'), piece(777, 'b'), piece(30, 'c')]

  it('differ in order and in borders', () => {
    const loader = segmentLoader({ pieces, length: 40, seed: 3 })
    const borders = new Set<number>()
    const orders = new Set<string>()
    for (let epoch = 0; epoch < 8; epoch++) {
      expect(loader.cursor.epoch).toBe(Math.max(0, epoch - 1)) // begins with the next segment
      const segments = take(loader, 1)
      expect(loader.cursor.epoch).toBe(epoch)
      segments.push(...take(loader, loader.segmentsPerEpoch - 1))
      orders.add(JSON.stringify(segments.map(({ piece, offset }) => [piece, offset])))
      for (const { piece, offset } of segments) if (piece === 0) borders.add(offset % 40)
    }
    expect(orders.size).toBe(8)
    expect(borders.size).toBeGreaterThan(4)
  })

  it('mix the pieces', () => {
    const loader = segmentLoader({ pieces, length: 40, seed: 3 })
    const order = take(loader, loader.segmentsPerEpoch).map((segment) => segment.piece)
    expect(order).not.toEqual([...order].sort())
  })

  it('over time reach every place of a piece', () => {
    const loader = segmentLoader({ pieces: [piece(100)], length: 30, seed: 1 })
    const seen = new Set<number>()
    for (const { offset } of take(loader, 600)) for (let i = 0; i <= 30; i++) seen.add(offset + i)
    expect(seen.size).toBe(100)
  })
})

describe('the same bits', () => {
  const pieces = [piece(500), piece(333), piece(7)]

  it('come from the same seed, others from another seed or stream', () => {
    const first = (seed: number, stream?: number) =>
      take(segmentLoader({ pieces, length: 16, seed, ...(stream && { stream }) }), 100)
    expect(first(5)).toEqual(first(5))
    expect(first(5)).not.toEqual(first(6))
    expect(first(5)).not.toEqual(first(5, 1))
  })

  it('come after resuming from a cursor that went through JSON, at any place', () => {
    const step = fc.oneof(fc.constant('next' as const), fc.integer({ min: 1, max: 60 }))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), anySeed, (steps, seed) => {
        const loader = segmentLoader({ pieces, length: 16, seed })
        for (const one of steps) {
          if (one === 'next') loader.next()
          else loader.setLength(one)
        }
        const cursor = JSON.parse(JSON.stringify(loader.cursor))
        const resumed = segmentLoader({ pieces, length: 16, seed, cursor })
        expect(resumed.length).toBe(loader.length)
        expect(take(resumed, 90)).toEqual(take(loader, 90))
        expect(resumed.cursor).toEqual(loader.cursor)
      }),
      { numRuns: 50 },
    )
  })

  it('a cursor is a copy', () => {
    const loader = segmentLoader({ pieces, length: 16, seed: 1 })
    const cursor = loader.cursor
    loader.next()
    expect(cursor.index).toBe(0)
    expect(loader.cursor.index).toBe(1)
  })
})

describe('a new length', () => {
  it('starts a new epoch of segments of that length', () => {
    const loader = segmentLoader({ pieces: [piece(500)], length: 10, seed: 1 })
    loader.next()
    loader.setLength(50)
    expect(loader.cursor).toMatchObject({ epoch: 1, index: 0, length: 50 })
    const segments = take(loader, loader.segmentsPerEpoch)
    expect(segments.every(({ codes }) => codes.length === 51)).toBe(true)
    expect(loader.cursor.epoch).toBe(1)
  })

  it('before the first segment is the same as beginning with it', () => {
    const changed = segmentLoader({ pieces: [piece(500)], length: 10, seed: 1 })
    changed.setLength(20)
    const begun = segmentLoader({ pieces: [piece(500)], length: 20, seed: 1 })
    expect(changed.cursor).toEqual(begun.cursor)
    expect(take(changed, 30)).toEqual(take(begun, 30))
  })
})

describe('a loader is refused', () => {
  const pieces = [piece(500)]
  const loader = segmentLoader({ pieces, length: 10, seed: 1 })

  it('without pieces', () => {
    expect(() => segmentLoader({ pieces: [], length: 10, seed: 1 })).toThrow('nothing to load')
  })

  it.each([0, -1, 1.5, Number.NaN])('for the length %d', (length) => {
    expect(() => segmentLoader({ pieces, length, seed: 1 })).toThrow('length of a segment')
    expect(() => loader.setLength(length)).toThrow('length of a segment')
  })

  it('for a cursor of another seed or of other pieces', () => {
    const { cursor } = loader
    expect(() => segmentLoader({ pieces, length: 10, seed: 2, cursor })).toThrow('its seed')
    expect(() => segmentLoader({ pieces: [piece(501)], length: 10, seed: 1, cursor })).toThrow(
      'its samples',
    )
    expect(() =>
      segmentLoader({ pieces: [...pieces, piece(1)], length: 10, seed: 1, cursor }),
    ).toThrow('its pieces')
  })
})
