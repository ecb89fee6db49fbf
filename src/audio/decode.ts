import { LongwaveError, messageOf } from '../base/errors.js'
import { AudioDecodeError, damaged, truncated } from './errors.js'
import { openFlac } from './flac.js'
import { findMp3, openMp3, skipId3 } from './mp3.js'
import { isOgg, openOgg } from './ogg.js'
import type { AudioStream } from './stream.js'
import { isWav, openWav } from './wav.js'

/** Audio in memory. */
export interface DecodedAudio {
  /** 'wav', 'flac', 'mp3', 'ogg vorbis', 'ogg opus' or 'ogg flac': told by the content. */
  format: string
  /** In Hz. */
  sampleRate: number
  /** [channels][n] samples, 1.0 being full scale. */
  channels: Float32Array[]
}

/** Marks of formats that are often met and not supported: name, offset, text. */
const OTHERS: readonly (readonly [string, number, string])[] = [
  ['AIFF', 0, 'FORM'],
  ['MP4 or M4A', 4, 'ftyp'],
  ['Core Audio', 0, 'caff'],
  ['WavPack', 0, 'wvpk'],
  ["Monkey's Audio", 0, 'MAC '],
  ['Matroska or WebM', 0, '\x1aE\xdf\xa3'],
  ['Windows Media', 0, '0&\xb2u'],
  ['big-endian WAV', 0, 'RIFX'],
  ['Sun audio', 0, '.snd'],
  ['MIDI', 0, 'MThd'],
  ['zip', 0, 'PK\x03\x04'],
  ['PNG', 0, '\x89PNG'],
  ['JPEG', 0, '\xff\xd8\xff'],
  ['PDF', 0, '%PDF'],
]

/**
 * Opens audio of any supported format for reading block by block. The content decides, not a name.
 * @throws AudioDecodeError when the bytes are no such audio; reading blocks throws it, too
 */
export function openAudio(bytes: Uint8Array): AudioStream {
  const stream = sniff(bytes)
  return {
    ...stream,
    async *blocks() {
      let read = 0
      try {
        for await (const block of stream.blocks()) {
          checkNumbers(block, read)
          read += block[0]?.length ?? 0
          yield block
        }
      } catch (thrown) {
        if (thrown instanceof LongwaveError) throw thrown
        // a decoder that gives up in its own way
        throw damaged(`file (${stream.format})`, messageOf(thrown))
      }
    },
  }
}

function sniff(bytes: Uint8Array): AudioStream {
  if (bytes.length === 0) {
    throw new AudioDecodeError({ fact: 'The file is empty.', expected: 'audio', got: '0 bytes' })
  }
  if (isWav(bytes)) return openWav(bytes)
  if (isOgg(bytes)) return openOgg(bytes)
  const body = skipId3(bytes, 0)
  if (has(bytes, body, 'fLaC')) return openFlac(bytes, body)
  const other = OTHERS.find(([, offset, mark]) => has(bytes, offset, mark))
  const frame = other === undefined ? findMp3(bytes) : -1
  if (frame >= 0) return openMp3(bytes, frame)
  if (body > bytes.length) throw truncated('file', `an ID3 tag of ${body} bytes`, `${bytes.length}`)
  if (['RIFF', 'fLaC', 'OggS'].some((mark) => bytes.length < 12 && startsLike(bytes, mark))) {
    throw truncated('file', 'a whole header', `${bytes.length} bytes`)
  }
  throw new AudioDecodeError({
    fact: 'The content is not audio of a supported format.',
    expected: 'WAV, FLAC, MP3, Ogg Vorbis or Ogg Opus',
    got: other ? `${other[0]} data` : `bytes that start with ${startOf(bytes)}`,
    hint: 'Convert it to WAV or FLAC.',
  })
}

function has(bytes: Uint8Array, at: number, mark: string): boolean {
  for (let i = 0; i < mark.length; i++) if (bytes[at + i] !== mark.charCodeAt(i)) return false
  return true
}

function startsLike(bytes: Uint8Array, mark: string): boolean {
  return has(bytes, 0, mark.slice(0, Math.min(bytes.length, mark.length)))
}

function startOf(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join(' ')
}

function checkNumbers(block: readonly Float32Array[], read: number): void {
  for (const channel of block) {
    // the sum is a number exactly when all samples are, or it overflows and is looked into
    let sum = 0
    for (let i = 0; i < channel.length; i++) sum += channel[i]!
    if (Number.isFinite(sum)) continue
    const at = channel.findIndex((sample) => !Number.isFinite(sample))
    if (at < 0) continue
    throw new AudioDecodeError({
      fact: 'The audio holds a sample that is not a number.',
      expected: 'finite samples',
      got: `${channel[at]} at sample ${read + at}`,
    })
  }
}

/**
 * Decodes audio of any supported format at once. The content decides, not a name. The same audio
 * as WAV and as FLAC gives the same floats.
 * @throws AudioDecodeError when the bytes are no such audio, truncated, damaged or not numbers
 */
export async function decodeAudio(bytes: Uint8Array): Promise<DecodedAudio> {
  const stream = openAudio(bytes)
  const blocks: Float32Array[][] = []
  for await (const block of stream.blocks()) blocks.push(block)
  const length = blocks.reduce((sum, block) => sum + block[0]!.length, 0)
  const channels = Array.from({ length: stream.channels }, (_, c) => {
    const whole = new Float32Array(length)
    let at = 0
    for (const block of blocks) {
      whole.set(block[c]!, at)
      at += block[c]!.length
    }
    return whole
  })
  return { format: stream.format, sampleRate: stream.sampleRate, channels }
}
