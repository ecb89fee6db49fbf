import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AudioDecodeError, decodeAudio, encodeWav, resample } from '../../src/audio/index.js'
import { writeFlac } from './flac-writer.js'
import { concat, fixture, rmsDifference, sine } from './signals.js'

async function failure(bytes: Uint8Array): Promise<string> {
  const error = await decodeAudio(bytes).catch((thrown) => thrown)
  expect(error).toBeInstanceOf(AudioDecodeError)
  return error.describe()
}

describe('compressed formats', () => {
  it.each([
    ['tone-16k.flac', 'flac', 16000, 4800, 1e-3],
    ['tone-16k.oga', 'ogg flac', 16000, 4800, 1e-3],
    ['tone-16k.ogg', 'ogg vorbis', 16000, 4800, 0.02],
    ['tone-16k.opus', 'ogg opus', 48000, 14400, 0.05],
    ['tone-44k-stereo.flac', 'flac', 44100, 13230, 1e-3],
    ['tone-44k-stereo.mp3', 'mp3', 44100, 13230, 0.02],
    ['tone-44k-stereo.ogg', 'ogg vorbis', 44100, 13230, 0.02],
    ['tone-44k-stereo.opus', 'ogg opus', 48000, 14400, 0.05],
  ])('%s has its length, and its tone without delay', async (name, format, rate, length, error) => {
    const audio = await decodeAudio(fixture(name))
    expect(audio.format).toBe(format)
    expect(audio.sampleRate).toBe(rate)
    expect(audio.channels).toHaveLength(name.includes('stereo') ? 2 : 1)
    audio.channels.forEach((channel, c) => {
      expect(channel).toHaveLength(length)
      // -6 dB; edges ring in lossy formats
      const tone = sine(length, c === 0 ? 440 : 660, rate, 10 ** (-6 / 20))
      const edge = Math.round(0.03 * rate)
      expect(rmsDifference(channel, tone, edge, length - edge)).toBeLessThan(error)
    })
  })

  it('mono MP3 is one channel', async () => {
    const { channels, sampleRate, format } = await decodeAudio(fixture('tone-16k.mp3'))
    expect({ channels: channels.length, sampleRate, format }).toEqual({
      channels: 1,
      sampleRate: 16000,
      format: 'mp3',
    })
    expect(channels[0]!.length % 576).toBe(0)
  })

  it('a tone of MP3 at 44.1 kHz resamples to that of the WAV', async () => {
    const { channels } = await decodeAudio(fixture('tone-44k-stereo.mp3'))
    const low = resample(channels[0]!, 44100, 16000)
    expect(rmsDifference(low, sine(4800, 440, 16000, 10 ** (-6 / 20)), 480, 4320)).toBeLessThan(
      0.02,
    )
  })
})

describe('the same audio as WAV and FLAC', () => {
  it.each(['tone-16k', 'tone-24bit'])('%s gives the same floats', async (name) => {
    const wav = await decodeAudio(fixture(`${name}.wav`))
    const flac = await decodeAudio(fixture(`${name}.flac`))
    expect(flac.channels).toEqual(wav.channels)
    expect(flac.sampleRate).toBe(wav.sampleRate)
  })

  it.each([8, 16, 24] as const)('of any samples of %d bits gives the same floats', async (bits) => {
    const full = 2 ** (bits - 1)
    const integer = fc.integer({ min: -full, max: full - 1 })
    const shape = fc.record({
      samples: fc.array(integer, { minLength: 600, maxLength: 900 }),
      channels: fc.integer({ min: 1, max: 3 }),
    })
    await fc.assert(
      fc.asyncProperty(shape, async ({ samples, channels }) => {
        const all = Array.from({ length: channels }, (_, c) =>
          samples.map((x) => (c === 1 ? ~x : x)),
        )
        const { channels: got } = await decodeAudio(writeFlac(all, 12345, bits))
        expect(got).toHaveLength(channels)
        got.forEach((channel, c) => {
          expect(channel).toEqual(Float32Array.from(all[c]!, (x) => x / full))
        })
      }),
      { numRuns: 40 },
    )
  })

  it('also when the writer did not know the length', async () => {
    const samples = Array.from({ length: 1000 }, (_, n) => n * 31 - 15000)
    const { channels } = await decodeAudio(writeFlac([samples], 16000, 16, 300, 0))
    expect(channels[0]).toEqual(Float32Array.from(samples, (x) => x / 32768))
  })
})

describe('what the content is', () => {
  it('is found behind an ID3 tag', async () => {
    const tag = concat('ID3', Uint8Array.of(4, 0, 0, 0, 0, 2, 0), new Uint8Array(256))
    const mp3 = await decodeAudio(concat(tag, fixture('tone-44k-stereo.mp3')))
    expect(mp3.channels[0]).toHaveLength(13230)
    const flac = await decodeAudio(concat(tag, fixture('tone-16k.flac')))
    expect(flac.channels[0]).toHaveLength(4800)
  })

  it.each([
    ['MP3', 'tone-44k-stereo.mp3', 13230],
    ['FLAC', 'tone-16k.flac', 4800],
    ['Ogg', 'tone-16k.ogg', 4800],
  ])('a tag at the end of %s is no audio', async (_, name, length) => {
    const tagged = concat(fixture(name), 'TAG', new Uint8Array(125).fill(65))
    expect((await decodeAudio(tagged)).channels[0]).toHaveLength(length)
  })

  it('is named when it is known and not supported', async () => {
    const cases: [string, string][] = [
      ['AIFF', 'FORM\0\0\0\0AIFF'],
      ['MP4 or M4A', '\0\0\0\x20ftypM4A '],
      ['MIDI', 'MThd\0\0\0\x06'],
      ['PNG', '\x89PNG\r\n'],
      ['big-endian WAV', 'RIFX\0\0\0\0WAVE'],
    ]
    for (const [name, start] of cases) {
      const bytes = concat(Buffer.from(start, 'latin1'), new Uint8Array(100))
      expect(await failure(bytes)).toContain(`${name} data`)
    }
  })

  it('is shown by its first bytes when it is not known', async () => {
    expect(await failure(concat('hello there'))).toContain('68 65 6c 6c 6f')
    expect(await failure(new Uint8Array(5000))).toContain('00 00 00')
  })

  it('is nothing in an empty file', async () => {
    expect(await failure(new Uint8Array(0))).toContain('empty')
  })

  it('is a truncated header in a file of a few bytes', async () => {
    for (const start of ['RI', 'RIFF', 'fLaC', 'OggS']) {
      expect(await failure(concat(start)), start).toContain('truncated')
    }
  })
})

describe('truncation', () => {
  const cuts = [0.2, 0.5, 0.9, 0.99]
  it.each([
    'tone-16k.wav',
    'tone-24bit.wav',
    'tone-16k.flac',
    'tone-24bit.flac',
    'tone-44k-stereo.flac',
    'tone-44k-stereo.mp3',
    'tone-16k.ogg',
    'tone-16k.opus',
    'tone-16k.oga',
    'tone-44k-stereo.ogg',
    'tone-44k-stereo.opus',
  ])('of %s is found wherever it is cut', async (name) => {
    const bytes = fixture(name)
    for (const cut of cuts) {
      const text = await failure(bytes.subarray(0, Math.floor(cut * bytes.length)))
      expect(text, `${cut}`).toContain('truncated')
    }
  })

  it('of FLAC by whole frames is found by the promised number of samples', async () => {
    const whole = writeFlac([new Array(1000).fill(7)], 16000, 16, 500)
    const half = 42 + (whole.length - 42) / 2
    expect(await failure(whole.subarray(0, half))).toContain('500 samples')
  })

  it('of MP3 by whole frames is found by the promised number of frames', async () => {
    const bytes = fixture('tone-44k-stereo.mp3')
    // the last frame starts at the last sync word
    let last = bytes.length - 4
    while (!(bytes[last] === 0xff && (bytes[last + 1]! & 0xe6) === 0xe2)) last--
    expect(await failure(bytes.subarray(0, last))).toContain('frames')
  })
})

describe('damage', () => {
  it('in a page of Ogg is found by its checksum', async () => {
    const bytes = fixture('tone-16k.ogg')
    bytes[bytes.length - 100]! ^= 1
    expect(await failure(bytes)).toContain('a checksum error in page')
  })

  it('in a frame of FLAC is found by its checksum', async () => {
    const bytes = fixture('tone-44k-stereo.flac')
    bytes[2000]! ^= 1
    expect(await failure(bytes)).toContain('checksum error in the frame')
  })

  it('in the middle of MP3 is found', async () => {
    const bytes = fixture('tone-44k-stereo.mp3')
    const cut = concat(bytes.subarray(0, 1500), bytes.subarray(1600))
    expect(await failure(cut)).toContain('damaged')
  })

  it('by a missing page of Ogg is found by the page numbers', async () => {
    const bytes = fixture('tone-44k-stereo.ogg')
    const starts: number[] = []
    for (let i = 0; i < bytes.length - 4; i++) {
      if (Buffer.from(bytes.subarray(i, i + 4)).toString('latin1') === 'OggS') starts.push(i)
    }
    const [from, to] = [starts[1]!, starts[2]!]
    expect(await failure(concat(bytes.subarray(0, from), bytes.subarray(to)))).toContain('page 1')
  })

  it('two Ogg streams in one file are refused', async () => {
    const twice = concat(fixture('tone-16k.ogg'), fixture('tone-16k.opus'))
    expect(await failure(twice)).toContain('several streams')
  })
})

it('keeps what a WAV of one sample holds', async () => {
  expect((await decodeAudio(encodeWav([Float32Array.of(0.5)], 16000))).channels[0]![0]).toBe(0.5)
})
