/**
 * The packed model: one buffer of
 *
 *   magic [8] | version | header bytes | constant bytes | CRC-32 of all but itself | zeros to 32 bytes
 *   header: JSON in ASCII, spaces to a multiple of 64
 *   constants: program and weights, as they lie in memory from `CONSTANTS` on
 *
 * Numbers are little-endian. The state, zeros at first, follows the constants in memory.
 */
import { messageOf } from '../base/errors.js'
import { PackedModelError } from './errors.js'

const MAGIC = 'LONGWAVE'
const VERSION = 1
const PREAMBLE = 32
const CRC_AT = 20
/** Address of the constants; below are the kernels' own tables. */
export const CONSTANTS = 0x10000
/** What 32-bit addresses reach, less a page so that an end is an address too. */
export const MOST_MEMORY = 0x1_0000_0000 - 0x10000
const ALIGNMENT = 64

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
  at: number
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
  /** Address of the first instruction. */
  program: number
  /** Address of the state, and its bytes. */
  state: number
  stateBytes: number
  inputs: string[]
  output: string
  vectors: Record<string, Place>
  caches: Record<string, CachePlace>
}

export interface PackedModel {
  header: PackedHeader
  constants: Uint8Array
}

export function encodePacked({ header, constants }: PackedModel): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(header))
  const headerBytes = aligned(PREAMBLE + json.length) - PREAMBLE
  const bytes = new Uint8Array(PREAMBLE + headerBytes + constants.length)
  bytes.set(new TextEncoder().encode(MAGIC))
  const view = new DataView(bytes.buffer)
  view.setUint32(8, VERSION, true)
  view.setUint32(12, headerBytes, true)
  view.setUint32(16, constants.length, true)
  bytes.fill(0x20, PREAMBLE, PREAMBLE + headerBytes)
  bytes.set(json, PREAMBLE)
  bytes.set(constants, PREAMBLE + headerBytes)
  view.setUint32(CRC_AT, checksum(bytes), true)
  return bytes
}

/** The checksum that a packed model carries. */
export function checksumOf(packed: Uint8Array): number {
  return new DataView(packed.buffer, packed.byteOffset).getUint32(CRC_AT, true)
}

/** @throws PackedModelError that says what is wrong */
export function decodePacked(bytes: Uint8Array): PackedModel {
  if (bytes.length < PREAMBLE) {
    refuse('is shorter than any packed model', `${PREAMBLE} bytes or more`, `${bytes.length} bytes`)
  }
  const magic = String.fromCharCode(...bytes.subarray(0, 8))
  if (magic !== MAGIC) {
    refuse('is not a packed model', `${MAGIC} at the start`, JSON.stringify(magic))
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const version = view.getUint32(8, true)
  if (version !== VERSION) refuse('has another version', `${VERSION}`, `${version}`)
  const headerBytes = view.getUint32(12, true)
  const constantBytes = view.getUint32(16, true)
  const whole = PREAMBLE + headerBytes + constantBytes
  if (whole !== bytes.length) {
    refuse('is cut off or has something appended', `${whole} bytes`, `${bytes.length} bytes`)
  }
  const [expected, found] = [view.getUint32(CRC_AT, true), checksum(bytes)]
  if (expected !== found) refuse('is damaged', `checksum ${hex(expected)}`, hex(found))
  const start = PREAMBLE + headerBytes
  return {
    header: parseHeader(bytes.subarray(PREAMBLE, start), constantBytes),
    constants: bytes.subarray(start),
  }
}

function parseHeader(bytes: Uint8Array, constantBytes: number): PackedHeader {
  let header: PackedHeader
  try {
    header = JSON.parse(asciiOf(bytes))
  } catch (error) {
    refuse('has an unreadable header', 'JSON', messageOf(error))
  }
  const { program, state, stateBytes } = header
  const within = (at: unknown, from: number, to: number) =>
    Number.isInteger(at) && (at as number) >= from && (at as number) <= to
  const end = CONSTANTS + constantBytes
  if (!within(program, CONSTANTS, end - 4)) {
    refuse('has its program outside', `an address below ${end}`, String(program))
  }
  if (!within(state, end, MOST_MEMORY) || !within(stateBytes, 0, MOST_MEMORY - state)) {
    refuse('needs more memory than there is', `at most ${MOST_MEMORY} bytes`, `${stateBytes}`)
  }
  const places = header.vectors ?? {}
  for (const name of [...(header.inputs ?? []), header.output]) {
    if (!Object.hasOwn(places, name)) refuse('names a vector it does not place', 'a vector', name)
  }
  for (const [name, { at, size }] of Object.entries(places)) {
    if (!within(size, 0, stateBytes / 4) || !within(at, 0, stateBytes - 4 * size)) {
      refuse(`places ${name} outside of its state`, `an address below ${stateBytes}`, `${at}`)
    }
  }
  for (const [name, cache] of Object.entries(header.caches ?? {})) {
    const { at, phases, phaseBytes, factors } = cache
    if (!within(at, 0, stateBytes) || !within(phases * phaseBytes, 0, stateBytes - at)) {
      refuse(`places ${name} outside of its state`, `an address below ${stateBytes}`, `${at}`)
    }
    if (cache.type === 'int8' && !within(factors, CONSTANTS, end)) {
      refuse(`has the scales of ${name} outside`, `an address below ${end}`, `${factors}`)
    }
  }
  return header
}

/** Without TextDecoder, which an AudioWorklet has not. */
function asciiOf(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) {
    if (byte > 0x7f) throw new SyntaxError(`a byte of ${byte}`)
    text += String.fromCharCode(byte)
  }
  return text
}

function refuse(what: string, expected: string, got: string): never {
  throw new PackedModelError({
    fact: `The packed model ${what}.`,
    expected,
    got,
    hint: 'pack the checkpoint again',
  })
}

export function aligned(bytes: number, to = ALIGNMENT): number {
  return Math.ceil(bytes / to) * to
}

const hex = (n: number) => n.toString(16).padStart(8, '0')

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
  return c
})

/** CRC-32 (IEEE 802.3) of everything but the checksum itself. */
function checksum(bytes: Uint8Array): number {
  let c = 0xffffffff
  for (let i = 0; i < bytes.length; i++) {
    if (i === CRC_AT) i += 4
    c = TABLE[(c ^ bytes[i]!) & 0xff]! ^ (c >>> 8)
  }
  return (c ^ 0xffffffff) >>> 0
}
