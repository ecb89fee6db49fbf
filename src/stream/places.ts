/** Where rings and caches lie in the state, and what every thread has for itself. */
import type { CacheSpec, RingSpec } from '../nn/step-plan.js'
import { aligned, CACHE_BYTES, type CacheType } from './format.js'
import { type Constants, type State, Words } from './memory-plan.js'
import { LIST_HEADER, RING_HEADER } from './opcodes.js'
import type { Source } from './precision.js'

/** Where a ring lies and what its columns are. */
export interface Ring extends RingSpec {
  at: number
  columnBytes: number
  source: Source | undefined
}

/** Where the rows of a cache lie. Rows and dims are padded to what the kernels read at once. */
export interface Cache extends CacheSpec {
  at: number
  padWindow: number
  padded: number
  rowBytes: number
  phaseBytes: number
  /** int8: numbers times these are stored, and what is stored times these is the number. */
  factors: number
  scales: number
}

/** What one thread has for itself. */
export class Thread {
  readonly words = new Words()
  /** Its copies of whole vectors that are not shared. */
  readonly places = new Map<string, number>()
  readonly rings = new Map<string, Ring>()
  /** Positions of caches. */
  readonly positions = new Map<string, number>()
  /** Integers made of vectors that have not changed since. */
  readonly integers = new Map<string, number>()
  /** Counters of samples, by period. */
  readonly counters = new Map<number, number>()

  constructor(readonly index: number) {}
}

/** Places of a sparse list: room for a whole write of eight behind the last. */
export const capacityOf = (n: number) => aligned(n, 8) + 8
export const listBytes = (n: number) => LIST_HEADER + 4 * capacityOf(n)

/** @param source how its columns become integers; float32 without */
export function placeRing(state: State, ring: RingSpec, source: Source | undefined): Ring {
  const { channels, length } = ring
  const sparse = listBytes(channels)
  const columnBytes = !source ? 4 * channels : source.sparse ? sparse : 2 * aligned(channels, 2)
  return { ...ring, at: state.add(RING_HEADER + length * columnBytes), columnBytes, source }
}

/** An int8 cache holds this much more than calibration saw, and bounds what is larger. */
const CLIP = 1.1

/** @param ranges of the dims of a cache of int8, [groups width] */
export function placeCache(
  state: State,
  constants: Constants,
  cache: CacheSpec,
  type: CacheType,
  ranges: Float32Array | undefined,
): Cache {
  const { phases, window, groups, width } = cache
  const padWindow = aligned(window, 8)
  const padded = aligned(width, 16)
  const rowBytes = groups * padded * CACHE_BYTES[type]
  const phaseBytes = padWindow * rowBytes
  const at = state.add(phases * phaseBytes)
  const scales = new Float32Array(groups * padded)
  for (let i = 0; ranges && i < groups * width; i++) {
    scales[Math.floor(i / width) * padded + (i % width)] = (CLIP * ranges[i]! || 1) / 127
  }
  const factors = scales.map((scale) => (scale > 0 ? 1 / scale : 0))
  return {
    ...cache,
    ...{ at, padWindow, padded, rowBytes, phaseBytes },
    factors: ranges ? constants.add(factors) : 0,
    scales: ranges ? constants.add(scales) : 0,
  }
}
