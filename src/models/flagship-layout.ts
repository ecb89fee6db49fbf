/** How whole segments are cut into stretches of time and blocks of phases. */
import { type FlagshipConfig, receptiveField } from './flagship.js'
import { PARTS, recallReach } from './flagship-recall.js'

/** Samples of a stretch and rows of a block: enough for full speed, few enough for the caches. */
export const STRETCH = 8000
export const ROWS = 8192

/** The largest divisor of `n` that is at most `bound`. */
export function divisorUpTo(n: number, bound: number): number {
  for (let d = Math.min(n, Math.max(1, Math.floor(bound))); d > 1; d--) if (n % d === 0) return d
  return 1
}

/** Tokens that a prediction sees of a context. */
export function tokensOf({ chunk }: FlagshipConfig, context: number): number {
  return Math.max(1, Math.floor(context / chunk))
}

/** Numbers of a token that later tokens look at, by feature. */
export function tokenWidths({ width, recall }: FlagshipConfig): Record<string, number> {
  return { z: width, ...(recall && { r: PARTS * recall.width }) }
}

/** Tokens that recall looks at: the place that the oldest one stands for is a chunk before it. */
export const recallWindow = (tokens: number) => tokens - 1

/** Tokens that a layer remembers of a context, the newest among them. */
export function windowOf(config: FlagshipConfig, context: number): number {
  return Math.min(tokensOf(config, context), config.window ?? Number.POSITIVE_INFINITY)
}

/** Samples after which nothing earlier is remembered by the causal layers. */
export function memoryOf(config: FlagshipConfig): number {
  const local = config.local?.dilations.reduce((sum, d) => sum + d, 0) ?? 0
  const recall = config.recall ? recallReach({ ...config, recall: config.recall }) : 0
  return Math.max(receptiveField(config), local + 1, recall + 1)
}

/** How a segment of `tokens` chunks is cut: stretches of `time` samples, blocks of `phases`. */
export interface Cut {
  chunk: number
  tokens: number
  segment: number
  time: number
  phases: number
}

/** The cut that runs fastest, with blocks of about `rows` rows. */
export function cut(config: FlagshipConfig, context: number, rows = ROWS): Cut {
  const { chunk } = config
  const tokens = tokensOf(config, context)
  const segment = tokens * chunk
  const time = divisorUpTo(segment, STRETCH)
  const phases = divisorUpTo(chunk, rows / tokens)
  return { chunk, tokens, segment, time, phases }
}

/** The part of `array` that belongs to stretch `i` of `count` equal ones; a view. */
export function part(array: Float32Array, i: number, count: number): Float32Array {
  const size = array.length / count
  return array.subarray(i * size, (i + 1) * size)
}

/**
 * Copies the rows of phases `first` and following between a whole segment [tokens, chunk, width]
 * and a block [tokens, phases, width].
 */
export function copyPhases(
  direction: 'gather' | 'scatter',
  whole: Float32Array | Int32Array,
  block: Float32Array | Int32Array,
  { tokens, chunk, phases, first }: Record<'tokens' | 'chunk' | 'phases' | 'first', number>,
): void {
  const width = whole.length / (tokens * chunk)
  for (let m = 0; m < tokens; m++) {
    const start = (m * chunk + first) * width
    const rows = whole.subarray(start, start + phases * width)
    const mine = block.subarray(m * phases * width, (m + 1) * phases * width)
    if (direction === 'gather') mine.set(rows)
    else rows.set(mine)
  }
}

/** Codes [time] as a stretch program is fed: codes, and their values [1, 1, time]. */
export function samplesOf(codes: Int32Array, values: Float32Array) {
  return { codes, x: Float32Array.from(codes, (code) => values[code]!) }
}
