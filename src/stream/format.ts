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
import { checkHeader, type PackedHeader, refuse } from './header.js'

export {
  CACHE_BYTES,
  type CachePlace,
  type CacheType,
  type PackedHeader,
  type Place,
} from './header.js'

const MAGIC = 'LONGWAVE'
const VERSION = 2
const PREAMBLE = 32
const CRC_AT = 20
/** Address of the constants; below are the kernels' own tables. */
export const CONSTANTS = 0x10000
/** What 32-bit addresses reach, less a page so that an end is an address too. */
export const MOST_MEMORY = 0x1_0000_0000 - 0x10000
const ALIGNMENT = 64

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
  let json: unknown
  try {
    json = JSON.parse(asciiOf(bytes))
  } catch (error) {
    refuse('has an unreadable header', 'JSON', messageOf(error))
  }
  return checkHeader(json, { from: CONSTANTS, end: CONSTANTS + constantBytes, most: MOST_MEMORY })
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
