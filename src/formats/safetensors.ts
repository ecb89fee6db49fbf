import { LongwaveError, messageOf } from '../base/errors.js'

/**
 * The safetensors format: u64 header length, a JSON header of names, dtypes, shapes and byte ranges,
 * then the raw data, all little-endian. The layout is documented at
 * https://github.com/huggingface/safetensors#format.
 */

/** Each dtype that Longwave stores, with the array that holds it in memory. */
const ARRAYS = {
  F64: Float64Array,
  I64: BigInt64Array,
  F32: Float32Array,
  I32: Int32Array,
  U8: Uint8Array,
} as const

interface Arrays {
  F64: Float64Array
  I64: BigInt64Array
  F32: Float32Array
  I32: Int32Array
  U8: Uint8Array
}

export type SafetensorsDtype = keyof Arrays

/** A named tensor of a file: `data.length` is the product of `shape`, row-major. */
export type SafetensorsTensor = {
  [D in SafetensorsDtype]: { dtype: D; shape: readonly number[]; data: Arrays[D] }
}[SafetensorsDtype]

/** What a file holds. `metadata` is the free `__metadata__` map of strings. */
export interface Safetensors {
  tensors: Record<string, SafetensorsTensor>
  metadata: Record<string, string>
}

/** Bytes that are not a safetensors file, or tensors that cannot become one. Exit 4. */
export class SafetensorsError extends LongwaveError {
  override name = 'SafetensorsError'
  override readonly exitCode = 4
}

const METADATA = '__metadata__'
/** The reference implementation refuses longer headers: they only come from damage or malice. */
const LONGEST_HEADER = 100_000_000
const ALIGNMENT = 8

const isDtype = (name: unknown): name is SafetensorsDtype =>
  typeof name === 'string' && Object.hasOwn(ARRAYS, name)

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0

/**
 * Serialises tensors. The same tensors give the same bytes in whatever order they are named: wide
 * dtypes come first (so that every tensor stays aligned), then names in code-unit order.
 *
 * @throws SafetensorsError when a tensor's shape, dtype and data disagree
 */
export function encodeSafetensors(
  tensors: Readonly<Record<string, SafetensorsTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const entries = Object.entries(tensors)
  for (const [name, tensor] of entries) checkTensor(name, tensor)
  entries.sort(([a, x], [b, y]) => width(y.dtype) - width(x.dtype) || (a < b ? -1 : 1))

  const header: [string, unknown][] = []
  if (Object.keys(metadata).length > 0) {
    for (const [key, value] of Object.entries(metadata)) checkMetadata(key, value)
    header.push([METADATA, metadata])
  }
  let end = 0
  for (const [name, { dtype, shape, data }] of entries) {
    const begin = end
    end += data.byteLength
    header.push([name, { dtype, shape, data_offsets: [begin, end] }])
  }
  // fromEntries defines properties, so that a tensor named __proto__ stays a tensor
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)))
  const headerLength = Math.ceil(text.length / ALIGNMENT) * ALIGNMENT

  const bytes = new Uint8Array(8 + headerLength + end)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true)
  bytes.fill(0x20, 8, 8 + headerLength)
  bytes.set(text, 8)
  let at = 8 + headerLength
  for (const [, { data }] of entries) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at)
    at += data.byteLength
  }
  return bytes
}

/**
 * Reads a file. The tensors are copies: they keep nothing of `bytes` alive.
 *
 * @throws SafetensorsError when the bytes break the format in any way
 */
export function decodeSafetensors(bytes: Uint8Array): Safetensors {
  const { header, dataStart } = readHeader(bytes)
  const available = bytes.length - dataStart
  const metadata: [string, string][] = []
  const found: { name: string; tensor: SafetensorsTensor; begin: number; end: number }[] = []
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA) {
      if (!isRecord(value)) throw broken(`\`${METADATA}\` is not a map of strings`)
      for (const [key, item] of Object.entries(value)) {
        checkMetadata(key, item)
        metadata.push([key, item])
      }
      continue
    }
    const { dtype, shape, begin, end } = readEntry(name, value, available)
    const from = bytes.byteOffset + dataStart
    const data = new ARRAYS[dtype](bytes.buffer.slice(from + begin, from + end) as ArrayBuffer)
    found.push({ name, tensor: { dtype, shape, data } as SafetensorsTensor, begin, end })
  }
  checkCover(found, available)
  return {
    tensors: Object.fromEntries(found.map(({ name, tensor }) => [name, tensor])),
    metadata: Object.fromEntries(metadata),
  }
}

function readHeader(bytes: Uint8Array): { header: Record<string, unknown>; dataStart: number } {
  if (bytes.length < 8) {
    throw broken('the file is too short for its header length', '8 bytes or more', bytes.length)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = view.getBigUint64(0, true)
  const most = Math.min(LONGEST_HEADER, bytes.length - 8)
  if (length > most) {
    throw broken('the header length is absurd', `${most} bytes or fewer`, `${length} bytes`)
  }
  const dataStart = 8 + Number(length)
  let header: unknown
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    header = JSON.parse(decoder.decode(bytes.subarray(8, dataStart)))
  } catch (error) {
    throw broken('the header is not JSON', 'a JSON object in UTF-8', messageOf(error))
  }
  if (!isRecord(header)) throw broken('the header is not a JSON object')
  return { header, dataStart }
}

interface Entry {
  dtype: SafetensorsDtype
  shape: number[]
  begin: number
  end: number
}

function readEntry(name: string, value: unknown, available: number): Entry {
  const tensor = `tensor \`${name}\``
  if (!isRecord(value)) throw broken(`${tensor} is not described by an object`)
  const { dtype, shape, data_offsets: offsets } = value
  if (!isDtype(dtype)) throw unknownDtype(tensor, dtype)
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw broken(`the shape of ${tensor} is not a list of sizes`, undefined, JSON.stringify(shape))
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    const got = JSON.stringify(offsets)
    throw broken(`the data offsets of ${tensor} are not a begin and an end`, '[begin, end]', got)
  }
  const [begin, end] = offsets as [number, number]
  if (begin > end || end > available) {
    const expected = `0 <= begin <= end <= ${available}`
    throw broken(`the data offsets of ${tensor} lie outside the data`, expected, `${begin}, ${end}`)
  }
  const size = shape.reduce((product, n) => product * n, 1) * width(dtype)
  if (size !== end - begin) {
    const expected = `${size} bytes for ${dtype} [${shape.join(', ')}]`
    throw broken(`the shape and the bytes of ${tensor} disagree`, expected, `${end - begin} bytes`)
  }
  return { dtype, shape, begin, end }
}

/** The byte ranges, in order, must follow one another without hole or overlap to the end. */
function checkCover(ranges: { name: string; begin: number; end: number }[], available: number) {
  const ordered = [...ranges].sort((a, b) => a.begin - b.begin || a.end - b.end)
  let covered = 0
  for (const { name, begin, end } of ordered) {
    if (begin < covered) {
      throw broken(`the data of tensor \`${name}\` overlaps another's`, `>= ${covered}`, begin)
    }
    if (begin > covered) {
      throw broken(`the data has a hole before tensor \`${name}\``, `begin at ${covered}`, begin)
    }
    covered = end
  }
  if (covered !== available) {
    const fact = 'the tensors do not cover the data'
    throw broken(fact, `${covered} bytes of data`, `${available} bytes`)
  }
}

function checkTensor(name: string, { dtype, shape, data }: SafetensorsTensor) {
  const tensor = `tensor \`${name}\``
  if (name === METADATA) throw broken(`no tensor may be named \`${METADATA}\``)
  if (!isDtype(dtype)) throw unknownDtype(tensor, dtype)
  if (!(data instanceof ARRAYS[dtype])) {
    const got = Object.prototype.toString.call(data)
    throw broken(`the data of ${tensor} is not of its dtype`, ARRAYS[dtype].name, got)
  }
  const size = shape.reduce((product, n) => product * n, 1)
  if (!shape.every(isCount) || size !== data.length) {
    const expected = `[${shape.join(', ')}] = ${size} numbers`
    throw broken(`the shape and the data of ${tensor} disagree`, expected, `${data.length} numbers`)
  }
}

function checkMetadata(key: string, value: unknown): asserts value is string {
  if (typeof value === 'string') return
  throw broken(`the metadata \`${key}\` is not a string`, 'a string', JSON.stringify(value))
}

const width = (dtype: SafetensorsDtype) => ARRAYS[dtype].BYTES_PER_ELEMENT

function unknownDtype(tensor: string, dtype: unknown) {
  const fact = `${tensor} has a dtype that Longwave does not read`
  return broken(fact, Object.keys(ARRAYS).join(', '), JSON.stringify(dtype))
}

function broken(fact: string, expected?: string, got?: string | number) {
  return new SafetensorsError({
    fact: `safetensors: ${fact}`,
    ...(expected !== undefined && { expected }),
    ...(got !== undefined && { got: String(got) }),
  })
}
