import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { encodeWav, quantizer, resample } from '../../src/audio/index.js'
import { UsageError } from '../../src/base/errors.js'
import {
  InterruptedError,
  NothingUsableError,
  openDataset,
  type PrepareProgress,
  prepareDataset,
} from '../../src/data/index.js'
import { sine } from '../audio/signals.js'
import { put, snapshot, tempFolder, toneWav } from './helpers.js'

/** A source folder and a place for its dataset. */
function places(files: Readonly<Record<string, Uint8Array | string>>) {
  const source = tempFolder()
  put(source, files)
  return { source, out: join(tempFolder(), 'ds') }
}

const threeTones = () =>
  places({ 'a.wav': toneWav(300), 'b.wav': toneWav(400), 'c.wav': toneWav(500) })

describe('what is in a dataset', () => {
  it('is the downmix, resampled and quantized, at its own level', async () => {
    const left = sine(8820, 440, 44100, 0.3)
    const right = sine(8820, 440, 44100, 0.1)
    const { source, out } = places({ 'a.wav': encodeWav([left, right], 44100, { bitDepth: 32 }) })
    await prepareDataset(source, out, { quantizer: 'linear' })
    const [piece] = openDataset(out).pieces('train')
    const mono = Float32Array.from(left, (x, i) => (x + right[i]!) / 2)
    expect(Uint8Array.from(piece!.codes())).toEqual(
      quantizer('linear').encode(resample(mono, 44100, 16000)),
    )
  })

  it('is described file by file in the manifest', async () => {
    const clipped = new Float32Array(8000).fill(1, 0, 4000)
    const { source, out } = places({ 'sub/x.WAV': encodeWav([clipped, clipped], 8000) })
    const report = await prepareDataset(source, out, { rate: 16000 })
    const line = JSON.parse(readFileSync(join(out, 'manifest.jsonl'), 'utf8'))
    expect(line).toMatchObject({
      source: 'sub/x.WAV',
      split: 'train',
      samples: 16000,
      seconds: 1,
      clipped: 8000,
      originalRate: 8000,
      originalChannels: 2,
      format: 'wav',
      title: 'sub/x',
    })
    expect(line.sha256).toMatch(/^[0-9a-f]{64}$/)
    expect(line.shard).toBe(`${line.sha256.slice(0, 16)}-16000-mu-law.lws`)
    expect(line.silent).toBeCloseTo(0.5, 1)
    expect(report.clipping).toMatchObject({ files: 1, samples: 8000 })
    expect(report.silence.share).toBe(line.silent)
  })

  it('is the same bytes for the same folder and options', async () => {
    const { source, out } = threeTones()
    await prepareDataset(source, out)
    await prepareDataset(source, `${out}2`)
    expect(snapshot(`${out}2`)).toEqual(snapshot(out))
  })

  it('comes in blocks: a long file gives what one block would', async () => {
    const long = sine(200_000, 440, 22050)
    const { source, out } = places({ 'a.wav': encodeWav([long], 22050, { bitDepth: 32 }) })
    await prepareDataset(source, out)
    const expected = quantizer('mu-law').encode(resample(long, 22050, 16000))
    // much faster than toEqual
    expect(Buffer.compare(openDataset(out).pieces('train')[0]!.codes(), expected)).toBe(0)
  })
})

describe('a second run', () => {
  it('decodes nothing that has not changed', async () => {
    const { source, out } = threeTones()
    await prepareDataset(source, out)
    const before = snapshot(out)
    const report = await prepareDataset(source, out)
    expect(report.files).toMatchObject({ used: 3, decoded: 0, reused: 3, removed: 0 })
    expect(snapshot(out)).toEqual(before)
  })

  it('takes in what is new and drops what is gone, shards too', async () => {
    const { source, out } = threeTones()
    await prepareDataset(source, out)
    rmSync(join(source, 'a.wav'))
    renameSync(join(source, 'b.wav'), join(source, 'renamed.wav'))
    put(source, { 'd.wav': toneWav(600) })
    const report = await prepareDataset(source, out)
    expect(report.files).toMatchObject({ used: 3, decoded: 1, reused: 2, removed: 2 })
    const names = openDataset(out).rows.map((row) => row.title)
    expect(names).toEqual(['c', 'd', 'renamed'])
    expect(readdirSync(join(out, 'shards'))).toHaveLength(3)
  })

  it('makes missing and damaged shards anew', async () => {
    const { source, out } = threeTones()
    await prepareDataset(source, out)
    const before = snapshot(out)
    const [first, second] = readdirSync(join(out, 'shards'))
    rmSync(join(out, 'shards', first!))
    writeFileSync(join(out, 'shards', second!), 'damaged')
    const report = await prepareDataset(source, out)
    expect(report.files).toMatchObject({ decoded: 2, reused: 1 })
    expect(snapshot(out)).toEqual(before)
  })

  it.each([
    [{ rate: 8000 }, '8000 Hz, mu-law'],
    [{ quantizer: 'linear' } as const, '16000 Hz, linear'],
  ])('with other options %j makes all anew and says so', async (options, now) => {
    const { source, out } = threeTones()
    expect((await prepareDataset(source, out)).rebuilt).toBeUndefined()
    const report = await prepareDataset(source, out, options)
    expect(report.rebuilt).toContain('16000 Hz, mu-law')
    expect(report.rebuilt).toContain(now)
    expect(report.files).toMatchObject({ decoded: 3, reused: 0 })
    const { sampleRate, quantizer } = openDataset(out).meta
    expect(now).toBe(`${sampleRate} Hz, ${quantizer}`)
    expect(readdirSync(join(out, 'shards'))).toHaveLength(3)
  })

  it('with another split decodes nothing', async () => {
    const { source, out } = threeTones()
    await prepareDataset(source, out)
    const report = await prepareDataset(source, out, { split: [0.4, 0.3, 0.3] })
    expect(report.files.decoded).toBe(0)
    expect(openDataset(out).meta.splitBy).toBe('shares 0.4,0.3,0.3')
  })

  it('repairs a dataset whose description is damaged', async () => {
    const { source, out } = threeTones()
    await prepareDataset(source, out)
    const before = snapshot(out)
    writeFileSync(join(out, 'manifest.jsonl'), 'damaged\n')
    await prepareDataset(source, out)
    expect(snapshot(out)).toEqual(before)
  })
})

describe('a run that is stopped', () => {
  it('keeps what is finished, and the next run goes on', async () => {
    const { source, out } = threeTones()
    const stop = new AbortController()
    const onProgress = ({ filesDone }: PrepareProgress) => {
      if (filesDone === 2) stop.abort()
    }
    const run = prepareDataset(source, out, { signal: stop.signal }, onProgress)
    await expect(run).rejects.toBeInstanceOf(InterruptedError)
    expect(() => openDataset(out)).toThrow('is not finished')
    // a crash may cut the last line of the journal
    writeFileSync(join(out, 'prepare.journal.jsonl'), '{"source":"c.w', { flag: 'a' })
    const report = await prepareDataset(source, out)
    expect(report.files).toMatchObject({ used: 3, decoded: 1, reused: 2 })
    expect(existsSync(join(out, 'prepare.journal.jsonl'))).toBe(false)
    expect(openDataset(out).rows).toHaveLength(3)
  })

  it('leaves the dataset that was there as it was, also when options differ', async () => {
    const { source, out } = threeTones()
    await prepareDataset(source, out)
    const before = snapshot(out)
    const stop = new AbortController()
    const onProgress = ({ filesDone }: PrepareProgress) => {
      if (filesDone === 2) stop.abort()
    }
    const options = { rate: 8000, signal: stop.signal }
    await expect(prepareDataset(source, out, options, onProgress)).rejects.toThrow('Stopped')
    expect(snapshot(out)).toMatchObject(before)
    expect(openDataset(out).pieces('train')[0]!.codes().length).toBeGreaterThan(0)
    const report = await prepareDataset(source, out, { rate: 8000 })
    expect(report.files).toMatchObject({ decoded: 1, reused: 2 })
    expect(readdirSync(join(out, 'shards'))).toHaveLength(3)
  })

  it('stops within a long file', async () => {
    const { source, out } = places({ 'a.wav': toneWav(440, 20, 44100) })
    const stop = new AbortController()
    const run = prepareDataset(source, out, { signal: stop.signal })
    setTimeout(() => stop.abort(), 0)
    await expect(run).rejects.toBeInstanceOf(InterruptedError)
  })
})

describe('places', () => {
  it('never writes into the source', async () => {
    const { source } = threeTones()
    const before = snapshot(source)
    for (const out of [source, join(source, 'ds'), join(source, 'a/b/c')]) {
      const error = await prepareDataset(source, out).catch((thrown) => thrown)
      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain('into the source folder')
    }
    const link = join(tempFolder(), 'link')
    symlinkSync(source, link)
    await expect(prepareDataset(source, join(link, 'ds'))).rejects.toThrow('into the source')
    await expect(prepareDataset(link, join(source, 'ds'))).rejects.toThrow('into the source')
    expect(snapshot(source)).toEqual(before)
  })

  it('never writes over the files of others', async () => {
    const { source } = threeTones()
    const out = tempFolder()
    put(out, { 'thesis.txt': 'years of work', 'dataset.json': '{"name":"of another program"}' })
    const before = snapshot(out)
    await expect(prepareDataset(source, out)).rejects.toThrow('that are no dataset')
    await expect(prepareDataset(source, join(out, 'thesis.txt'))).rejects.toThrow(
      'cannot be written',
    )
    await expect(prepareDataset(source, join(out, 'thesis.txt', 'x'))).rejects.toThrow()
    expect(snapshot(out)).toEqual(before)
  })

  it('never writes over a dataset of a newer version', async () => {
    const { source } = threeTones()
    const out = tempFolder()
    put(out, { 'dataset.json': '{"format":"longwave-dataset","version":2}' })
    await expect(prepareDataset(source, out)).rejects.toThrow('of a newer version')
  })

  it('keeps files of others in a dataset', async () => {
    const { source, out } = threeTones()
    await prepareDataset(source, out)
    put(out, { 'notes.txt': 'mine', 'shards/mine.lws': 'mine' })
    await prepareDataset(source, out)
    expect(readFileSync(join(out, 'notes.txt'), 'utf8')).toBe('mine')
    expect(existsSync(join(out, 'shards/mine.lws'))).toBe(true)
  })

  it('refuses a source that is missing or a file', async () => {
    const { source, out } = threeTones()
    await expect(prepareDataset(join(source, 'no'), out)).rejects.toThrow('There is no folder')
    await expect(prepareDataset(join(source, 'a.wav'), out)).rejects.toThrow('is a file')
  })

  it('takes an empty folder for the dataset', async () => {
    const { source, out } = threeTones()
    mkdirSync(out)
    expect((await prepareDataset(source, out)).files.used).toBe(3)
  })
})

describe('when nothing can be used', () => {
  it('throws with the report, and the dataset that was there stays', async () => {
    const { source, out } = threeTones()
    await prepareDataset(source, out)
    const before = snapshot(out)
    const bad = tempFolder()
    put(bad, { 'a.wav': 'no audio', 'b.txt': '' })
    const error = await prepareDataset(bad, out).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(NothingUsableError)
    expect(error.exitCode).toBe(6)
    expect(error.report.skipped).toHaveLength(1)
    expect(error.report.files).toMatchObject({ used: 0, skipped: 1, ignored: 1 })
    expect(snapshot(out)).toEqual(before)
  })

  it('makes no folder', async () => {
    const { source, out } = places({ 'a.wav': '' })
    await expect(prepareDataset(source, out)).rejects.toBeInstanceOf(NothingUsableError)
    expect(existsSync(out)).toBe(false)
  })
})

describe('options', () => {
  it.each([0, 999, 16000.5, Number.NaN, 1e9])('refuse a rate of %d', async (rate) => {
    const { source, out } = threeTones()
    await expect(prepareDataset(source, out, { rate })).rejects.toThrow('rate makes no sense')
  })

  it('of the split come from lists in the folder', async () => {
    const { source, out } = places({
      'a.wav': toneWav(300),
      'b.wav': toneWav(400),
      'c.wav': toneWav(500),
      'train.txt': 'a.wav\n',
      'test.txt': 'b\nlost.wav\n',
    })
    symlinkSync(join(source, 'nowhere'), join(source, 'broken.wav'))
    put(source, { 'valid.txt': 'broken.wav' })
    const report = await prepareDataset(source, out)
    expect(report.splitBy).toBe('lists')
    const { pieces } = openDataset(out)
    expect(pieces('train').map(({ name }) => name)).toEqual(['a'])
    expect(pieces('test').map(({ name }) => name)).toEqual(['b'])
    expect(report.skipped).toEqual([
      { source: 'broken.wav', reason: 'a broken link, or gone' },
      { source: 'c.wav', reason: 'in none of the lists train.txt, valid.txt, test.txt' },
      { source: 'lost.wav', reason: 'listed in test.txt, but not there' },
    ])
  })
})

it('the same content is used once, under the first of its names', async () => {
  const { source, out } = threeTones()
  copyFileSync(join(source, 'a.wav'), join(source, 'z.wav'))
  symlinkSync('b.wav', join(source, 'y.wav'))
  const report = await prepareDataset(source, out)
  expect(report.files.used).toBe(3)
  expect(report.skipped).toEqual([
    { source: 'y.wav', reason: 'the same content as b.wav' },
    { source: 'z.wav', reason: 'the same content as a.wav' },
  ])
})

it('progress counts files, bytes and seconds up to all of them', async () => {
  const { source, out } = threeTones()
  const seen: PrepareProgress[] = []
  await prepareDataset(source, out, {}, (progress) => seen.push(progress))
  expect([...new Set(seen.map(({ filesDone }) => filesDone))]).toEqual([0, 1, 2, 3])
  const seconds = seen.map(({ audioSeconds }) => audioSeconds)
  expect(seconds).toEqual([...seconds].sort((a, b) => a - b))
  expect(seen.at(-1)).toMatchObject({ filesTotal: 3, bytesDone: seen.at(-1)!.bytesTotal })
  expect(seen.at(-1)!.audioSeconds).toBeCloseTo(0.6)
})
