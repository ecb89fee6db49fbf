import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AudioDecodeError, decodeAudio, encodeWav } from '../../src/audio/index.js'
import { chunk, concat, extensibleFormat, pcm, riff, wavFormat } from './signals.js'

const TAG_PCM = 1
const TAG_FLOAT = 3

/** A WAV file of one channel. */
const mono = (bits: number, data: Uint8Array, tag = TAG_PCM) =>
  riff(chunk('fmt ', wavFormat(tag, 1, 16000, bits)), chunk('data', data))

async function failure(bytes: Uint8Array): Promise<string> {
  const error = await decodeAudio(bytes).catch((thrown) => thrown)
  expect(error).toBeInstanceOf(AudioDecodeError)
  return error.describe()
}

describe('reading WAV samples', () => {
  it.each([8, 16, 24, 32] as const)('divides %d-bit integers by their full scale', async (bits) => {
    const full = 2 ** (bits - 1)
    const integers = [-full, -full / 2, -1, 0, 1, full / 2, full - 1]
    const { channels, format } = await decodeAudio(mono(bits, pcm(integers, bits)))
    expect(format).toBe('wav')
    expect([...channels[0]!]).toEqual(integers.map((value) => Math.fround(value / full)))
  })

  it('takes floats of 32 and 64 bits as they are, beyond full scale, too', async () => {
    const values = Float32Array.of(0, 0.25, -1, 1.5)
    const as64 = new Uint8Array(Float64Array.from(values).buffer)
    const as32 = new Uint8Array(values.buffer)
    expect((await decodeAudio(mono(32, as32, TAG_FLOAT))).channels[0]).toEqual(values)
    expect((await decodeAudio(mono(64, as64, TAG_FLOAT))).channels[0]).toEqual(values)
  })

  it('reads WAVE_FORMAT_EXTENSIBLE, PCM and float', async () => {
    const data = chunk('data', pcm([-8388608, 0, 4194304], 24))
    const file = riff(chunk('fmt ', extensibleFormat(TAG_PCM, 1, 16000, 24)), data)
    expect([...(await decodeAudio(file)).channels[0]!]).toEqual([-1, 0, 0.5])
    const floats = chunk('data', new Uint8Array(Float32Array.of(0.5, -0.5).buffer))
    const float = riff(chunk('fmt ', extensibleFormat(TAG_FLOAT, 1, 16000, 32)), floats)
    expect([...(await decodeAudio(float)).channels[0]!]).toEqual([0.5, -0.5])
  })

  it('reads RF64, whose sizes are in a ds64 chunk', async () => {
    const samples = pcm([16384, -16384], 16)
    const sizes = Buffer.alloc(28)
    sizes.writeBigUInt64LE(BigInt(samples.length), 8)
    const format = chunk('fmt ', wavFormat(TAG_PCM, 1, 16000, 16))
    // bytes after the samples show that the long size counts
    const body = concat(format, chunk('data', samples, 0xffffffff), chunk('LIST', pcm([1, 2], 16)))
    const file = concat(
      'RF64',
      Uint8Array.of(255, 255, 255, 255),
      'WAVE',
      chunk('ds64', sizes),
      body,
    )
    expect([...(await decodeAudio(file)).channels[0]!]).toEqual([0.5, -0.5])
  })

  it('keeps channels apart', async () => {
    const left = Float32Array.of(0.5, 0.25, 0)
    const right = Float32Array.of(-0.5, -0.25, -1)
    const { channels, sampleRate } = await decodeAudio(encodeWav([left, right], 44100))
    expect(sampleRate).toBe(44100)
    expect(channels).toEqual([left, right])
  })

  it('passes over chunks of odd size and those after the samples', async () => {
    const file = riff(
      chunk('LIST', Uint8Array.of(1, 2, 3)),
      chunk('fmt ', wavFormat(TAG_PCM, 1, 16000, 8)),
      chunk('data', pcm([64], 8)),
      chunk('id3 ', Uint8Array.of(9, 9)),
    )
    expect([...(await decodeAudio(file)).channels[0]!]).toEqual([0.5])
  })

  it('reads bytes that lie anywhere in their buffer', async () => {
    const file = mono(16, pcm([16384], 16))
    const moved = concat(Uint8Array.of(1, 2, 3), file).subarray(3)
    expect((await decodeAudio(moved)).channels[0]![0]).toBe(0.5)
  })
})

describe('sizes that do not fit', () => {
  const format = chunk('fmt ', wavFormat(TAG_PCM, 1, 16000, 16))
  const samples = pcm([1, 2, 3], 16)

  it.each([
    ['0xFFFFFFFF', 0xffffffff],
    ['0', 0],
  ])('reads what is there when a streaming writer left %s', async (_, size) => {
    const file = concat('RIFF', new Uint8Array(4), 'WAVE', format, chunk('data', samples, size))
    expect((await decodeAudio(file)).channels[0]).toHaveLength(3)
  })

  it('takes a size of 0 for true when the file says so, too', async () => {
    const file = riff(format, chunk('data', new Uint8Array(0)), chunk('LIST', samples))
    expect((await decodeAudio(file)).channels[0]).toHaveLength(0)
  })

  it('names both numbers when the file holds less than its header claims', async () => {
    const text = await failure(riff(format, chunk('data', samples, 1000)))
    expect(text).toContain('truncated')
    expect(text).toContain('1000 bytes of samples')
    expect(text).toContain('6 bytes')
  })

  it('drops a started frame at the end', async () => {
    const file = riff(format, chunk('data', samples.subarray(0, 5)))
    expect((await decodeAudio(file)).channels[0]).toHaveLength(2)
  })

  it('says that the samples are missing', async () => {
    expect(await failure(riff(format))).toContain('a "data" chunk')
    expect(await failure(riff(chunk('data', samples)))).toContain('no "fmt " chunk')
    expect(await failure(riff(chunk('fmt ', new Uint8Array(8))))).toContain('truncated')
  })
})

describe('headers that make no sense', () => {
  const withFormat = (format: Uint8Array) =>
    riff(chunk('fmt ', format), chunk('data', pcm([0], 16)))

  it.each([
    ['no channels', wavFormat(TAG_PCM, 0, 16000, 16), '0 channels'],
    ['65535 channels', wavFormat(TAG_PCM, 65535, 16000, 16, 2), '65535 channels'],
    ['4 GHz', wavFormat(TAG_PCM, 1, 4e9, 16), '4000000000 Hz'],
    ['0 Hz', wavFormat(TAG_PCM, 1, 0, 16), '0 Hz'],
    ['a wrong block align', wavFormat(TAG_PCM, 2, 16000, 16, 2), '2 bytes per frame'],
    ['ADPCM', wavFormat(2, 1, 16000, 4), 'Microsoft ADPCM'],
    ['floats of 16 bits', wavFormat(TAG_FLOAT, 1, 16000, 16), '16 bits of codec 3'],
    ['integers of 64 bits', wavFormat(TAG_PCM, 1, 16000, 64), '64 bits of codec 1'],
    ['a short extensible header', wavFormat(0xfffe, 1, 16000, 16), 'an extensible header of 16'],
    [
      'an unknown sub-format',
      extensibleFormat(TAG_PCM, 1, 16000, 16).fill(7, 30),
      'sub-format 0100000000000707',
    ],
  ])('refuses %s', async (_, format, message) => {
    expect(await failure(withFormat(format))).toContain(message)
  })
})

it('refuses samples that are not numbers and says where', async () => {
  const bad = (value: number) =>
    encodeWav([Float32Array.of(0, 0, 0), Float32Array.of(0, value, 0)], 16000, { bitDepth: 32 })
  expect(await failure(bad(Number.NaN))).toContain('NaN at sample 1')
  expect(await failure(bad(-Infinity))).toContain('-Infinity at sample 1')
  // finite samples whose sum is not are samples all the same
  const huge = encodeWav([Float32Array.of(3e38, 3e38, -3e38)], 16000, { bitDepth: 32 })
  expect((await decodeAudio(huge)).channels[0]).toHaveLength(3)
})

describe('writing WAV', () => {
  it.each([16, 24] as const)('gives integers of %d bits back exactly', async (bitDepth) => {
    const full = 2 ** (bitDepth - 1)
    const integer = fc.integer({ min: -full, max: full - 1 })
    await fc.assert(
      fc.asyncProperty(fc.array(integer, { minLength: 1, maxLength: 9 }), async (integers) => {
        const samples = Float32Array.from(integers, (value) => value / full)
        const back = await decodeAudio(encodeWav([samples], 8000, { bitDepth }))
        expect(back.channels[0]).toEqual(samples)
      }),
    )
  })

  it('gives floats back exactly', async () => {
    const floats = fc.float32Array({ noNaN: true, noDefaultInfinity: true, minLength: 1 })
    await fc.assert(
      fc.asyncProperty(floats, async (samples) => {
        const back = await decodeAudio(encodeWav([samples, samples], 8000, { bitDepth: 32 }))
        expect(back.channels).toEqual([samples, samples])
      }),
    )
  })

  it('clamps to full scale instead of wrapping around', async () => {
    const back = await decodeAudio(encodeWav([Float32Array.of(1, 2, -2)], 8000))
    expect([...back.channels[0]!]).toEqual([32767 / 32768, 32767 / 32768, -1])
  })

  it('pads to an even size and counts the padding only outside', () => {
    const bytes = encodeWav([new Float32Array(1)], 8000, { bitDepth: 24 })
    const view = new DataView(bytes.buffer)
    expect(bytes).toHaveLength(48)
    expect(view.getUint32(4, true)).toBe(40)
    expect(view.getUint32(40, true)).toBe(3)
  })

  it('refuses no channel and channels of different lengths', () => {
    expect(() => encodeWav([], 8000)).toThrow('channels of one length')
    expect(() => encodeWav([new Float32Array(2), new Float32Array(3)], 8000)).toThrow('one length')
  })
})
