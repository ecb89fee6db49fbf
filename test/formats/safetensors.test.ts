import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LongwaveError } from '../../src/base/errors.js'
import { Random } from '../../src/base/random.js'
import {
  decodeSafetensors,
  encodeSafetensors,
  SafetensorsError,
  type SafetensorsTensor,
} from '../../src/formats/index.js'

/** A file from a header given as text or as a value, and data. */
function file(header: unknown, data: ArrayLike<number> = []): Uint8Array {
  const text = new TextEncoder().encode(
    typeof header === 'string' ? header : JSON.stringify(header),
  )
  const bytes = new Uint8Array(8 + text.length + data.length)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true)
  bytes.set(text, 8)
  bytes.set(data, 8 + text.length)
  return bytes
}

const entry = (dtype: string, shape: unknown, offsets: unknown) => ({
  dtype,
  shape,
  data_offsets: offsets,
})

const count = (shape: readonly number[]) => shape.reduce((n, size) => n * size, 1)

const shapes = fc.array(fc.nat({ max: 4 }), { maxLength: 4 })
const tensorOf = <D, T>(dtype: D, value: fc.Arbitrary<T>, from: (values: T[]) => unknown) =>
  shapes.chain((shape) =>
    fc
      .array(value, { minLength: count(shape), maxLength: count(shape) })
      .map((values) => ({ dtype, shape, data: from(values) }) as unknown as SafetensorsTensor),
  )
const tensors: fc.Arbitrary<SafetensorsTensor> = fc.oneof(
  tensorOf('F32', fc.float(), (v: number[]) => Float32Array.from(v)),
  tensorOf('F64', fc.double(), (v: number[]) => Float64Array.from(v)),
  tensorOf('I32', fc.integer(), (v: number[]) => Int32Array.from(v)),
  tensorOf('U8', fc.nat({ max: 255 }), (v: number[]) => Uint8Array.from(v)),
  tensorOf('I64', fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (v: bigint[]) =>
    BigInt64Array.from(v),
  ),
)
/** Any code points, lone surrogates and controls included. */
const anyText = fc
  .array(fc.oneof(fc.nat({ max: 0x7f }), fc.nat({ max: 0xffff }), fc.nat({ max: 0x10ffff })), {
    maxLength: 12,
  })
  .map((points) => String.fromCodePoint(...points))

const names = fc.oneof(
  anyText,
  fc.constantFrom('__proto__', 'constructor', '0', 'net.0.weight', '\ud800'),
)
const dictionaries = fc
  .array(fc.tuple(names, tensors), { maxLength: 6 })
  .map((pairs) => Object.fromEntries(pairs.filter(([name]) => name !== '__metadata__')))
const metadatas = fc
  .array(fc.tuple(names, anyText), { maxLength: 3 })
  .map((pairs) => Object.fromEntries(pairs))

const bytesOf = ({ data }: SafetensorsTensor) =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

describe('a safetensors file', () => {
  it('comes back with the same names, dtypes, shapes, bits and metadata', () => {
    fc.assert(
      fc.property(dictionaries, metadatas, (written, metadata) => {
        const read = decodeSafetensors(encodeSafetensors(written, metadata))
        expect(Object.keys(read.tensors).sort()).toEqual(Object.keys(written).sort())
        for (const name of Object.keys(written)) {
          const [a, b] = [written[name]!, read.tensors[name]!]
          expect([b.dtype, b.shape]).toEqual([a.dtype, a.shape])
          expect(b.data.constructor).toBe(a.data.constructor)
          expect(bytesOf(b)).toEqual(bytesOf(a))
        }
        expect(Object.entries(read.metadata)).toEqual(Object.entries(metadata))
      }),
    )
  })

  it('starts its data on 8 bytes and keeps every tensor aligned to its own width', () => {
    fc.assert(
      fc.property(dictionaries, metadatas, (written, metadata) => {
        const bytes = encodeSafetensors(written, metadata)
        const length = Number(new DataView(bytes.buffer).getBigUint64(0, true))
        expect(length % 8).toBe(0)
        const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)))
        for (const [name, { data }] of Object.entries(written)) {
          expect(header[name].data_offsets[0] % data.BYTES_PER_ELEMENT).toBe(0)
        }
      }),
    )
  })

  it('has the bytes of the published layout', () => {
    const bytes = encodeSafetensors({
      a: { dtype: 'F32', shape: [2], data: Float32Array.of(1, -2) },
    })
    const header = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    const expected = file(header.padEnd(56, ' '), [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0])
    expect(bytes).toEqual(expected)
  })

  it('does not depend on the order of the names', () => {
    const a: SafetensorsTensor = { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) }
    const b: SafetensorsTensor = { dtype: 'F64', shape: [], data: Float64Array.of(0.5) }
    expect(encodeSafetensors({ a, b })).toEqual(encodeSafetensors({ b, a }))
  })

  it('is read from the middle of a larger buffer, and from any order of ranges', () => {
    const inner = file({ b: entry('U8', [2], [1, 3]), a: entry('U8', [], [0, 1]) }, [7, 8, 9])
    const outer = new Uint8Array(inner.length + 8)
    outer.set(inner, 3)
    const { tensors } = decodeSafetensors(outer.subarray(3, 3 + inner.length))
    expect(tensors.a!.data).toEqual(Uint8Array.of(7))
    expect(tensors.b!.data).toEqual(Uint8Array.of(8, 9))
  })

  it('writes a view of a larger array as the view alone', () => {
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3)
    const read = decodeSafetensors(encodeSafetensors({ x: { dtype: 'F32', shape: [2], data } }))
    expect(read.tensors.x!.data).toEqual(Float32Array.of(2, 3))
  })
})

describe('decodeSafetensors refuses', () => {
  const two = [1, 2]
  const cases: [string, Uint8Array, RegExp][] = [
    ['nothing', new Uint8Array(0), /too short/],
    ['seven bytes', new Uint8Array(7), /too short/],
    ['a header longer than the file', file('{}').subarray(0, 9), /header length is absurd/],
    ['a header length of 2^64 - 1', new Uint8Array(64).fill(255), /header length is absurd/],
    ['an empty header', file(''), /not JSON/],
    ['a header that is not JSON', file('{"a":'), /not JSON/],
    ['a header that is not UTF-8', file('{"a":1}').fill(0xff, 10, 12), /not JSON/],
    ['a list for a header', file('[]'), /not a JSON object/],
    ['a tensor without description', file({ a: 1 }), /not described by an object/],
    ['an unknown dtype', file({ a: entry('F16', [1], [0, 2]) }, two), /dtype/],
    ['a dtype of the prototype', file({ a: entry('toString', [1], [0, 2]) }, two), /dtype/],
    ['a negative size', file({ a: entry('U8', [-2], [0, 2]) }, two), /list of sizes/],
    ['a fractional size', file({ a: entry('U8', [0.5], [0, 2]) }, two), /list of sizes/],
    ['three offsets', file({ a: entry('U8', [2], [0, 1, 2]) }, two), /begin and an end/],
    ['offsets after the data', file({ a: entry('U8', [3], [0, 3]) }, two), /lie outside/],
    ['offsets in reverse', file({ a: entry('U8', [2], [2, 0]) }, two), /lie outside/],
    ['too many bytes for the shape', file({ a: entry('U8', [1], [0, 2]) }, two), /disagree/],
    ['too few bytes for the dtype', file({ a: entry('F32', [1], [0, 2]) }, two), /disagree/],
    ['an overflowing shape', file({ a: entry('U8', [2 ** 50, 2 ** 50], [0, 2]) }, two), /disagree/],
    [
      'an overlap',
      file({ a: entry('U8', [2], [0, 2]), b: entry('U8', [1], [1, 2]) }, two),
      /overlap/,
    ],
    ['a hole', file({ a: entry('U8', [1], [1, 2]) }, two), /hole/],
    ['data without a tensor', file({ a: entry('U8', [1], [0, 1]) }, two), /do not cover/],
    ['metadata that is not a map', file({ __metadata__: 'x' }), /not a map of strings/],
    ['metadata that is not a string', file({ __metadata__: { a: 1 } }), /not a string/],
  ]
  it.each(cases)('%s', (_, bytes, message) => {
    const error = thrownBy(() => decodeSafetensors(bytes))
    expect(error).toBeInstanceOf(SafetensorsError)
    expect(error).toBeInstanceOf(LongwaveError)
    expect((error as SafetensorsError).describe()).toMatch(message)
  })

  it('500 random corruptions without any other error', () => {
    const random = new Random(7)
    const whole = encodeSafetensors(
      {
        'net.weight': { dtype: 'F32', shape: [3, 2], data: new Float32Array(6).fill(0.5) },
        'net.bias': { dtype: 'F64', shape: [2], data: new Float64Array(2) },
        steps: { dtype: 'I64', shape: [], data: BigInt64Array.of(12n) },
        codes: { dtype: 'U8', shape: [5], data: Uint8Array.of(1, 2, 3, 4, 5) },
      },
      { note: 'corrupt me' },
    )
    let refused = 0
    for (let round = 0; round < 500; round++) {
      const bytes = corrupted(whole, random)
      try {
        for (const { shape, data } of Object.values(decodeSafetensors(bytes).tensors)) {
          expect(data.length).toBe(count(shape))
        }
      } catch (error) {
        expect(error).toBeInstanceOf(SafetensorsError)
        refused++
      }
    }
    expect(refused).toBeGreaterThan(250)
  })
})

describe('encodeSafetensors refuses', () => {
  const data = Float32Array.of(1, 2)
  const cases: [string, Record<string, unknown>, RegExp][] = [
    ['a shape of another size', { a: { dtype: 'F32', shape: [3], data } }, /disagree/],
    ['a shape with a fraction', { a: { dtype: 'F32', shape: [0.5, 4], data } }, /disagree/],
    ['data of another dtype', { a: { dtype: 'F64', shape: [2], data } }, /not of its dtype/],
    ['an unknown dtype', { a: { dtype: 'BF16', shape: [2], data } }, /dtype/],
    ['the reserved name', { __metadata__: { dtype: 'F32', shape: [2], data } }, /may be named/],
  ]
  it.each(cases)('%s', (_, input, message) => {
    const encode = () => encodeSafetensors(input as Record<string, SafetensorsTensor>)
    const error = thrownBy(encode)
    expect(error).toBeInstanceOf(SafetensorsError)
    expect((error as SafetensorsError).describe()).toMatch(message)
  })
})

function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return undefined
}

/** One to four of: a byte changed, a bit flipped, a range cut, a range doubled. */
function corrupted(whole: Uint8Array, random: Random): Uint8Array {
  let bytes = whole.slice()
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(bytes.length)
    const other = random.below(bytes.length)
    const [from, to] = [Math.min(at, other), Math.max(at, other)]
    const kind = random.below(10)
    if (kind < 4) bytes[at] = random.below(256)
    else if (kind < 8) bytes[at]! ^= 1 << random.below(8)
    else if (kind < 9) bytes = Uint8Array.of(...bytes.subarray(0, from), ...bytes.subarray(to))
    else bytes = Uint8Array.of(...bytes.subarray(0, to), ...bytes.subarray(from))
  }
  return bytes
}
