export { type Dataset, openDataset, type Piece } from './dataset.js'
export { ECHO_CODES, type EchoOptions, echo } from './echo.js'
export { DatasetError, InterruptedError, NothingUsableError } from './errors.js'
export {
  type CodesMeta,
  type DatasetMeta,
  describeCodes,
  type ManifestRow,
  SPLITS,
  type Split,
} from './manifest.js'
export { DEFAULT_RATE, type PrepareOptions, prepareDataset, RATES } from './prepare.js'
export {
  formatProgress,
  formatReport,
  type PrepareProgress,
  type PrepareReport,
} from './report.js'
export {
  type Segment,
  type SegmentCursor,
  type SegmentLoader,
  type SegmentOptions,
  segmentAt,
  segmentLoader,
} from './segments.js'
export { readShard, type Shard, writeShard } from './shard.js'
export type { Fractions } from './split.js'
export { type StreamCursor, type StreamLoader, streamLoader } from './streams.js'
