import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { encodeWav, quantizer, SILENCE } from '../../src/audio/index.js'
import { UsageError } from '../../src/base/errors.js'
import {
  InterruptedError,
  NothingUsableError,
  openDataset,
  type PrepareProgress,
  prepareDataset,
  segmentLoader,
} from '../../src/data/index.js'
import { sine } from '../audio/signals.js'
import { put, snapshot, tempFolder, toneWav } from './helpers.js'

const RATE = 16000
const WINDOW = 4000
const SECONDS = WINDOW / RATE

/** A source folder and a place for its dataset. */
function places(files: Readonly<Record<string, Uint8Array | string>>) {
  const source = tempFolder()
  put(source, files)
  return { source, out: join(tempFolder(), 'ds') }
}

/** A tone around 0.1 that becomes louder and quieter. */
const swelling = (samples: number, rate = RATE) =>
  sine(samples, 440, rate, 0.5).map((x, i) => 0.1 + x * (0.6 + 0.4 * Math.cos(i / 3000)))

const floats = (samples: Float32Array, rate = RATE) => encodeWav([samples], rate, { bitDepth: 32 })

const threeTones = () =>
  places({ 'a.wav': toneWav(300, 0.6), 'b.wav': toneWav(400, 0.6), 'c.wav': toneWav(500, 0.6) })

const ends = (codes: Uint8Array) => [Math.min(...codes), Math.max(...codes)]

describe('rescaled windows', () => {
  it('are pieces, each stretched by its own minimum and maximum before it is quantized', async () => {
    const samples = swelling(3 * WINDOW + 100)
    const { source, out } = places({ 'a.wav': floats(samples) })
    await prepareDataset(source, out, { rescale: SECONDS })
    const { meta, pieces, rows } = openDataset(out)
    expect(meta.rescale).toBe(WINDOW)
    // what is left over is dropped
    expect(rows).toMatchObject([{ samples: 3 * WINDOW, seconds: 0.75 }])
    const windows = pieces('train')
    expect(windows.map(({ name }) => name)).toEqual(['a @0s', 'a @0.25s', 'a @0.5s'])
    for (const [k, window] of windows.entries()) {
      expect(window).toMatchObject({ split: 'train', samples: WINDOW, seconds: SECONDS })
      const part = samples.subarray(k * WINDOW, (k + 1) * WINDOW)
      const [low, high] = [Math.min(...part), Math.max(...part)]
      const wide = part.map((x) => (2 * (x - low)) / (high - low) - 1)
      const expected = quantizer('mu-law').encode(wide)
      expect(Buffer.compare(window.codes(), expected)).toBe(0)
    }
  })

  it.each(['mu-law', 'linear'] as const)('reach both ends of %s', async (name) => {
    // blocks and windows end at different places
    const { source, out } = places({ 'a.wav': floats(swelling(300_000, 44100), 44100) })
    await prepareDataset(source, out, { rescale: 0.31, quantizer: name })
    const windows = openDataset(out).pieces('train')
    expect(windows).toHaveLength(Math.floor(300_000 / 44100 / 0.31))
    for (const window of windows) expect(ends(window.codes())).toEqual([0, 255])
  })

  it('of one value are silence', async () => {
    const samples = new Float32Array(3 * WINDOW).fill(0.25, WINDOW, 2 * WINDOW)
    samples.set(sine(WINDOW, 440, RATE, 0.001), 2 * WINDOW)
    const { source, out } = places({ 'a.wav': floats(samples) })
    await prepareDataset(source, out, { rescale: SECONDS })
    const found = openDataset(out)
      .pieces('train')
      .map((window) => ends(window.codes()))
    expect(found).toEqual([
      [SILENCE, SILENCE],
      [SILENCE, SILENCE],
      [0, 255],
    ])
  })

  it('are trained on whole, after one sample of silence', async () => {
    const { source, out } = places({ 'a.wav': floats(swelling(2 * WINDOW)) })
    await prepareDataset(source, out, { rescale: SECONDS })
    const pieces = openDataset(out).pieces('train')
    const loader = segmentLoader({ pieces, length: WINDOW, seed: 1 })
    expect(loader.segmentsPerEpoch).toBe(2)
    const { codes, piece } = loader.next()
    expect(codes[0]).toBe(SILENCE)
    expect(Buffer.compare(codes.subarray(1), pieces[piece]!.codes())).toBe(0)
  })

  it('of one recording are in one split', async () => {
    const { source, out } = places({
      'train/a.wav': toneWav(300, 0.6),
      'test/b.wav': toneWav(400, 0.6),
    })
    const report = await prepareDataset(source, out, { rescale: SECONDS })
    const { pieces } = openDataset(out)
    expect(pieces('train').map(({ name }) => name)).toEqual(['train/a @0s', 'train/a @0.25s'])
    expect(pieces('test')).toHaveLength(2)
    expect(report.splits.test).toEqual({ files: 1, samples: 2 * WINDOW, seconds: 0.5 })
  })

  it('leave out recordings that are shorter', async () => {
    const { source, out } = places({ 'a.wav': toneWav(300, 0.6), 'b.wav': toneWav(400, 0.2) })
    const report = await prepareDataset(source, out, { rescale: SECONDS })
    expect(report.skipped).toEqual([
      {
        source: 'b.wav',
        reason: 'The recording is too short. (expected 0.25 s or more, got 0.200 s)',
      },
    ])
    const short = prepareDataset(source, `${out}2`, { rescale: 1 })
    await expect(short).rejects.toBeInstanceOf(NothingUsableError)
    expect(existsSync(`${out}2`)).toBe(false)
  })

  it('are off by default', async () => {
    const { source, out } = threeTones()
    const report = await prepareDataset(source, out)
    expect(report.rescale).toBeUndefined()
    expect(openDataset(out).meta).not.toHaveProperty('rescale')
  })

  it.each([0, -1, 0.099, 3601, Number.NaN, Infinity])('cannot be %d s long', async (rescale) => {
    const { source, out } = threeTones()
    const error = await prepareDataset(source, out, { rescale }).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(UsageError)
    expect(error.describe()).toContain('windows to rescale make no sense')
    expect(existsSync(out)).toBe(false)
  })
})

describe('a second run with rescaled windows', () => {
  it('decodes nothing that has not changed', async () => {
    const { source, out } = threeTones()
    await prepareDataset(source, out, { rescale: SECONDS })
    const before = snapshot(out)
    const report = await prepareDataset(source, out, { rescale: SECONDS })
    expect(report.files).toMatchObject({ decoded: 0, reused: 3 })
    expect(snapshot(out)).toEqual(before)
  })

  it('of another length, or of none, makes all anew and says so', async () => {
    const { source, out } = threeTones()
    await prepareDataset(source, out)
    const plain = snapshot(out)
    const first = await prepareDataset(source, out, { rescale: SECONDS })
    expect(first.rebuilt).toContain('and is now of 16000 Hz, mu-law, rescaled in windows of 0.25 s')
    const second = await prepareDataset(source, out, { rescale: 0.5 })
    expect(second.rebuilt).toContain(
      'windows of 0.25 s and is now of 16000 Hz, mu-law, rescaled in',
    )
    for (const { files } of [first, second]) expect(files).toMatchObject({ decoded: 3, reused: 0 })
    expect(readdirSync(join(out, 'shards'))).toHaveLength(3)
    await prepareDataset(source, out)
    expect(snapshot(out)).toEqual(plain)
  })

  it('goes on where one was stopped', async () => {
    const { source, out } = threeTones()
    const stop = new AbortController()
    const onProgress = ({ filesDone }: PrepareProgress) => {
      if (filesDone === 2) stop.abort()
    }
    const options = { rescale: SECONDS, signal: stop.signal }
    const run = prepareDataset(source, out, options, onProgress)
    await expect(run).rejects.toBeInstanceOf(InterruptedError)
    const report = await prepareDataset(source, out, { rescale: SECONDS })
    expect(report.files).toMatchObject({ used: 3, decoded: 1, reused: 2 })
    await prepareDataset(source, `${out}2`, { rescale: SECONDS })
    expect(snapshot(out)).toEqual(snapshot(`${out}2`))
  })
})
