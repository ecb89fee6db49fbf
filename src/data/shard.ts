import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { QUANTIZER_NAMES, type QuantizerName } from '../audio/index.js'
import { messageOf } from '../base/errors.js'
import { DatasetError } from './errors.js'
import { hasCode, writeAtomic } from './files.js'

const MAGIC = 'LWSH'
const VERSION = 1
/** Bytes before the codes. */
export const SHARD_HEADER = 32

/** The codes of one recording. */
export interface Shard {
  /** In Hz. */
  sampleRate: number
  quantizer: QuantizerName
  /** [samples] */
  codes: Uint8Array
}

/**
 * Writes a shard. Header, little-endian: magic "LWSH", u16 version, u16 quantizer (0 mu-law,
 * 1 linear), u32 rate in Hz, u32 crc32 of the codes, u64 number of codes, u32 zero, u32 crc32 of
 * the 28 bytes before. Then one byte per sample.
 * @throws FileError when the disk refuses
 */
export async function writeShard(path: string, shard: Shard): Promise<void> {
  const header = new Uint8Array(SHARD_HEADER)
  const view = new DataView(header.buffer)
  for (let i = 0; i < 4; i++) header[i] = MAGIC.charCodeAt(i)
  view.setUint16(4, VERSION, true)
  view.setUint16(6, QUANTIZER_NAMES.indexOf(shard.quantizer), true)
  view.setUint32(8, shard.sampleRate, true)
  view.setUint32(12, crc32(shard.codes), true)
  view.setBigUint64(16, BigInt(shard.codes.length), true)
  view.setUint32(28, crc32(header.subarray(0, 28)), true)
  await writeAtomic(path, header, shard.codes)
}

/**
 * Reads a shard and checks every field.
 * @throws DatasetError when it is missing, unreadable or damaged
 */
export async function readShard(path: string): Promise<Shard> {
  try {
    return parseShard(path, await readFile(path))
  } catch (thrown) {
    throw asDatasetError(path, thrown)
  }
}

/** As `readShard`, for callers that cannot wait. */
export function readShardSync(path: string): Shard {
  try {
    return parseShard(path, readFileSync(path))
  } catch (thrown) {
    throw asDatasetError(path, thrown)
  }
}

function asDatasetError(path: string, thrown: unknown): DatasetError {
  if (thrown instanceof DatasetError) return thrown
  const missing = hasCode(thrown, 'ENOENT')
  return new DatasetError(
    {
      fact: missing ? `The shard ${path} is missing.` : `The shard ${path} cannot be read.`,
      got: messageOf(thrown),
      hint: 'Run prepare again: it makes missing shards anew.',
    },
    { cause: thrown },
  )
}

function parseShard(path: string, bytes: Uint8Array): Shard {
  const fail = (what: string, expected: string | number, got: string | number): DatasetError =>
    new DatasetError({
      fact: `The shard ${path} is damaged: wrong ${what}.`,
      expected: String(expected),
      got: String(got),
      hint: 'Run prepare again: it makes damaged shards anew.',
    })
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < SHARD_HEADER) throw fail('size', `${SHARD_HEADER} bytes or more`, bytes.length)
  const magic = String.fromCharCode(...bytes.subarray(0, 4))
  if (magic !== MAGIC) throw fail('magic', MAGIC, JSON.stringify(magic))
  const version = view.getUint16(4, true)
  if (version > VERSION) {
    throw new DatasetError({
      fact: `The shard ${path} is of a newer version.`,
      expected: `version ${VERSION}`,
      got: `version ${version}`,
      hint: 'Update longwave, or run prepare again.',
    })
  }
  if (version !== VERSION) throw fail('version', VERSION, version)
  const headerSum = crc32(bytes.subarray(0, 28))
  if (view.getUint32(28, true) !== headerSum) {
    throw fail('header checksum', view.getUint32(28, true), headerSum)
  }
  const quantizer = QUANTIZER_NAMES[view.getUint16(6, true)]
  if (quantizer === undefined) throw fail('quantizer', '0 or 1', view.getUint16(6, true))
  const sampleRate = view.getUint32(8, true)
  if (sampleRate === 0) throw fail('sample rate', 'a positive number', 0)
  const codes = bytes.subarray(SHARD_HEADER)
  const count = Number(view.getBigUint64(16, true))
  if (count !== codes.length) throw fail('number of samples', count, codes.length)
  const sum = crc32(codes)
  if (view.getUint32(12, true) !== sum) throw fail('checksum', view.getUint32(12, true), sum)
  return { sampleRate, quantizer, codes }
}
