import { Random } from '../base/random.js'
import type { Piece } from './dataset.js'
import { checkCursor, type Segment, samplesOf, segmentAt } from './segments.js'

/** A part of a piece that a stream goes through, or what is left of it. */
interface Stream {
  piece: number
  /** Where in the piece its next segment begins; before it for a piece that is too short. */
  at: number
  /** Segments that are left of its passage. */
  left: number
}

/** Where a loader of streams stands: plain JSON, enough to go on bit for bit. */
export interface StreamCursor {
  seed: number
  /** Inputs in a segment. */
  length: number
  streams: Stream[]
  /** The stream whose turn it is. */
  turn: number
  epoch: number
  /** Random numbers drawn before this epoch. */
  drawn: number
  /** Passages of this epoch that were given to streams. */
  index: number
  /** Number and summed samples of the pieces: a cursor fits no other data. */
  pieces: number
  samples: number
}

export interface StreamSize {
  /** Inputs in a segment, in samples. */
  length: number
  /** How many streams there are. */
  streams: number
}

/** With a cursor, its length and its streams count. */
export interface StreamOptions extends StreamSize {
  pieces: readonly Piece[]
  /** Codes of history in front of every segment; silence before a piece. Default 0. */
  lead?: number
  /** Any integer in [0, 2^32). */
  seed: number
  /** Goes on from there. */
  cursor?: StreamCursor
}

/** An endless source of segments that follow each other in streams; the streams take turns. */
export interface StreamLoader {
  next(): Segment
  /** Begins anew in the next epoch, with other segments or streams. */
  restart(size: StreamSize): void
  /** A copy of the state before the next segment. */
  readonly cursor: StreamCursor
  readonly length: number
  readonly streams: number
}

/**
 * Samples of a passage, about: 8 s at 16 kHz. Pieces are cut in passages, so that few long pieces are
 * heard in all their parts soon.
 */
const PASSAGE = 128_000

/** Separates this use of a seed from others. */
const STREAMS = 0x57e4

/**
 * Segments of parallel streams, one of each in turn. A stream goes through a passage of a piece
 * without a gap, then through another; in each epoch every piece is cut in passages at random places,
 * and those of all pieces are shuffled together. A piece shorter than length + 1 is a passage of one
 * segment, padded with silence on its left. The same seed gives the same segments.
 *
 * @throws UsageError when there is no piece, or the cursor is of other data
 */
export function streamLoader(options: StreamOptions): StreamLoader {
  const { pieces, seed, lead = 0 } = options
  const samples = samplesOf(pieces)
  const start = { seed, epoch: 0, drawn: 0, index: 0, pieces: pieces.length, samples }
  let cursor: StreamCursor = { ...start, ...idle(options) }
  if (options.cursor) cursor = structuredClone(checkCursor(options.cursor, cursor))
  let random = new Random(seed, STREAMS, cursor.drawn)
  let passages = plan(pieces, cursor.length, random)

  const startEpoch = (number: number) => {
    cursor = { ...cursor, epoch: number, drawn: random.state.drawn, index: 0 }
    passages = plan(pieces, cursor.length, random)
  }
  const nextPassage = () => {
    if (cursor.index === passages.length) startEpoch(cursor.epoch + 1)
    return passages[cursor.index++]!
  }

  return {
    get cursor() {
      return structuredClone(cursor)
    },
    get length() {
      return cursor.length
    },
    get streams() {
      return cursor.streams.length
    },
    restart(size) {
      // an epoch that has given nothing is planned anew from its own random numbers
      const unused = cursor.index === 0
      if (unused) random = new Random(seed, STREAMS, cursor.drawn)
      cursor = { ...cursor, ...idle(size) }
      startEpoch(cursor.epoch + (unused ? 0 : 1))
    },
    next() {
      const { length, turn } = cursor
      const known = cursor.streams[turn]!
      const begins = known.left === 0
      const { piece, at, left } = begins ? nextPassage() : known
      const codes = segmentAt(pieces[piece]!, at, { length, lead })
      cursor.streams[turn] = { piece, at: at + length, left: left - 1 }
      cursor.turn = (turn + 1) % cursor.streams.length
      return { codes, piece, offset: Math.max(0, at), padded: Math.max(0, -at), begins }
    },
  }
}

/** Streams that wait for their first passage. */
const idle = ({ length, streams }: StreamSize) => ({
  length,
  streams: Array.from({ length: streams }, () => ({ piece: 0, at: 0, left: 0 })),
  turn: 0,
})

/** The passages of an epoch, in their order. */
function plan(pieces: readonly Piece[], length: number, random: Random): Stream[] {
  const most = Math.max(1, Math.floor(PASSAGE / length)) // segments
  const passages: Stream[] = []
  for (const [piece, { samples }] of pieces.entries()) {
    if (samples === 0) continue
    const short = Math.max(0, length + 1 - samples)
    if (short > 0) {
      passages.push({ piece, at: -short, left: 1 })
      continue
    }
    // a cut at a random place leaves a part of a passage on its left
    const cut = random.below(Math.min(most * length, samples - length))
    const before = Math.floor(cut / length)
    if (before > 0) passages.push({ piece, at: cut - before * length, left: before })
    const after = Math.floor((samples - 1 - cut) / length)
    for (let first = 0; first < after; first += most) {
      const left = Math.min(most, after - first)
      passages.push({ piece, at: cut + first * length, left })
    }
  }
  return Array.from(random.permutation(passages.length), (i) => passages[i]!)
}
