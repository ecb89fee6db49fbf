import { SILENCE } from '../audio/index.js'
import { UsageError } from '../base/errors.js'
import { Random } from '../base/random.js'
import type { Piece } from './dataset.js'

/** Where a loader stands: plain JSON, enough to go on bit for bit. */
export interface SegmentCursor {
  seed: number
  stream: number
  /** Inputs in a segment. */
  length: number
  epoch: number
  /** Random numbers drawn before this epoch. */
  drawn: number
  /** Segments of this epoch that were given out. */
  index: number
  /** Number and summed samples of the pieces: a cursor fits no other data. */
  pieces: number
  samples: number
}

/** A stretch of one piece. */
export interface Segment {
  /** [lead + length + 1] codes: after the lead, inputs are all but the last, targets all but the first. */
  codes: Uint8Array
  /** Index of the piece. */
  piece: number
  /** Where in the piece the first code after lead and padding lies. */
  offset: number
  /** Codes of silence after the lead, before a piece that was too short. 0 for all other pieces. */
  padded: number
  /** Does not go on where another ended (see streams.ts). */
  begins: boolean
}

/** An endless source of segments. */
export interface SegmentLoader {
  next(): Segment
  /** Changes the length of segments, in samples; the next call of `next` starts a new epoch. */
  setLength(length: number): void
  /** A copy of the state before the next segment. */
  readonly cursor: SegmentCursor
  readonly length: number
  /** Segments in the current epoch. */
  readonly segmentsPerEpoch: number
}

export interface SegmentOptions {
  pieces: readonly Piece[]
  /** Inputs in a segment, in samples. With a cursor, that of the cursor counts. */
  length: number
  /** Codes of history in front of every segment; silence before a piece. Default 0. */
  lead?: number
  /** Any integer in [0, 2^32). */
  seed: number
  /** Separates this use of the seed from others. Default 0. */
  stream?: number
  /** Goes on from there. */
  cursor?: SegmentCursor
}

/** The plan of one epoch. */
interface Epoch {
  /** [pieces] start of the first segment in each piece. */
  starts: Uint32Array
  /** [pieces + 1] segments before each piece. */
  before: Float64Array
  order: Uint32Array
}

/**
 * Segments of all pieces in random order, epoch after epoch. In each epoch every piece starts at a
 * random offset, is cut in consecutive segments, and the segments of all pieces are shuffled
 * together. A piece shorter than length + 1 comes once an epoch, padded with silence on its left.
 * The same seed gives the same segments.
 * @throws UsageError when there is no piece, the length is no positive integer or the cursor is of
 * other data
 */
export function segmentLoader(options: SegmentOptions): SegmentLoader {
  const { pieces, seed, stream = 0, lead = 0 } = options
  const samples = samplesOf(pieces)
  const start = { seed, stream, epoch: 0, drawn: 0, index: 0, pieces: pieces.length, samples }
  let cursor: SegmentCursor = { ...start, length: checkLength(options.length) }
  if (options.cursor !== undefined) cursor = checkCursor(options.cursor, cursor)
  let random = new Random(seed, stream, cursor.drawn)
  let epoch = plan(pieces, cursor.length, random)

  const startEpoch = (length: number, number: number) => {
    cursor = { ...cursor, length, epoch: number, drawn: random.state.drawn, index: 0 }
    epoch = plan(pieces, length, random)
  }

  return {
    get cursor() {
      return { ...cursor }
    },
    get length() {
      return cursor.length
    },
    get segmentsPerEpoch() {
      return epoch.order.length
    },
    setLength(length) {
      checkLength(length)
      // an epoch that has given nothing is planned anew from its own random numbers
      const unused = cursor.index === 0
      if (unused) random = new Random(seed, stream, cursor.drawn)
      startEpoch(length, cursor.epoch + (unused ? 0 : 1))
    },
    next() {
      if (cursor.index === epoch.order.length) startEpoch(cursor.length, cursor.epoch + 1)
      const segment = cut(pieces, epoch, epoch.order[cursor.index]!, {
        length: cursor.length,
        lead,
      })
      cursor.index++
      return segment
    },
  }
}

/** The samples of all pieces. @throws UsageError when there are none */
export function samplesOf(pieces: readonly Piece[]): number {
  const samples = pieces.reduce((sum, piece) => sum + piece.samples, 0)
  if (samples > 0) return samples
  throw new UsageError({
    fact: 'There is nothing to load segments from.',
    expected: 'one or more pieces',
    got: `${pieces.length} pieces of ${samples} samples`,
    hint: 'Is the split empty?',
  })
}

function plan(pieces: readonly Piece[], length: number, random: Random): Epoch {
  const starts = new Uint32Array(pieces.length)
  const before = new Float64Array(pieces.length + 1)
  pieces.forEach((piece, p) => {
    // a start that leaves room for one segment at least
    const choices = Math.min(length, piece.samples - length)
    const short = choices < 1
    starts[p] = random.below(Math.max(1, choices))
    const count = short ? 1 : Math.floor((piece.samples - 1 - starts[p]!) / length)
    before[p + 1] = before[p]! + (piece.samples === 0 ? 0 : count)
  })
  return { starts, before, order: random.permutation(before[pieces.length]!) }
}

function cut(
  pieces: readonly Piece[],
  epoch: Epoch,
  segment: number,
  size: { length: number; lead: number },
): Segment {
  const piece = pieceOf(epoch.before, segment)
  const source = pieces[piece]!
  const padded = Math.max(0, size.length + 1 - source.samples)
  const start = epoch.starts[piece]! + (segment - epoch.before[piece]!) * size.length
  const at = padded > 0 ? -padded : start
  const codes = segmentAt(source, at, size)
  return { codes, piece, offset: Math.max(0, at), padded, begins: true }
}

/** Codes at - lead .. at + length + 1 of a piece; silence before its beginning. */
export function segmentAt(
  piece: Piece,
  at: number,
  { length, lead }: { length: number; lead: number },
): Uint8Array {
  const codes = new Uint8Array(lead + length + 1).fill(SILENCE)
  const start = at - lead
  const there = piece.codes().subarray(Math.max(0, start), at + length + 1)
  codes.set(there, Math.max(0, -start))
  return codes
}

/** The piece that a segment of the epoch lies in: binary search over the counts before each. */
function pieceOf(before: Float64Array, segment: number): number {
  let low = 0
  let high = before.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (before[middle]! <= segment) low = middle
    else high = middle
  }
  return low
}

function checkLength(length: number): number {
  if (Number.isInteger(length) && length > 0) return length
  throw new UsageError({
    fact: 'The length of a segment makes no sense.',
    expected: 'a positive whole number of samples',
    got: `${length}`,
  })
}

/** What tells the data of a cursor apart. */
type Known = Partial<SegmentCursor> & { length: number }

/** @throws UsageError when the cursor is of other data than ours */
export function checkCursor<Cursor extends Known>(cursor: Cursor, own: Cursor): Cursor {
  for (const key of ['seed', 'stream', 'pieces', 'samples'] as const) {
    if (cursor[key] === own[key]) continue
    throw new UsageError({
      fact: `The cursor is of other data: its ${key} differ.`,
      expected: `${key} ${own[key]}`,
      got: `${key} ${cursor[key]}`,
      hint: 'Go on with the dataset and the seed that the run began with.',
    })
  }
  checkLength(cursor.length)
  return { ...cursor }
}
