import { UsageError } from '../base/errors.js'
import { AudioDecodeError, damaged, truncated } from './errors.js'
import type { AudioStream } from './stream.js'

const FORMAT_PCM = 1
const FORMAT_FLOAT = 3
const FORMAT_EXTENSIBLE = 0xfffe
/** Last 14 bytes of the sub-format of WAVE_FORMAT_EXTENSIBLE when it holds a plain format tag. */
const SUBFORMAT_TAIL = '000000001000800000aa00389b71'
const UNKNOWN_SIZE = 0xffffffff
const MAX_CHANNELS = 256
const MAX_RATE = 4_000_000
/** Samples of each channel in a block. */
const BLOCK = 1 << 16

const CODEC_NAMES: Readonly<Record<number, string>> = {
  2: 'Microsoft ADPCM',
  6: 'A-law',
  7: 'mu-law (G.711)',
  17: 'IMA ADPCM',
  49: 'GSM 6.10',
  80: 'MPEG',
  85: 'MP3',
  255: 'AAC',
}

type Encoding = 'u8' | 's16' | 's24' | 's32' | 'f32' | 'f64'

interface WavHeader {
  encoding: Encoding
  sampleRate: number
  channels: number
  /** Bytes of one sample of all channels. */
  frameBytes: number
  /** Where the samples start, in bytes. */
  start: number
  /** Samples of each channel. */
  frames: number
}

/** Whether the bytes start like a WAV file. */
export function isWav(bytes: Uint8Array): boolean {
  const id = ascii(bytes, 0, 4)
  return (id === 'RIFF' || id === 'RF64' || id === 'BW64') && ascii(bytes, 8, 12) === 'WAVE'
}

/**
 * Opens a WAV file: PCM of 8, 16, 24 and 32 bits, float of 32 and 64, plain, extensible or RF64.
 * Integers are divided by their full scale (32768 for 16 bits), so 16 and 24 bits are exact.
 * A data size of 0 or 0xFFFFFFFF, as streaming writers leave it, means all that is there.
 * @throws AudioDecodeError when the header is wrong, not supported, or claims more than is there
 */
export function openWav(bytes: Uint8Array): AudioStream {
  const header = readHeader(bytes)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const read = READERS[header.encoding]
  const sampleBytes = header.frameBytes / header.channels
  return {
    format: 'wav',
    sampleRate: header.sampleRate,
    channels: header.channels,
    bitDepth: sampleBytes * 8,
    async *blocks() {
      for (let from = 0; from < header.frames; from += BLOCK) {
        const length = Math.min(BLOCK, header.frames - from)
        const block: Float32Array[] = []
        for (let c = 0; c < header.channels; c++) {
          const channel = new Float32Array(length)
          const offset = header.start + from * header.frameBytes + c * sampleBytes
          read(view, offset, header.frameBytes, channel)
          block.push(channel)
        }
        yield block
      }
    },
  }
}

type Reader = (view: DataView, offset: number, stride: number, out: Float32Array) => void

const READERS: Readonly<Record<Encoding, Reader>> = {
  u8(view, offset, stride, out) {
    for (let i = 0; i < out.length; i++) out[i] = (view.getUint8(offset + i * stride) - 128) / 128
  },
  s16(view, offset, stride, out) {
    for (let i = 0; i < out.length; i++) out[i] = view.getInt16(offset + i * stride, true) / 32768
  },
  s24(view, offset, stride, out) {
    for (let i = 0; i < out.length; i++) {
      const at = offset + i * stride
      out[i] = ((view.getInt8(at + 2) << 16) | view.getUint16(at, true)) / 0x800000
    }
  },
  s32(view, offset, stride, out) {
    for (let i = 0; i < out.length; i++) {
      out[i] = view.getInt32(offset + i * stride, true) / 0x80000000
    }
  },
  f32(view, offset, stride, out) {
    for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(offset + i * stride, true)
  },
  f64(view, offset, stride, out) {
    for (let i = 0; i < out.length; i++) out[i] = view.getFloat64(offset + i * stride, true)
  },
}

function readHeader(bytes: Uint8Array): WavHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let format: Omit<WavHeader, 'start' | 'frames'> | undefined
  let longSize: number | undefined
  let at = 12
  while (at + 8 <= bytes.length) {
    const id = ascii(bytes, at, at + 4)
    const size = view.getUint32(at + 4, true)
    const body = at + 8
    if (id === 'fmt ') {
      format = readFormat(bytes, view, body, size)
    } else if (id === 'ds64' && body + 16 <= bytes.length) {
      longSize = Number(view.getBigUint64(body + 8, true))
    } else if (id === 'data') {
      if (format === undefined) throw damaged('WAV file', 'no "fmt " chunk before the samples')
      const held = bytes.length - body
      const claimed = size === UNKNOWN_SIZE && longSize !== undefined ? longSize : size
      const streamed = claimed === UNKNOWN_SIZE || (claimed === 0 && !sizeIsTrue(view, bytes))
      if (!streamed && claimed > held) {
        throw truncated('WAV file', `${claimed} bytes of samples`, `${held} bytes`)
      }
      const frames = Math.floor((streamed ? held : claimed) / format.frameBytes)
      return { ...format, start: body, frames }
    }
    at = body + size + (size & 1) // chunks are padded to even sizes
  }
  throw truncated('WAV file', 'a "data" chunk', `${bytes.length} bytes without one`)
}

/** Whether the outer size is that of the file: then a data size of 0 is meant. */
function sizeIsTrue(view: DataView, bytes: Uint8Array): boolean {
  return view.getUint32(4, true) + 8 === bytes.length
}

function readFormat(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  size: number,
): Omit<WavHeader, 'start' | 'frames'> {
  if (size < 16 || at + size > bytes.length) {
    throw truncated(
      'WAV header',
      'a "fmt " chunk of 16 bytes or more',
      `${bytes.length - at} bytes`,
    )
  }
  let tag = view.getUint16(at, true)
  const channels = view.getUint16(at + 2, true)
  const sampleRate = view.getUint32(at + 4, true)
  const frameBytes = view.getUint16(at + 12, true)
  const bits = view.getUint16(at + 14, true)
  if (tag === FORMAT_EXTENSIBLE) {
    if (size < 40) throw damaged('WAV file', `an extensible header of ${size} bytes instead of 40`)
    if (hex(bytes, at + 26, at + 40) !== SUBFORMAT_TAIL) {
      throw new AudioDecodeError({
        fact: 'The WAV file holds a codec that is not supported.',
        expected: 'PCM or float samples',
        got: `sub-format ${hex(bytes, at + 24, at + 40)}`,
      })
    }
    tag = view.getUint16(at + 24, true)
  }
  const encoding = encodingOf(tag, bits)
  if (channels < 1 || channels > MAX_CHANNELS)
    throw absurd('channels', `1 to ${MAX_CHANNELS}`, channels)
  if (sampleRate < 1 || sampleRate > MAX_RATE) throw absurd('Hz', `1 to ${MAX_RATE}`, sampleRate)
  const expected = channels * Math.ceil(bits / 8)
  if (frameBytes !== expected) throw absurd('bytes per frame', `${expected}`, frameBytes)
  return { encoding, sampleRate, channels, frameBytes }
}

function encodingOf(tag: number, bits: number): Encoding {
  if (tag === FORMAT_FLOAT && (bits === 32 || bits === 64)) return bits === 32 ? 'f32' : 'f64'
  if (tag === FORMAT_PCM && bits >= 1 && bits <= 32) {
    // odd sizes such as 12 or 20 bits are left-justified in whole bytes
    return (['u8', 's16', 's24', 's32'] as const)[Math.ceil(bits / 8) - 1]!
  }
  throw new AudioDecodeError({
    fact: 'The WAV file holds samples that are not supported.',
    expected: 'PCM of 8 to 32 bits or float of 32 or 64 bits',
    got: `${bits} bits of codec ${tag}${CODEC_NAMES[tag] ? ` (${CODEC_NAMES[tag]})` : ''}`,
    hint: 'Convert it to 16-bit PCM.',
  })
}

function absurd(unit: string, expected: string, got: number): AudioDecodeError {
  return new AudioDecodeError({
    fact: 'The WAV header makes no sense.',
    expected: `${expected} ${unit}`,
    got: `${got} ${unit}`,
  })
}

/**
 * Writes a WAV file of [channels][n] samples. 16 and 24 bits are PCM, scaled by 32768 and 8388608,
 * rounded and clamped; 32 bits are float, exactly the samples.
 * @param sampleRate in Hz
 * @throws UsageError when there is no channel, lengths differ or the file would pass 4 GiB
 */
export function encodeWav(
  channels: readonly Float32Array[],
  sampleRate: number,
  options: { bitDepth?: 16 | 24 | 32 } = {},
): Uint8Array {
  const bitDepth = options.bitDepth ?? 16
  const frames = channels[0]?.length ?? 0
  const frameBytes = (channels.length * bitDepth) / 8
  const dataBytes = frames * frameBytes
  if (channels.length === 0 || channels.some((channel) => channel.length !== frames)) {
    throw new UsageError({
      fact: 'A WAV file needs channels of one length.',
      expected: 'one or more channels of equal length',
      got: `[${channels.map((channel) => channel.length).join(', ')}]`,
    })
  }
  if (dataBytes > UNKNOWN_SIZE - 64) {
    throw new UsageError({ fact: 'A WAV file holds at most 4 GiB.', got: `${dataBytes} bytes` })
  }
  const bytes = new Uint8Array(44 + dataBytes + (dataBytes & 1))
  const view = new DataView(bytes.buffer)
  writeAscii(bytes, 0, 'RIFF')
  view.setUint32(4, bytes.length - 8, true)
  writeAscii(bytes, 8, 'WAVEfmt ')
  view.setUint32(16, 16, true)
  view.setUint16(20, bitDepth === 32 ? FORMAT_FLOAT : FORMAT_PCM, true)
  view.setUint16(22, channels.length, true)
  view.setUint32(24, sampleRate, true)
  view.setUint32(28, sampleRate * frameBytes, true)
  view.setUint16(32, frameBytes, true)
  view.setUint16(34, bitDepth, true)
  writeAscii(bytes, 36, 'data')
  view.setUint32(40, dataBytes, true)
  channels.forEach((channel, c) => {
    for (let i = 0; i < frames; i++) {
      const at = 44 + i * frameBytes + (c * bitDepth) / 8
      if (bitDepth === 32) {
        view.setFloat32(at, channel[i]!, true)
      } else {
        const full = 2 ** (bitDepth - 1)
        const value = Math.max(-full, Math.min(full - 1, Math.round(channel[i]! * full)))
        if (bitDepth === 16) {
          view.setInt16(at, value, true)
        } else {
          view.setUint16(at, value & 0xffff, true)
          view.setInt8(at + 2, value >> 16)
        }
      }
    }
  })
  return bytes
}

function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to))
}

function writeAscii(bytes: Uint8Array, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i)
}

function hex(bytes: Uint8Array, from: number, to: number): string {
  return Array.from(bytes.subarray(from, to), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
