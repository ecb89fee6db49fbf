import { OggVorbisDecoder } from '@wasm-audio-decoders/ogg-vorbis'
import { OggOpusDecoder } from 'ogg-opus-decoder'
import { AudioDecodeError, damaged, truncated } from './errors.js'
import { flacStream, readStreamInfo } from './flac.js'
import { quietly } from './quiet.js'
import type { AudioStream } from './stream.js'

const INPUT_BLOCK = 1 << 16
const CONTINUED = 1
const LAST = 4

const CRC = Uint32Array.from({ length: 256 }, (_, value) => {
  let crc = value << 24
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1
  return crc
})

/** Whether the bytes start with an Ogg page. */
export function isOgg(bytes: Uint8Array): boolean {
  return bytes[0] === 0x4f && bytes[1] === 0x67 && bytes[2] === 0x67 && bytes[3] === 0x53
}

/**
 * Opens one Ogg stream of Vorbis, Opus or FLAC.
 * @throws AudioDecodeError when a page is damaged or missing, when the last page is missing, when
 * there are several streams, or when the codec is another one
 */
export function openOgg(bytes: Uint8Array): AudioStream {
  const end = checkPages(bytes)
  const pages = bytes.subarray(0, end)
  const first = packets(pages).next().value
  if (first === undefined) throw damaged('Ogg file', 'no packet')
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength)
  const id = String.fromCharCode(...first.subarray(0, 8))
  if (id.startsWith('\x01vorbis') && first.length >= 16) {
    const channels = first[11]!
    const sampleRate = view.getUint32(12, true)
    if (channels === 0 || sampleRate === 0) {
      throw damaged('Ogg Vorbis file', `${channels} channels at ${sampleRate} Hz in its header`)
    }
    const stream = { format: 'ogg vorbis', sampleRate, channels }
    return wrapped(stream, pages, 1, lastGranule(pages), () => new OggVorbisDecoder())
  }
  if (id === 'OpusHead' && first.length >= 19) {
    const channels = first[9]!
    // output gain in 1/256 dB, which RFC 7845 section 5.1 asks a player to apply
    const gain = 10 ** (view.getInt16(16, true) / (20 * 256))
    const samples = lastGranule(pages) - view.getUint16(10, true)
    const stream = { format: 'ogg opus', sampleRate: 48000, channels }
    return wrapped(stream, pages, gain, samples, () => new OggOpusDecoder())
  }
  if (id.startsWith('\x7fFLAC') && first.length >= 51) {
    return flacStream('ogg flac', readStreamInfo(first, 17), () => flacFrames(pages))
  }
  throw new AudioDecodeError({
    fact: 'The Ogg file holds a codec that is not supported.',
    expected: 'Vorbis, Opus or FLAC',
    got: JSON.stringify(id),
  })
}

interface PageDecoder {
  ready: Promise<void>
  free(): void
  decode(bytes: Uint8Array): Promise<Decoded> | Decoded
  flush(): Promise<Decoded>
}

interface Decoded {
  channelData: Float32Array[]
  samplesDecoded: number
  sampleRate: number
  errors: { message: string }[]
}

/** @param samples cut what the decoder returns beyond this length of each channel */
function wrapped(
  stream: Omit<AudioStream, 'blocks'>,
  pages: Uint8Array,
  gain: number,
  samples: number,
  create: () => PageDecoder,
): AudioStream {
  const { format, sampleRate, channels } = stream
  return {
    ...stream,
    async *blocks() {
      let left = samples
      const decoder = create()
      await decoder.ready
      const check = (decoded: Decoded): Float32Array[] => {
        const error = decoded.errors[0]
        if (error !== undefined) throw damaged(`file (${format})`, error.message)
        if (decoded.samplesDecoded === 0) return []
        if (decoded.channelData.length !== channels || decoded.sampleRate !== sampleRate) {
          throw damaged(`file (${format})`, 'a change of rate or channels')
        }
        if (gain !== 1) {
          for (const channel of decoded.channelData) {
            for (let i = 0; i < channel.length; i++) channel[i]! *= gain
          }
        }
        const keep = Math.min(left, decoded.samplesDecoded)
        left -= keep
        return keep > 0 ? decoded.channelData.map((channel) => channel.subarray(0, keep)) : []
      }
      try {
        for (let at = 0; at < pages.length; at += INPUT_BLOCK) {
          const input = pages.subarray(at, at + INPUT_BLOCK)
          const block = check(await quietly(() => decoder.decode(input)))
          if (block.length > 0) yield block
        }
        const rest = check(await quietly(() => decoder.flush()))
        if (rest.length > 0) yield rest
      } finally {
        decoder.free()
      }
    },
  }
}

/** Checks every page (RFC 3533, section 6) and returns the byte after the last one. */
function checkPages(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  let page = 0
  let serial: number | undefined
  while (at < bytes.length) {
    if (!isOgg(bytes.subarray(at, at + 4))) throw damaged('Ogg file', `no page at byte ${at}`)
    const size = pageSize(bytes, at)
    if (at + size > bytes.length) {
      throw truncated('Ogg file', `${size} bytes in page ${page}`, `${bytes.length - at} bytes`)
    }
    if (checksum(bytes, at, at + size) !== view.getUint32(at + 22, true)) {
      throw damaged('Ogg file', `a checksum error in page ${page}`)
    }
    serial ??= view.getUint32(at + 14, true)
    if (view.getUint32(at + 14, true) !== serial) throw severalStreams()
    if (view.getUint32(at + 18, true) !== page) {
      throw damaged('Ogg file', `page ${view.getUint32(at + 18, true)} where page ${page} belongs`)
    }
    const flags = bytes[at + 5]!
    at += size
    page++
    if (flags & LAST) {
      if (isOgg(bytes.subarray(at, at + 4))) throw severalStreams()
      return at // what follows the last page is no audio
    }
  }
  throw truncated('Ogg file', 'a page that is marked as the last', `${page} pages without one`)
}

/** The position, in samples, at the end of the last page whose position is set. */
function lastGranule(pages: Uint8Array): number {
  const view = new DataView(pages.buffer, pages.byteOffset, pages.byteLength)
  let granule = -1n
  for (let at = 0; at < pages.length; at += pageSize(pages, at)) {
    const value = view.getBigInt64(at + 6, true)
    if (value !== -1n) granule = value
  }
  return Number(granule)
}

function severalStreams(): AudioDecodeError {
  return new AudioDecodeError({
    fact: 'The Ogg file holds several streams.',
    expected: 'one audio stream',
    got: 'chained or multiplexed streams',
    hint: 'Split it in one file per stream.',
  })
}

function pageSize(bytes: Uint8Array, at: number): number {
  const segments = bytes[at + 26] ?? 0
  let size = 27 + segments
  for (let i = 0; i < segments; i++) size += bytes[at + 27 + i] ?? 0
  return size
}

/** CRC-32 of a page, its own checksum field taken as 0. */
function checksum(bytes: Uint8Array, from: number, to: number): number {
  let crc = 0
  for (let i = from; i < to; i++) {
    const byte = i >= from + 22 && i < from + 26 ? 0 : bytes[i]!
    crc = (crc << 8) ^ CRC[(crc >>> 24) ^ byte]!
  }
  return crc >>> 0
}

/** The packets of a stream whose pages were checked. */
function* packets(pages: Uint8Array): Generator<Uint8Array, undefined> {
  let held: Uint8Array[] = []
  for (let at = 0; at < pages.length; at += pageSize(pages, at)) {
    const segments = pages[at + 26]!
    let body = at + 27 + segments
    let from = body
    if ((pages[at + 5]! & CONTINUED) === 0) held = []
    for (let i = 0; i < segments; i++) {
      const lace = pages[at + 27 + i]!
      body += lace
      if (lace === 255 && i < segments - 1) continue
      held.push(pages.subarray(from, body))
      from = body
      if (lace < 255) {
        yield held.length === 1 ? held[0]! : join(held)
        held = []
      }
    }
  }
  return undefined
}

/** Audio packets of FLAC in Ogg: each is one frame; headers start with other bytes. */
function* flacFrames(pages: Uint8Array): Generator<Uint8Array> {
  for (const packet of packets(pages)) if (packet[0] === 0xff) yield packet
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
