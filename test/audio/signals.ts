import { readFileSync } from 'node:fs'

/** A committed file of test/audio/fixtures. */
export function fixture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`fixtures/${name}`, import.meta.url)))
}

/** A sine of `hz` at `rate`, starting at phase 0. */
export function sine(samples: number, hz: number, rate: number, level = 0.5): Float32Array {
  return Float32Array.from(
    { length: samples },
    (_, n) => level * Math.sin((2 * Math.PI * hz * n) / rate),
  )
}

/** Root of the mean square of a - b, over [from, to). */
export function rmsDifference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  from = 0,
  to = Math.min(a.length, b.length),
): number {
  let sum = 0
  for (let i = from; i < to; i++) sum += (a[i]! - b[i]!) ** 2
  return Math.sqrt(sum / (to - from))
}

/** The bytes one after the other. */
export function concat(...parts: (Uint8Array | string)[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array))))
}

/** A chunk of a RIFF file, padded to an even size. */
export function chunk(id: string, body: Uint8Array, size = body.length): Uint8Array {
  const head = Buffer.alloc(8)
  head.write(id, 'latin1')
  head.writeUInt32LE(size, 4)
  return concat(head, body, new Uint8Array(body.length % 2))
}

/** The body of a "fmt " chunk. */
export function wavFormat(
  tag: number,
  channels: number,
  rate: number,
  bits: number,
  align = channels * Math.ceil(bits / 8),
): Uint8Array {
  const body = Buffer.alloc(16)
  body.writeUInt16LE(tag, 0)
  body.writeUInt16LE(channels, 2)
  body.writeUInt32LE(rate, 4)
  body.writeUInt32LE((rate * align) % 2 ** 32, 8)
  body.writeUInt16LE(align, 12)
  body.writeUInt16LE(bits, 14)
  return new Uint8Array(body)
}

/** As `wavFormat`, as WAVE_FORMAT_EXTENSIBLE. */
export function extensibleFormat(tag: number, channels: number, rate: number, bits: number) {
  const extension = Buffer.alloc(24)
  extension.writeUInt16LE(22, 0)
  extension.writeUInt16LE(bits, 2)
  extension.writeUInt16LE(tag, 8)
  Buffer.from('000000001000800000aa00389b71', 'hex').copy(extension, 10)
  return concat(wavFormat(0xfffe, channels, rate, bits), extension)
}

/** A RIFF file of those chunks. */
export function riff(...chunks: Uint8Array[]): Uint8Array {
  const body = concat('WAVE', ...chunks)
  return chunk('RIFF', body)
}

/** One channel as integers of that many bits, little-endian; 8 bits are unsigned as WAV has them. */
export function pcm(integers: ArrayLike<number>, bits: 8 | 16 | 24 | 32): Uint8Array {
  const bytes = Buffer.alloc((integers.length * bits) / 8)
  for (let i = 0; i < integers.length; i++) {
    if (bits === 8) bytes.writeUInt8(integers[i]! + 128, i)
    else bytes.writeIntLE(integers[i]!, (i * bits) / 8, bits / 8)
  }
  return new Uint8Array(bytes)
}
