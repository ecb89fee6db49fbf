import { FLACDecoder } from '@wasm-audio-decoders/flac'
import { AudioDecodeError, damaged, truncated } from './errors.js'
import { quietly } from './quiet.js'
import type { AudioStream } from './stream.js'

/** Frames given to the decoder at a time: about 6 s of audio at 44.1 kHz. */
const BATCH = 64

/** Facts of a STREAMINFO block (RFC 9639, section 8.2). */
export interface FlacInfo {
  sampleRate: number
  channels: number
  bitDepth: number
  /** Samples of each channel; 0 when the writer did not know. */
  samples: number
}

/** Reads the 34 bytes of STREAMINFO. */
export function readStreamInfo(bytes: Uint8Array, at: number): FlacInfo {
  if (at + 34 > bytes.length) {
    throw truncated(
      'FLAC file',
      '34 bytes of STREAMINFO',
      `${Math.max(0, bytes.length - at)} bytes`,
    )
  }
  const byte = (i: number) => bytes[at + i]!
  const info = {
    sampleRate: (byte(10) << 12) | (byte(11) << 4) | (byte(12) >> 4),
    channels: ((byte(12) >> 1) & 7) + 1,
    bitDepth: (((byte(12) & 1) << 4) | (byte(13) >> 4)) + 1,
    samples:
      (byte(13) & 15) * 2 ** 32 +
      byte(14) * 2 ** 24 +
      ((byte(15) << 16) | (byte(16) << 8) | byte(17)),
  }
  if (info.sampleRate === 0 || info.bitDepth < 4) {
    throw damaged('FLAC file', `${info.bitDepth} bits at ${info.sampleRate} Hz in its header`)
  }
  return info
}

/**
 * Opens a native FLAC file whose "fLaC" mark is at `start`.
 * @throws AudioDecodeError when its header is damaged
 */
export function openFlac(bytes: Uint8Array, start: number): AudioStream {
  if ((bytes[start + 4]! & 0x7f) !== 0)
    throw damaged('FLAC file', 'no STREAMINFO block at its start')
  const info = readStreamInfo(bytes, start + 8)
  let at = start + 4
  let last = false
  while (!last) {
    if (at + 4 > bytes.length) throw truncated('FLAC file', 'audio frames', 'metadata only')
    last = bytes[at]! >= 0x80
    at += 4 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)
  }
  return flacStream('flac', info, () => splitFrames(bytes, at, info.samples))
}

/** Decodes frames that are already split. Used for native FLAC and for FLAC in Ogg. */
export function flacStream(
  format: string,
  info: FlacInfo,
  frames: () => Iterable<Uint8Array>,
): AudioStream {
  return {
    format,
    sampleRate: info.sampleRate,
    channels: info.channels,
    bitDepth: info.bitDepth,
    async *blocks() {
      const decoder = new FLACDecoder()
      await decoder.ready
      let decoded = 0
      const decode = async (batch: Uint8Array[]): Promise<Float32Array[]> => {
        const result = await quietly(() => decoder.decodeFrames(batch))
        const error = result.errors[0]
        if (error !== undefined) throw damaged('FLAC file', `frame error: ${error.message}`)
        if (result.channelData.length !== info.channels) {
          throw new AudioDecodeError({
            fact: 'The FLAC file changes its number of channels.',
            expected: `${info.channels} channels`,
            got: `${result.channelData.length} channels`,
          })
        }
        decoded += result.samplesDecoded
        return result.channelData.map((channel) => rescale(channel, result.bitDepth))
      }
      try {
        let batch: Uint8Array[] = []
        for (const frame of frames()) {
          batch.push(explicit(frame, info))
          if (batch.length === BATCH) {
            yield await decode(batch)
            batch = []
          }
        }
        if (batch.length > 0) yield await decode(batch)
      } finally {
        decoder.free()
      }
      if (info.samples > 0 && decoded < info.samples) {
        throw truncated('FLAC file', `${info.samples} samples`, `${decoded} samples`)
      }
    },
  }
}

/**
 * The decoder divides integers by 2^(bits-1) - 1; WAV readers by 2^(bits-1). Going back to the
 * integers makes the same audio the same floats in both.
 */
function rescale(channel: Float32Array, bitDepth: number): Float32Array {
  const full = 2 ** (bitDepth - 1)
  for (let i = 0; i < channel.length; i++) channel[i] = Math.round(channel[i]! * (full - 1)) / full
  return channel
}

/** How a frame names its bits. */
const BIT_CODES: Readonly<Record<number, number>> = { 8: 1, 12: 2, 16: 4, 20: 5, 24: 6, 32: 7 }

/**
 * A frame may leave its rate and bits to STREAMINFO, which the decoder never sees. Such a frame
 * gets its bits, and some rate: the decoder makes no use of it.
 */
function explicit(frame: Uint8Array, info: FlacInfo): Uint8Array {
  const hasRate = (frame[2]! & 15) !== 0
  const hasBits = ((frame[3]! >> 1) & 7) !== 0
  if (hasRate && hasBits) return frame
  const code = BIT_CODES[info.bitDepth]
  if (code === undefined) {
    throw new AudioDecodeError({
      fact: 'The FLAC file has an unusual sample size.',
      expected: '8, 12, 16, 20, 24 or 32 bits',
      got: `${info.bitDepth} bits`,
    })
  }
  const patched = frame.slice()
  if (!hasRate) patched[2]! |= 9 // 44.1 kHz
  if (!hasBits) patched[3]! |= code << 1
  const header = headerBytes(patched, 0)
  patched[header] = crc8(patched, 0, header)
  let crc = 0
  const end = patched.length - 2
  for (let i = 0; i < end; i++) crc = ((crc << 8) & 0xffff) ^ CRC16[(crc >> 8) ^ patched[i]!]!
  patched[end] = crc >> 8
  patched[end + 1] = crc & 255
  return patched
}

const CRC8 = Uint8Array.from({ length: 256 }, (_, value) => {
  let crc = value
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x80 ? (crc << 1) ^ 0x07 : crc << 1
  return crc
})

const CRC16 = Uint16Array.from({ length: 256 }, (_, value) => {
  let crc = value << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x8005 : crc << 1
  return crc
})

/**
 * Cuts audio bytes in frames (RFC 9639, section 9). A frame ends where its CRC-16 comes out and
 * a valid header or the end of the file follows. One pass.
 */
function* splitFrames(bytes: Uint8Array, start: number, samples: number): Generator<Uint8Array> {
  let from = start
  let found = 0
  while (from < bytes.length && (samples === 0 || found < samples)) {
    const block = blockSizeAt(bytes, from)
    if (block === 0) {
      if (samples === 0 && isTag(bytes, from)) return
      if (bytes.length - from < 16) break
      throw damaged('FLAC file', `no frame at byte ${from}, after ${found} samples`)
    }
    const at = frameEnd(bytes, from, found + block === samples)
    if (at < 0) {
      // the checksum never came out: cut short, or a byte of this frame has changed
      if (nextHeader(bytes, from + 8) < 0) break
      throw damaged('FLAC file', `checksum error in the frame at byte ${from}`)
    }
    yield bytes.subarray(from, at)
    found += block
    from = at
  }
  if (samples > 0 ? found < samples : from < bytes.length) {
    throw truncated(
      'FLAC file',
      samples > 0 ? `${samples} samples` : 'whole frames',
      `${found} samples`,
    )
  }
}

/** Byte after the frame at `from`, or -1 when its checksum never comes out. */
function frameEnd(bytes: Uint8Array, from: number, isLast: boolean): number {
  let crc = 0
  let end = -1
  for (let at = from; at < bytes.length; ) {
    crc = ((crc << 8) & 0xffff) ^ CRC16[(crc >> 8) ^ bytes[at]!]!
    at++
    if (crc !== 0 || at - from <= 8) continue
    if (at === bytes.length || (!isLast && blockSizeAt(bytes, at) > 0)) return at
    // by chance it comes out within a frame, too: what follows the last one is short, if anything
    if (isLast) end = at
  }
  return end
}

function nextHeader(bytes: Uint8Array, from: number): number {
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] === 0xff && blockSizeAt(bytes, at) > 0) return at
  }
  return -1
}

function isTag(bytes: Uint8Array, at: number): boolean {
  return bytes.length - at === 128 && String.fromCharCode(...bytes.subarray(at, at + 3)) === 'TAG'
}

/** Samples of the frame whose header is at `at`, or 0 when there is no valid header. */
function blockSizeAt(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== 0xff || (bytes[at + 1]! & 0xfe) !== 0xf8 || at + 6 > bytes.length) return 0
  const sizeCode = bytes[at + 2]! >> 4
  const rateCode = bytes[at + 2]! & 15
  const channelCode = bytes[at + 3]! >> 4
  if (sizeCode === 0 || rateCode === 15 || channelCode > 10 || (bytes[at + 3]! & 1) === 1) return 0
  const end = headerBytes(bytes, at) + at
  if (end <= at || end >= bytes.length || crc8(bytes, at, end) !== bytes[end]) return 0
  if (sizeCode === 1) return 192
  if (sizeCode < 6) return 576 << (sizeCode - 2)
  if (sizeCode > 7) return 256 << (sizeCode - 8)
  const size = end - (rateCode === 12 ? 1 : rateCode > 12 ? 2 : 0)
  return sizeCode === 6 ? bytes[size - 1]! + 1 : ((bytes[size - 2]! << 8) | bytes[size - 1]!) + 1
}

/** Length of a frame header without its checksum; 0 when its number makes no sense. */
function headerBytes(bytes: Uint8Array, at: number): number {
  const sizeCode = bytes[at + 2]! >> 4
  const rateCode = bytes[at + 2]! & 15
  const lead = bytes[at + 4]!
  // the frame number is coded like UTF-8, of up to 7 bytes
  const number = lead < 0x80 ? 1 : Math.clz32(~(lead << 24))
  if (number > 7 || (lead >= 0x80 && number < 2)) return 0
  const size = sizeCode === 6 ? 1 : sizeCode === 7 ? 2 : 0
  return 4 + number + size + (rateCode === 12 ? 1 : rateCode > 12 ? 2 : 0)
}

function crc8(bytes: Uint8Array, from: number, to: number): number {
  let crc = 0
  for (let i = from; i < to; i++) crc = CRC8[crc ^ bytes[i]!]!
  return crc
}
