/** The header of a packed model, and what it may say: every number is within its bounds before it is used. */
import { PackedModelError } from './errors.js'
import { POSITION_BYTES } from './opcodes.js'

/** Where a vector lies in the state. */
export interface Place {
  at: number
  size: number
  type: 'f32' | 'i32'
}

/** What numbers of a cache are kept in. */
export type CacheType = 'f32' | 'f16' | 'int8'

/** Bytes of a number of a cache. */
export const CACHE_BYTES: Readonly<Record<CacheType, number>> = { f32: 4, f16: 2, int8: 1 }

/** Where a cache lies in the state (see assembly/cache.ts); bytes of its rows and phases. */
export interface CachePlace {
  /** Of its rows. */
  at: number
  /** Where each thread has its position. */
  positions: number[]
  type: CacheType
  phases: number
  window: number
  groups: number
  width: number
  padded: number
  rowBytes: number
  phaseBytes: number
  /** Address of what int8 numbers are divided by, [groups, padded]. */
  factors: number
}

export interface PackedHeader {
  precision: 'f32' | 'int8'
  cache: CacheType
  /** Addresses of the first instruction of each thread. */
  programs: number[]
  /** Address of the state, and its bytes. */
  state: number
  stateBytes: number
  inputs: string[]
  output: string
  vectors: Record<string, Place>
  caches: Record<string, CachePlace>
}

/** Where things may lie: constants from `from` to `end`, all memory below `most`. */
export interface Bounds {
  from: number
  end: number
  most: number
}

/** @throws PackedModelError that says what is wrong */
export function checkHeader(json: unknown, { from, end, most }: Bounds): PackedHeader {
  if (!isRecord(json)) refuse('has an unreadable header', 'an object', shown(json))
  const { precision, cache, programs, state, stateBytes, inputs, output, vectors, caches } = json
  if (precision !== 'f32' && precision !== 'int8') {
    refuse('has numbers of an unknown kind', 'f32 or int8', shown(precision))
  }
  if (!isCacheType(cache)) refuse('has caches of an unknown kind', KINDS, shown(cache))
  if (!Array.isArray(programs) || programs.length === 0) {
    refuse('has no program', 'one for each thread', shown(programs))
  }
  for (const program of programs) {
    if (isWithin(program, from, end - 4) && program % 4 === 0) continue
    refuse('has its program outside', `an address below ${end}`, shown(program))
  }
  if (!isWithin(state, end, most) || !isWithin(stateBytes, 0, most - state)) {
    refuse('needs more memory than there is', `at most ${most} bytes`, shown(stateBytes))
  }
  if (state % 64 !== 0 || stateBytes % 64 !== 0) {
    refuse('has a state that begins or ends anywhere', 'multiples of 64', `${state}, ${stateBytes}`)
  }
  if (!isRecord(vectors)) refuse('places no vectors', 'an object', shown(vectors))
  if (!isRecord(caches)) refuse('places no caches', 'an object', shown(caches))
  if (!Array.isArray(inputs)) refuse('has no inputs', 'a list', shown(inputs))
  for (const name of [...inputs, output]) {
    if (typeof name === 'string' && Object.hasOwn(vectors, name)) continue
    refuse('names a vector it does not place', 'a vector', shown(name))
  }
  for (const [name, place] of Object.entries(vectors)) checkPlace(name, place, stateBytes)
  for (const [name, place] of Object.entries(caches)) {
    checkCache(name, place, stateBytes, programs.length, { from, end, most })
  }
  return json as unknown as PackedHeader
}

function checkPlace(name: string, place: unknown, stateBytes: number): asserts place is Place {
  if (!isRecord(place)) refuse(`does not place ${name}`, 'an object', shown(place))
  const { at, size, type } = place
  if (type !== 'f32' && type !== 'i32') {
    refuse(`has ${name} of an unknown kind`, 'f32 or i32', shown(type))
  }
  if (!isWithin(size, 1, stateBytes / 4) || !isWithin(at, 0, stateBytes - 4 * size) || at % 4) {
    const expected = `an address below ${stateBytes}, by fours`
    refuse(`places ${name} outside of its state`, expected, `${shown(size)} at ${shown(at)}`)
  }
}

function checkCache(
  name: string,
  place: unknown,
  stateBytes: number,
  threads: number,
  { from, end }: Bounds,
): asserts place is CachePlace {
  if (!isRecord(place)) refuse(`does not place ${name}`, 'an object', shown(place))
  const { at, positions, type, phases, window, groups, width, padded } = place
  const { rowBytes, phaseBytes, factors } = place
  if (!isCacheType(type)) refuse(`has ${name} of an unknown kind`, KINDS, shown(type))
  const isCount = (n: unknown): n is number => isWithin(n, 1, stateBytes)
  if (!isWithin(at, 0, stateBytes) || at % 16) {
    refuse(`places ${name} outside of its state`, `an address below ${stateBytes}`, shown(at))
  }
  const isPosition = (n: unknown) => isWithin(n, 0, stateBytes - POSITION_BYTES) && n % 4 === 0
  if (!(Array.isArray(positions) && positions.length === threads && positions.every(isPosition))) {
    refuse(`has ${name} without a position`, `one for each of ${threads} threads`, shown(positions))
  }
  if (!(isCount(groups) && isCount(padded) && isWithin(width, 1, padded))) {
    const got = `${shown(groups)} x ${shown(width)} of ${shown(padded)}`
    refuse(`has rows of ${name} without a size`, 'parts of numbers within their places', got)
  }
  if (!isCount(rowBytes) || rowBytes !== groups * padded * CACHE_BYTES[type]) {
    const expected = `${groups * padded * CACHE_BYTES[type]} bytes`
    refuse(`has rows of ${name} of another size`, expected, shown(rowBytes))
  }
  if (!(isCount(window) && isCount(phaseBytes)) || phaseBytes < window * rowBytes) {
    refuse(`has phases of ${name} that do not hold their rows`, 'more bytes', shown(phaseBytes))
  }
  if (!isCount(phases) || phases * phaseBytes > stateBytes - at) {
    refuse(`places ${name} outside of its state`, 'fewer phases', shown(phases))
  }
  if (type !== 'int8') return
  if (!isWithin(factors, from, end - 4 * groups * padded) || factors % 4) {
    refuse(`has the scales of ${name} outside`, `an address below ${end}`, shown(factors))
  }
}

const KINDS = Object.keys(CACHE_BYTES).join(', ')

const isCacheType = (type: unknown): type is keyof typeof CACHE_BYTES =>
  typeof type === 'string' && Object.hasOwn(CACHE_BYTES, type)

const isRecord = (x: unknown): x is Record<string, unknown> =>
  typeof x === 'object' && x !== null && !Array.isArray(x)

const isWithin = (n: unknown, from: number, to: number): n is number =>
  Number.isInteger(n) && (n as number) >= from && (n as number) <= to

/** A few words of any value. */
const shown = (x: unknown) => (JSON.stringify(x) ?? String(x)).slice(0, 60)

/** @param what goes on after "The packed model" */
export function refuse(what: string, expected: string, got: string): never {
  throw new PackedModelError({
    fact: `The packed model ${what}.`,
    expected,
    got,
    hint: 'pack the checkpoint again',
  })
}
