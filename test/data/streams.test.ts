/** Streams of segments: without gaps, over all pieces, and going on from a cursor. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SILENCE } from '../../src/audio/index.js'
import { UsageError } from '../../src/base/errors.js'
import { type Piece, type StreamCursor, streamLoader } from '../../src/data/index.js'

/** A piece whose codes count up. */
function piece(samples: number): Piece {
  const codes = Uint8Array.from({ length: samples }, (_, i) => i % 251)
  return { name: 'p', split: 'train', samples, seconds: samples, codes: () => codes }
}

const take = (loader: ReturnType<typeof streamLoader>, count: number) =>
  Array.from({ length: count }, () => loader.next())

const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 })
const count = fc.integer({ min: 1, max: 5 })
const seed = fc.integer({ min: 0, max: 2 ** 32 - 1 })

describe('streams', () => {
  it('go on without a gap, and say where they begin anew', () => {
    fc.assert(
      fc.property(
        sizes,
        count,
        fc.integer({ min: 1, max: 30 }),
        seed,
        (of, streams, length, seed) => {
          const pieces = of.map(piece)
          const loader = streamLoader({ pieces, length, streams, seed })
          expect(loader.streams).toBe(streams)
          const before: { piece: number; end: number }[] = []
          for (const [i, segment] of take(loader, 20 * streams).entries()) {
            const { codes, piece: p, offset, padded, begins } = segment
            expect(codes).toHaveLength(length + 1)
            const whole = pieces[p]!.codes()
            expect(codes.subarray(padded)).toEqual(
              whole.slice(offset, offset + length + 1 - padded),
            )
            expect([...codes.subarray(0, padded)]).toEqual(Array(padded).fill(SILENCE))
            const known = before[i % streams]
            if (!begins) expect({ piece: p, end: offset }).toEqual(known)
            if (i < streams) expect(begins).toBe(true)
            before[i % streams] = { piece: p, end: offset + length - padded }
          }
        },
      ),
    )
  })

  it('hear every piece once an epoch, nearly whole', () => {
    const pieces = [piece(1000), piece(700), piece(5), piece(11)]
    const loader = streamLoader({ pieces, length: 10, streams: 3, seed: 4 })
    const heard = pieces.map(({ samples }) => new Uint8Array(samples))
    let epoch = 0
    while (epoch === 0) {
      const { piece: p, offset, padded } = loader.next()
      epoch = loader.cursor.epoch
      const end = epoch === 0 ? offset + 10 - padded : offset
      for (let at = offset; at < end; at++) heard[p]![at]!++
    }
    const counts = heard.map((all) => all.filter((n) => n === 1).length)
    expect(heard.flatMap((all) => [...all]).every((n) => n <= 1)).toBe(true)
    // the last passages may not have ended with the epoch; less than a segment is lost on each side
    expect(counts[0]! + counts[1]!).toBeGreaterThan(1000)
    expect(counts.slice(2).every((n) => n > 0)).toBe(true)
  })

  it('leave a long piece for another after 8 seconds', () => {
    const pieces = [piece(500_000), piece(500_000)]
    const loader = streamLoader({ pieces, length: 1000, streams: 1, seed: 1 })
    const begins = take(loader, 900).flatMap((segment, i) => (segment.begins ? [i] : []))
    const lengths = begins.slice(1).map((at, i) => at - begins[i]!)
    expect(Math.max(...lengths)).toBe(128)
  })

  it('begin with a history where one is wanted', () => {
    const pieces = [piece(300)]
    const loader = streamLoader({ pieces, length: 20, streams: 2, lead: 7, seed: 1 })
    for (const { codes, offset } of take(loader, 20)) {
      expect(codes).toHaveLength(28)
      const before = Array.from({ length: 7 }, (_, i) => {
        const at = offset - 7 + i
        return at < 0 ? SILENCE : at % 251
      })
      expect([...codes.subarray(0, 7)]).toEqual(before)
    }
  })

  it('go on from a cursor, through JSON, to the same segments', () => {
    fc.assert(
      fc.property(sizes, count, seed, fc.integer({ min: 0, max: 60 }), (of, streams, seed, at) => {
        const options = { pieces: of.map(piece), length: 9, streams, seed }
        const loader = streamLoader(options)
        take(loader, at)
        const cursor = JSON.parse(JSON.stringify(loader.cursor)) as StreamCursor
        const other = streamLoader({ ...options, length: 1, streams: 1, cursor })
        expect(take(other, 40)).toEqual(take(loader, 40))
        expect(other.cursor).toEqual(loader.cursor)
      }),
    )
  })

  it('restart with others in the next epoch', () => {
    const options = { pieces: [piece(400), piece(300)], length: 9, streams: 2, seed: 5 }
    const loader = streamLoader(options)
    loader.restart({ length: 12, streams: 3 })
    // nothing was given: the same as if it had been opened so
    const fresh = streamLoader({ ...options, length: 12, streams: 3 })
    expect(take(loader, 12)).toEqual(take(fresh, 12))
    const { epoch } = loader.cursor
    loader.restart({ length: 20, streams: 1 })
    expect(loader).toMatchObject({ length: 20, streams: 1, cursor: { epoch: epoch + 1, index: 0 } })
    expect(loader.next()).toMatchObject({ begins: true })
  })

  it('refuse cursors of other data, and no data', () => {
    const options = { pieces: [piece(400)], length: 9, streams: 2, seed: 5 }
    const { cursor } = streamLoader(options)
    for (const change of [{ seed: 6 }, { pieces: [piece(401)] }]) {
      expect(() => streamLoader({ ...options, ...change, cursor })).toThrow(UsageError)
    }
    expect(() => streamLoader({ ...options, pieces: [] })).toThrow(/nothing to load/)
  })
})
