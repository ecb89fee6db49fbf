import { MPEGDecoder } from 'mpg123-decoder'
import { AudioDecodeError, damaged, truncated } from './errors.js'
import { quietly } from './quiet.js'
import type { AudioStream } from './stream.js'

const INPUT_BLOCK = 1 << 16
/** Consecutive frames that make arbitrary bytes an MP3. */
const ENOUGH_FRAMES = 3
/** How far junk before the first frame is looked through. */
const SEARCH = 1 << 16

// kbit/s of layer III by bitrate index: MPEG 1, then MPEG 2 and 2.5
const BITRATES = [
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0],
] as const
const RATES = [44100, 48000, 32000] as const

interface FrameHeader {
  bytes: number
  sampleRate: number
  mono: boolean
  /** MPEG 1, 2 or 2.5 as coded. */
  version: number
}

/** Byte after the ID3v2 tag at `at`, or `at` when there is none. */
export function skipId3(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== 0x49 || bytes[at + 1] !== 0x44 || bytes[at + 2] !== 0x33) return at
  if (at + 10 > bytes.length) return at
  let size = 0
  for (let i = 6; i < 10; i++) size = (size << 7) | (bytes[at + i]! & 0x7f)
  const footer = bytes[at + 5]! & 0x10 ? 10 : 0
  return at + 10 + size + footer
}

/** Start of the first frame, or -1 when the bytes are no MP3. */
export function findMp3(bytes: Uint8Array): number {
  const start = skipId3(bytes, 0)
  for (let at = start; at < Math.min(bytes.length, start + SEARCH); at++) {
    if (bytes[at] !== 0xff) continue
    let next = at
    let frames = 0
    let first: FrameHeader | undefined
    while (frames < ENOUGH_FRAMES) {
      const header = frameAt(bytes, next)
      if (header === undefined || (first && header.sampleRate !== first.sampleRate)) break
      first ??= header
      frames++
      next += header.bytes
    }
    // a very short file may end before
    const short = at === start && frames > 0 && next >= bytes.length
    if (frames === ENOUGH_FRAMES || short) return at
  }
  return -1
}

function frameAt(bytes: Uint8Array, at: number): FrameHeader | undefined {
  if (at + 4 > bytes.length || bytes[at] !== 0xff || (bytes[at + 1]! & 0xe6) !== 0xe2) return
  const version = (bytes[at + 1]! >> 3) & 3 // 0: 2.5, 2: 2, 3: 1
  const rateIndex = (bytes[at + 2]! >> 2) & 3
  const kbits = BITRATES[version === 3 ? 0 : 1][bytes[at + 2]! >> 4]!
  const baseRate = RATES[rateIndex]
  if (version === 1 || kbits === 0 || baseRate === undefined) return
  const sampleRate = baseRate >> (version === 3 ? 0 : version === 2 ? 1 : 2)
  const padding = (bytes[at + 2]! >> 1) & 1
  const length = Math.floor(((version === 3 ? 144 : 72) * kbits * 1000) / sampleRate) + padding
  return { bytes: length, sampleRate, mono: bytes[at + 3]! >> 6 === 3, version }
}

interface Mp3Layout {
  sampleRate: number
  mono: boolean
  /** Byte after the last frame. */
  end: number
}

/** Walks all frame headers, so that damage and truncation are found before decoding. */
function layout(bytes: Uint8Array, start: number): Mp3Layout {
  const first = frameAt(bytes, start)!
  const promised = promiseOf(bytes, start, first)
  let mono = first.mono
  let at = start
  let frames = 0
  /** Length that a last, incomplete frame should have. */
  let cut = 0
  while (at + 4 <= bytes.length) {
    const header = frameAt(bytes, at)
    if (header === undefined) {
      const after = skipId3(bytes, at)
      if (after > at && after < bytes.length) {
        at = after
        continue
      }
      const junk = bytes.subarray(at)
      if (frames < (promised?.frames ?? 0) && !isTrailer(junk)) {
        throw damaged(
          'MP3 file',
          `no frame at byte ${at}, after ${frames} frames of ${promised?.frames}`,
        )
      }
      if (findMp3(junk) >= 0) throw damaged('MP3 file', `bytes that are no frame at byte ${at}`)
      break
    }
    if (header.sampleRate !== first.sampleRate) {
      throw new AudioDecodeError({
        fact: 'The MP3 file changes its sample rate.',
        expected: `${first.sampleRate} Hz throughout`,
        got: `${header.sampleRate} Hz at byte ${at}`,
      })
    }
    if (at + header.bytes > bytes.length) {
      cut = header.bytes
      break
    }
    mono &&= header.mono
    at += header.bytes
    frames++
  }
  if (promised === undefined) {
    if (cut === 0) return { sampleRate: first.sampleRate, mono, end: at }
    throw truncated('MP3 file', `${cut} bytes in its last frame`, `${bytes.length - at} bytes`)
  }
  // some encoders count the frame with the count, so one less is only short if the bytes say so
  const missing = promised.frames - (frames - 1)
  if (missing > 1 || (missing === 1 && (cut > 0 || promised.bytes > at - start))) {
    throw truncated('MP3 file', `${promised.frames} frames`, `${frames - 1} frames`)
  }
  return { sampleRate: first.sampleRate, mono, end: at }
}

interface Promised {
  frames: number
  /** 0 when not told. */
  bytes: number
}

/** What a Xing, Info or VBRI header in the first frame promises. */
function promiseOf(bytes: Uint8Array, at: number, header: FrameHeader): Promised | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const side = header.version === 3 ? (header.mono ? 17 : 32) : header.mono ? 9 : 17
  const name = (from: number) => String.fromCharCode(...bytes.subarray(from, from + 4))
  const xing = at + 4 + side
  if (xing + 16 <= bytes.length && ['Xing', 'Info'].includes(name(xing))) {
    const flags = view.getUint32(xing + 4)
    if ((flags & 1) === 0) return undefined
    return { frames: view.getUint32(xing + 8), bytes: flags & 2 ? view.getUint32(xing + 12) : 0 }
  }
  const vbri = at + 36
  if (vbri + 18 <= bytes.length && name(vbri) === 'VBRI') {
    return { frames: view.getUint32(vbri + 14), bytes: view.getUint32(vbri + 10) }
  }
  return undefined
}

/** ID3v1, APE and Lyrics3 tags, or nothing but zeros. */
function isTrailer(bytes: Uint8Array): boolean {
  const start = String.fromCharCode(...bytes.subarray(0, 8))
  return /^(TAG|APETAGEX|LYRICS)/.test(start) || bytes.every((byte) => byte === 0)
}

/**
 * Opens an MP3 file whose first frame is at `start`. Encoder delay is cut where a LAME header
 * tells it.
 * @throws AudioDecodeError when it is truncated or damaged, as far as its frames tell
 */
export function openMp3(bytes: Uint8Array, start: number): AudioStream {
  const { sampleRate, mono, end } = layout(bytes, start)
  return {
    format: 'mp3',
    sampleRate,
    channels: mono ? 1 : 2,
    async *blocks() {
      const decoder = new MPEGDecoder()
      await decoder.ready
      try {
        for (let at = start; at < end; at += INPUT_BLOCK) {
          const input = bytes.subarray(at, Math.min(end, at + INPUT_BLOCK))
          const { channelData, errors, samplesDecoded } = await quietly(() => decoder.decode(input))
          const error = errors[0]
          if (error !== undefined) throw damaged('MP3 file', error.message)
          // the decoder returns mono as two equal channels
          if (samplesDecoded > 0) yield mono ? channelData.slice(0, 1) : channelData
        }
      } finally {
        decoder.free()
      }
    },
  }
}
