import {
  type Piece,
  type SegmentCursor,
  type SegmentLoader,
  type StreamCursor,
  type StreamLoader,
  segmentLoader,
  streamLoader,
} from '../data/index.js'
import type { Learner } from '../models/model.js'

export type Loader = SegmentLoader | StreamLoader

interface LoaderOptions {
  pieces: readonly Piece[]
  seed: number
  /** Where the loader of the run stood when it was stopped. */
  cursor: SegmentCursor | StreamCursor | null
}

/** The segments that a learner wants: shuffled, or in streams. `loader` served the stage before. */
export function loaderFor(
  learner: Learner,
  loader: Loader | undefined,
  { pieces, seed, cursor }: LoaderOptions,
): Loader {
  const { segmentLength: length, lead, carried } = learner
  if (!carried) {
    const known = cursor && { cursor: cursor as SegmentCursor }
    const segments = loader ?? segmentLoader({ pieces, length, lead, seed, ...known })
    if (segments.length !== length) (segments as SegmentLoader).setLength(length)
    return segments
  }
  const { streams } = carried
  const known = cursor && { cursor: cursor as StreamCursor }
  const found = (loader ??
    streamLoader({ pieces, length, streams, lead, seed, ...known })) as StreamLoader
  if (found.length !== length || found.streams !== streams) found.restart({ length, streams })
  return found
}
