import { inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { drawable, glyphRows } from '../../src/audio/font.js'
import { INK, PALETTE, SPECTRUM_INKS, WAVE_SHADES } from '../../src/audio/palette.js'
import { type PictureOptions, wavePicture } from '../../src/audio/picture.js'
import { UsageError } from '../../src/base/errors.js'

/** Reads a PNG as a viewer does: every checksum, the header, the palette, the rows. */
function readPng(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  expect(Array.from(bytes.subarray(0, 8))).toEqual([137, 80, 78, 71, 13, 10, 26, 10])
  const chunks = new Map<string, Uint8Array>()
  let at = 8
  while (at < bytes.length) {
    const length = view.getUint32(at)
    const body = bytes.subarray(at + 4, at + 8 + length)
    expect(view.getUint32(at + 8 + length)).toBe(slowCrc(body))
    chunks.set(String.fromCharCode(...body.subarray(0, 4)), body.subarray(4))
    at += 12 + length
  }
  expect([...chunks.keys()]).toEqual(['IHDR', 'PLTE', 'IDAT', 'IEND'])
  const header = chunks.get('IHDR')!
  const size = new DataView(header.buffer, header.byteOffset)
  const [width, height] = [size.getUint32(0), size.getUint32(4)]
  expect(Array.from(header.subarray(8))).toEqual([8, 3, 0, 0, 0])
  const rows = inflateSync(chunks.get('IDAT')!)
  expect(rows.length).toBe(height * (width + 1))
  const pixels = Array.from({ length: height }, (_, y) => {
    expect(rows[y * (width + 1)]).toBe(0)
    return rows.subarray(y * (width + 1) + 1, (y + 1) * (width + 1))
  })
  return { width, height, pixels, colours: chunks.get('PLTE')!.length / 3 }
}

function slowCrc(bytes: Uint8Array): number {
  let c = 0xffffffff
  for (const byte of bytes) {
    c ^= byte
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  }
  return ~c >>> 0
}

const draw = async (samples: Float32Array, sampleRate: number, options?: PictureOptions) =>
  readPng(await wavePicture(samples, sampleRate, options))

const tone = (hertz: number, seconds: number, sampleRate: number) =>
  Float32Array.from(
    { length: Math.round(seconds * sampleRate) },
    (_, n) => 0.5 * Math.sin((2 * Math.PI * hertz * n) / sampleRate),
  )

const isSpectrum = (ink: number) => ink >= INK.spectrum && ink < INK.spectrum + SPECTRUM_INKS
const isWave = (ink: number, { peak, rms }: { peak: number; rms: number }) =>
  (ink >= peak && ink < peak + WAVE_SHADES) || (ink >= rms && ink < rms + WAVE_SHADES)

/** Where the spectrogram lies: its rows and its columns, [from, to). */
function spectrumBox({ pixels, width }: { pixels: Uint8Array[]; width: number }) {
  const rows = pixels.flatMap((row, y) => (row.some(isSpectrum) ? [y] : []))
  const columns = Array.from(pixels[rows[0]!]!).flatMap((ink, x) => (isSpectrum(ink) ? [x] : []))
  const [top, bottom] = [rows[0]!, rows.at(-1)! + 1]
  expect(rows.length).toBe(bottom - top)
  expect(columns.length).toBeGreaterThan(width / 2)
  return { top, bottom, left: columns[0]!, right: columns.at(-1)! + 1 }
}

const brightest = (inks: number[]) => inks.indexOf(Math.max(...inks))

describe('wavePicture', () => {
  it('is a PNG of the size that was asked for, the same each time', async () => {
    const options = { width: 500, height: 300, title: 'A tone', mark: 0.5 }
    const once = await wavePicture(tone(440, 1, 8000), 8000, options)
    expect(await wavePicture(tone(440, 1, 8000), 8000, options)).toEqual(once)
    const { width, height, colours } = readPng(once)
    expect([width, height]).toEqual([500, 300])
    expect(colours).toBe(PALETTE.length)
    expect(colours).toBeLessThanOrEqual(256)
    expect(await draw(tone(440, 0.02, 8000), 8000)).toMatchObject({ width: 1200, height: 600 })
  })

  it('draws any length at any rate and size', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5000 }),
        fc.constantFrom(100, 4000, 16_000, 96_000),
        fc.integer({ min: 240, max: 640 }),
        fc.integer({ min: 160, max: 300 }),
        fc.option(fc.double({ min: -1, max: 60, noNaN: true }), { nil: undefined }),
        async (length, sampleRate, width, height, mark) => {
          const samples = Float32Array.from({ length }, (_, n) => Math.sin(n * n) * 1.2)
          const options = { width, height, ...(mark !== undefined && { mark }) }
          const picture = await draw(samples, sampleRate, options)
          expect([picture.width, picture.height]).toEqual([width, height])
          const known = picture.pixels.every((row) => row.every((ink) => ink < PALETTE.length))
          expect(known).toBe(true)
          spectrumBox(picture)
        },
      ),
      { numRuns: 12 },
    )
  })

  it.each([100, 440, 1000, 6000])('shows a tone of %d Hz at its height', async (hertz) => {
    const picture = await draw(tone(hertz, 1, 16_000), 16_000, { width: 400, height: 400 })
    const { top, bottom, left, right } = spectrumBox(picture)
    const column = (left + right) >> 1
    const inks = picture.pixels.slice(top, bottom).map((row) => row[column]!)
    const share = Math.log2(hertz / 50) / Math.log2(8000 / 50)
    const expected = (bottom - top) * (1 - share)
    expect(Math.abs(brightest(inks) + 0.5 - expected)).toBeLessThan(3)
  })

  it('shows a click at its time, in the wave and in the spectrogram', async () => {
    const samples = new Float32Array(32_000)
    samples[20_000] = 0.9
    const picture = await draw(samples, 16_000, { width: 600, height: 300 })
    const { top, bottom, left, right } = spectrumBox(picture)
    const expected = left + ((right - left) * 20_000) / 32_000
    const high = Array.from(picture.pixels[top + 10]!.subarray(left, right))
    expect(Math.abs(left + brightest(high) - expected)).toBeLessThan(12)
    expect(bottom - top).toBeGreaterThan(100)
    const tall = Array.from({ length: 600 }, (_, x) =>
      picture.pixels.slice(0, top).reduce((n, row) => n + (isWave(row[x]!, INK.sound) ? 1 : 0), 0),
    )
    expect(Math.abs(brightest(tall) - expected)).toBeLessThan(2)
  })

  it('draws silence as a line, and black', async () => {
    const picture = await draw(new Float32Array(16_000), 16_000, { width: 300, height: 200 })
    const { top, bottom, left, right } = spectrumBox(picture)
    const above = picture.pixels.slice(0, top)
    for (let x = left; x < right; x++) {
      const wave = above.filter((row) => isWave(row[x]!, INK.sound)).length
      expect(wave).toBeGreaterThanOrEqual(1)
      expect(wave).toBeLessThanOrEqual(2)
    }
    const inks = picture.pixels.slice(top, bottom).flatMap((row) => [...row.subarray(left, right)])
    expect(new Set(inks)).toEqual(new Set([INK.spectrum]))
  })

  it('draws what is before the mark as a prompt, and what is after as a continuation', async () => {
    const samples = tone(300, 2, 16_000)
    const marked = await draw(samples, 16_000, { width: 400, height: 200, mark: 0.5 })
    const { top, left, right } = spectrumBox(marked)
    const border = left + (right - left) / 4
    const columnsOf = (wave: { peak: number; rms: number }) =>
      marked.pixels
        .slice(0, top)
        .flatMap((row) => [...row].flatMap((ink, x) => (isWave(ink, wave) ? [x] : [])))
    expect(Math.max(...columnsOf(INK.prompt))).toBeLessThan(border)
    expect(Math.min(...columnsOf(INK.sound))).toBeGreaterThanOrEqual(border - 1)
    const inks = new Set(marked.pixels.flatMap((row) => [...row]))
    expect([INK.promptText, INK.soundText].every((ink) => inks.has(ink))).toBe(true)
    const plain = await draw(samples, 16_000, { width: 400, height: 200 })
    const others = plain.pixels.flatMap((row) => [...row])
    expect(others.some((ink) => isWave(ink, INK.prompt) || ink === INK.promptText)).toBe(false)
  })

  it('cuts a title that is too long, and draws one with any characters', async () => {
    const samples = tone(300, 0.1, 8000)
    const size = { width: 300, height: 200 }
    const title = 'Präludium – 前奏曲 '.repeat(20)
    const long = await draw(samples, 8000, { ...size, title })
    const { top, right } = spectrumBox(long)
    const ends = long.pixels.slice(0, top).map((row) => row.lastIndexOf(INK.text))
    expect(Math.max(...ends)).toBeLessThan(right)
    expect(Math.max(...ends)).toBeGreaterThan(right - 40)
  })

  it('refuses no samples, no rate, a size that is none and a mark that is no time', async () => {
    const samples = new Float32Array(10)
    await expect(wavePicture(new Float32Array(0), 16_000)).rejects.toThrow(UsageError)
    await expect(wavePicture(samples, 0)).rejects.toThrow(UsageError)
    await expect(wavePicture(samples, 8000, { width: 100 })).rejects.toThrow(UsageError)
    await expect(wavePicture(samples, 8000, { height: 300.5 })).rejects.toThrow(UsageError)
    await expect(wavePicture(samples, 8000, { mark: Number.NaN })).rejects.toThrow(UsageError)
  })
})

describe('the font', () => {
  it('has a drawing of its own for each printable character', () => {
    const characters = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i))
    const drawings = characters.map((character) => glyphRows(character))
    for (const rows of drawings) {
      expect(rows.length).toBe(9)
      expect(rows.every((bits) => bits >= 0 && bits < 32)).toBe(true)
    }
    expect(new Set(drawings.map((rows) => rows.join())).size).toBe(95)
  })

  it('drops accents, and draws what it lacks as a question mark', () => {
    expect(drawable('Dvořák — 7').join('')).toBe('Dvorak - 7')
    expect(drawable('前\n').join('')).toBe('??')
  })
})
