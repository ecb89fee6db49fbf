import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest'
import { AudioDecodeError, decodeAudio } from '../../src/audio/index.js'
import { Random } from '../../src/base/random.js'
import { fixture } from './signals.js'

const FILES = [
  'tone-16k.wav',
  'tone-24bit.flac',
  'tone-44k-stereo.flac',
  'tone-16k.mp3',
  'tone-44k-stereo.mp3',
  'tone-16k.ogg',
  'tone-16k.opus',
  'tone-16k.oga',
]

const CRC = Uint32Array.from({ length: 256 }, (_, value) => {
  let crc = value << 24
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1
  return crc
})

/** Makes the checksums of all Ogg pages right, so that damage reaches the decoders. */
function repairPages(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at + 27 < bytes.length && bytes[at] === 0x4f; ) {
    let size = 27 + bytes[at + 26]!
    for (let i = 0; i < bytes[at + 26]!; i++) size += bytes[at + 27 + i] ?? 0
    if (at + size > bytes.length) return
    view.setUint32(at + 22, 0, true)
    let crc = 0
    for (let i = at; i < at + size; i++) crc = (crc << 8) ^ CRC[(crc >>> 24) ^ bytes[i]!]!
    view.setUint32(at + 22, crc >>> 0, true)
    at += size
  }
}

/** Decodes; anything but audio or an AudioDecodeError fails the test. */
async function survive(bytes: Uint8Array): Promise<void> {
  try {
    const { channels } = await decodeAudio(bytes)
    expect(channels.length).toBeGreaterThan(0)
  } catch (thrown) {
    if (!(thrown instanceof AudioDecodeError)) throw thrown
  }
}

describe('garbage', () => {
  const unhandled: unknown[] = []
  const keep = (thrown: unknown) => unhandled.push(thrown)
  let prints: MockInstance[]

  beforeEach(() => {
    unhandled.length = 0
    prints = (['log', 'warn', 'error'] as const).map((name) =>
      vi.spyOn(console, name).mockImplementation(() => undefined),
    )
    process.on('unhandledRejection', keep)
  })

  afterEach(() => {
    process.off('unhandledRejection', keep)
    for (const print of prints) expect(print).not.toHaveBeenCalled()
    expect(unhandled).toEqual([])
    vi.restoreAllMocks()
  })

  it('of random bytes is refused', async () => {
    const random = new Random(1)
    for (let i = 0; i < 40; i++) {
      const bytes = Uint8Array.from({ length: 1 + random.below(20000) }, () => random.below(256))
      await expect(decodeAudio(bytes)).rejects.toBeInstanceOf(AudioDecodeError)
    }
  })

  it.each(FILES)('made of %s by flipped bits, cuts and moves is survived', async (name) => {
    const random = new Random(2)
    const original = fixture(name)
    for (let i = 0; i < 40; i++) {
      const bytes = original.slice(0, i % 4 === 0 ? random.below(original.length) : undefined)
      if (bytes.length === 0) continue
      for (let k = random.below(6); k >= 0; k--) {
        bytes[random.below(bytes.length)]! ^= 1 << random.below(8)
      }
      if (i % 4 === 1) bytes.copyWithin(random.below(bytes.length), random.below(bytes.length))
      await survive(bytes)
    }
  })

  it.each(FILES)('in the header of %s is survived', async (name) => {
    const random = new Random(3)
    const original = fixture(name)
    for (let i = 0; i < 40; i++) {
      const bytes = original.slice()
      for (let k = 0; k < 4; k++) bytes[4 + random.below(100)] = random.below(256)
      if (name.startsWith('tone-16k.o')) {
        bytes[4] = 0
        repairPages(bytes)
      }
      await survive(bytes)
    }
  })

  it.each(['tone-16k.ogg', 'tone-16k.opus', 'tone-16k.oga'])(
    'inside the pages of %s is survived',
    async (name) => {
      const random = new Random(4)
      for (let i = 0; i < 40; i++) {
        const bytes = fixture(name)
        for (let k = 0; k < 8; k++)
          bytes[100 + random.below(bytes.length - 100)] = random.below(256)
        repairPages(bytes)
        await survive(bytes)
      }
    },
  )
})

it('lines of others pass while a decoder runs', async () => {
  const print = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  const running = decodeAudio(fixture('tone-16k.opus'))
  console.error('a line of the program')
  await running
  console.error('another')
  expect(print.mock.calls).toEqual([['a line of the program'], ['another']])
  print.mockRestore()
})
