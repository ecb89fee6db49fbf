import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { encodeWav } from '../../src/audio/index.js'
import { LongwaveError } from '../../src/base/errors.js'
import { prepareCommand } from '../../src/cli/prepare.js'
import { openDataset, type PrepareReport } from '../../src/data/index.js'
import { chunk, extensibleFormat, fixture, pcm, riff, sine, wavFormat } from '../audio/signals.js'
import { put, snapshot, tempFolder, toneWav } from '../data/helpers.js'

interface Run {
  code: number
  stdout: string
  stderr: string
}

/** Runs the command in this process, as the main program would. */
async function prepare(...args: string[]): Promise<Run> {
  const run: Run = { code: 0, stdout: '', stderr: '' }
  const take = (key: 'stdout' | 'stderr') =>
    vi.spyOn(process[key], 'write').mockImplementation((text) => {
      run[key] += text
      return true
    })
  const writes = [take('stdout'), take('stderr')]
  try {
    const writeErr = (text: string) => {
      run.stderr += text
    }
    await prepareCommand()
      .exitOverride()
      .configureOutput({ writeErr })
      .parseAsync(args, { from: 'user' })
  } catch (thrown) {
    run.code = (thrown as { exitCode?: number }).exitCode ?? 70
    if (thrown instanceof LongwaveError) run.stderr += thrown.describe()
    else if (run.code === 70) throw thrown
  } finally {
    for (const write of writes) write.mockRestore()
  }
  return run
}

const report = ({ stdout }: Run): PrepareReport => JSON.parse(stdout)

/** Good files of every kind; each with content of its own. */
function putGood(dir: string): void {
  const tone = (hz: number) => Array.from(sine(4000, hz, 16000, 0.5))
  const wav = (hz: number, bits: 8 | 16 | 24 | 32) => {
    const integers = tone(hz).map((x) => Math.round(x * (2 ** (bits - 1) - 1)))
    return riff(chunk('fmt ', wavFormat(1, 1, 16000, bits)), chunk('data', pcm(integers, bits)))
  }
  const extensible = riff(
    chunk('fmt ', extensibleFormat(1, 1, 16000, 16)),
    chunk(
      'data',
      pcm(
        tone(250).map((x) => Math.round(x * 32767)),
        16,
      ),
    ),
  )
  const stereo = encodeWav([sine(11025, 300, 44100), sine(11025, 310, 44100)], 44100)
  put(dir, {
    'wav/pcm8.wav': wav(210, 8),
    'wav/pcm16.wave': wav(220, 16),
    'wav/pcm24.wav': wav(230, 24),
    'wav/pcm32.wav': wav(240, 32),
    'wav/extensible.wav': extensible,
    'wav/float.wav': encodeWav([sine(4000, 260, 16000)], 16000, { bitDepth: 32 }),
    'wav/stereo 44.1 kHz.wav': stereo,
    'wav/8 kHz.wav': toneWav(270, 0.25, 8000),
    'Größe/日本.flac': fixture('tone-44k-stereo.flac'),
    'tone.FLAC': fixture('tone-24bit.flac'),
    'tone.mp3': fixture('tone-44k-stereo.mp3'),
    'mono.mp3': fixture('tone-16k.mp3'),
    'tone.ogg': fixture('tone-16k.ogg'),
    'tone.oga': fixture('tone-16k.oga'),
    'tone.opus': fixture('tone-44k-stereo.opus'),
  })
}

const GOOD = 15

/** Bad files of every kind, and for each what its reason must say. */
function putBad(dir: string): Record<string, string> {
  const half = (name: string) => fixture(name).subarray(0, fixture(name).length / 2)
  const floats = (value: number) =>
    encodeWav([new Float32Array(4000).fill(value)], 16000, { bitDepth: 32 })
  const header = (format: Uint8Array) => riff(chunk('fmt ', format), chunk('data', pcm([0, 0], 16)))
  const flipped = fixture('tone-44k-stereo.ogg')
  flipped[flipped.length - 9]! ^= 16
  const random = Uint8Array.from({ length: 5000 }, (_, i) => (i * i * 7 + (i >> 3)) & 255)
  put(dir, {
    'truncated.wav': toneWav().subarray(0, 3000),
    'truncated.flac': half('tone-16k.flac'),
    'truncated.mp3': half('tone-44k-stereo.mp3'),
    'truncated.ogg': half('tone-44k-stereo.ogg'),
    'truncated.opus': half('tone-16k.opus'),
    'empty.wav': '',
    'text.mp3': 'this is no music\n'.repeat(100),
    'nan.wav': floats(Number.NaN),
    'infinite.wav': floats(Infinity),
    'channels.wav': header(wavFormat(1, 65535, 16000, 16, 2)),
    'rate.wav': header(wavFormat(1, 1, 4_294_967_295, 16)),
    'adpcm.wav': header(wavFormat(2, 1, 16000, 4)),
    'no samples.wav': encodeWav([new Float32Array(0)], 16000),
    'short.wav': toneWav(440, 0.099),
    'video.ogg': '\0\0\0\x20ftypM4A \0\0\0\0',
    'random.oga': random,
    'damaged.ogg': flipped,
    'folder.wav/readme.txt': 'in a folder',
    'locked.wav': toneWav(999),
  })
  symlinkSync(join(dir, 'nowhere'), join(dir, 'broken link.wav'))
  symlinkSync(join(dir, 'loop.wav'), join(dir, 'loop.wav'))
  mkdirSync(join(dir, 'deep/er'), { recursive: true })
  symlinkSync(dir, join(dir, 'deep/er/up'))
  execFileSync('mkfifo', [join(dir, 'pipe.wav')])
  chmodSync(join(dir, 'locked.wav'), 0)
  return {
    'truncated.wav': 'truncated',
    'truncated.flac': 'truncated',
    'truncated.mp3': 'truncated',
    'truncated.ogg': 'truncated',
    'truncated.opus': 'truncated',
    'empty.wav': 'empty',
    'text.mp3': 'not audio of a supported format',
    'nan.wav': 'not a number',
    'infinite.wav': 'not a number',
    'channels.wav': '65535 channels',
    'rate.wav': '4294967295 Hz',
    'adpcm.wav': 'Microsoft ADPCM',
    'no samples.wav': 'too short',
    'short.wav': 'too short',
    'video.ogg': 'MP4 or M4A',
    'random.oga': 'not audio of a supported format',
    'damaged.ogg': 'checksum',
    'folder.wav': 'a folder',
    'broken link.wav': 'a broken link',
    'loop.wav': 'a cycle',
    'deep/er/up': 'a cycle',
    'pipe.wav': 'not a regular file',
    'locked.wav': 'no permission',
  }
}

/** Gives up the right to read everything while `work` runs, so that permissions count for root. */
async function withoutRoot<T>(folders: readonly string[], work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return work()
  for (const folder of folders) chmodSync(folder, 0o777)
  process.seteuid!(65534)
  try {
    return await work()
  } finally {
    process.seteuid!(0)
  }
}

afterEach(() => vi.restoreAllMocks())

describe('a folder of good and bad files', () => {
  it('becomes a dataset of the good ones, and every bad one is listed with its reason', async () => {
    const [source, parent] = [tempFolder(), tempFolder()]
    const out = join(parent, 'ds')
    putGood(source)
    const reasons = putBad(source)
    put(source, {
      'flac named.wav': fixture('tone-16k.flac'),
      'copy.wav': fixture('tone-16k.flac'),
      'cover.jpg': 'x',
      '.hidden.wav': 'x',
      '.git/config.wav': 'x',
    })
    reasons['flac named.wav'] = 'the same content as copy.wav'
    const run = await withoutRoot([source, parent], () => prepare(source, '--out', out, '--json'))
    expect(run.stderr).not.toContain('hint')
    expect(run.code).toBe(0)
    const { files, skipped, notes, splits } = report(run)
    expect(Object.fromEntries(skipped.map(({ source, reason }) => [source, reason]))).toEqual(
      Object.fromEntries(
        Object.entries(reasons).map(([name, reason]) => [name, expect.stringContaining(reason)]),
      ),
    )
    expect(skipped.length).toBeGreaterThanOrEqual(12)
    expect(files).toMatchObject({ used: GOOD + 1, decoded: GOOD + 1, ignored: 2, hidden: 2 })
    expect(notes).toEqual([{ source: 'copy.wav', note: 'named .wav, but its content is flac' }])
    expect(splits.train.files + splits.valid.files + splits.test.files).toBe(GOOD + 1)
    const { rows } = openDataset(out)
    expect(rows).toHaveLength(GOOD + 1)
    for (const row of rows) expect(row.seconds, row.source).toBeGreaterThan(0.2)
  })

  it('is reported as a table on stdout, with progress on stderr', async () => {
    const source = tempFolder()
    putGood(source)
    put(source, { 'text.mp3': 'no music', 'odd.mp3': toneWav(432) })
    const run = await prepare(source, '--out', join(tempFolder(), 'ds'))
    expect(run.code).toBe(0)
    expect(run.stdout).toMatch(/^split +files +minutes +samples$/m)
    expect(run.stdout).toMatch(/^train +\d+ +\d+\.\d\d +\d+$/m)
    expect(run.stdout).toContain('16 used (16 decoded, 0 unchanged), 1 skipped')
    expect(run.stdout).toMatch(/^clipping: 0 samples in 0 files$/m)
    expect(run.stdout).toMatch(/^silence: +\d+\.\d% of 20 ms frames/m)
    expect(run.stdout).toContain('nothing is normalised')
    expect(run.stdout).toMatch(/text\.mp3 +The content is not audio/)
    expect(run.stdout).toMatch(/odd\.mp3 +named \.mp3, but its content is wav/)
    expect(run.stderr).toMatch(/17\/17 files \| 100% .* real time/)
  })

  it('is left as it was', async () => {
    const source = tempFolder()
    putGood(source)
    const before = snapshot(source)
    await prepare(source, '--out', join(tempFolder(), 'ds'))
    expect(snapshot(source)).toEqual(before)
  })
})

describe('a folder of bad files only', () => {
  it('fails, lists every reason and makes nothing', async () => {
    const [source, parent] = [tempFolder(), tempFolder()]
    const reasons = putBad(source)
    const out = join(parent, 'ds')
    const run = await withoutRoot([source, parent], () => prepare(source, '--out', out, '--json'))
    expect(run.code).toBe(6)
    expect(run.stderr).toContain('can be used')
    expect(
      report(run)
        .skipped.map(({ source }) => source)
        .sort(),
    ).toEqual(Object.keys(reasons).sort())
    expect(existsSync(out)).toBe(false)
  })

  it('of no file at all fails, too', async () => {
    const run = await prepare(tempFolder(), '--out', join(tempFolder(), 'ds'))
    expect(run.code).toBe(6)
    expect(run.stdout).toContain('0 used')
  })
})

describe('flags', () => {
  it('set the rate, the quantizer and the split', async () => {
    const source = tempFolder()
    for (let i = 0; i < 10; i++) put(source, { [`${i}.wav`]: toneWav(200 + 10 * i) })
    const out = join(tempFolder(), 'ds')
    const flags = ['--rate', '8000', '--quantizer', 'linear', '--split', '0.5,0.3,0.2']
    expect((await prepare(source, '--out', out, ...flags)).code).toBe(0)
    const { meta } = openDataset(out)
    expect(meta).toMatchObject({ sampleRate: 8000, quantizer: 'linear' })
    expect(meta.splitBy).toBe('shares 0.5,0.3,0.2')
    for (const split of Object.values(meta.splits)) expect(split.files).toBeGreaterThan(0)
  })

  it('rescale windows, and the report says so', async () => {
    const source = tempFolder()
    put(source, { 'a.wav': toneWav(440, 0.6) })
    const out = join(tempFolder(), 'ds')
    const { code, stdout } = await prepare(source, '--out', out, '--rescale', '0.25')
    expect(code).toBe(0)
    expect(stdout).toContain(`${out}: 16000 Hz, mu-law, rescaled in windows of 0.25 s, split by`)
    expect(stdout).toContain('levels:   every window of 0.25 s (4000 samples) rescaled by its own')
    expect(openDataset(out).meta.rescale).toBe(4000)
    const json = report(await prepare(source, '--out', out, '--rescale', '0.25', '--json'))
    expect(json).toMatchObject({ rescale: 4000, files: { reused: 1 } })
  })

  it.each([
    [['--rate', 'fast'], '--rate takes a number of Hz'],
    [['--rate', '5'], '--rate takes 1000 Hz or more'],
    [['--rate', '16000.5'], '--rate takes a whole number'],
    [['--quantizer', 'a-law'], '--quantizer takes mu-law or linear'],
    [['--rescale', '8s'], '--rescale takes seconds'],
    [['--rescale', '0'], 'windows to rescale make no sense'],
    [['--split', '0.9,0.1'], '--split takes three shares'],
    [['--split', '0.9,0.9,0.9'], 'add up to 1'],
    [['--split', '0,0.5,0.5'], 'train above 0'],
  ])('%j is a usage error with a hint', async (flags, message) => {
    const source = tempFolder()
    put(source, { 'a.wav': toneWav() })
    const run = await prepare(source, '--out', join(tempFolder(), 'ds'), ...flags)
    expect(run.code).toBe(2)
    expect(run.stderr).toContain(message)
    expect(run.stderr).toContain('hint:')
  })

  it('need --out and a folder that is there', async () => {
    const source = tempFolder()
    const missing = await prepare(source)
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining('--out DATASET')])
    const gone = await prepare(join(source, 'no'), '--out', join(source, 'ds'))
    expect([gone.code, gone.stderr]).toEqual([2, expect.stringContaining('There is no folder')])
  })
})

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

// only where the program is built and whole, as `npm test` makes it before
const built = spawnSync(process.execPath, [main, 'prepare', '--help']).status === 0

describe.skipIf(!built)('the built program', () => {
  it('exits with 0 for good files, 6 for none, 2 for a wrong flag', () => {
    const source = tempFolder()
    const out = join(tempFolder(), 'ds')
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [main, 'prepare', ...args], { encoding: 'utf8' })
    const none = run(source, '--out', out)
    expect([none.status, none.stderr]).toEqual([6, expect.stringContaining('can be used')])
    putGood(source)
    const good = run(source, '--out', out, '--json')
    expect([good.status, report({ ...good, code: 0 }).files.used]).toEqual([0, GOOD])
    expect(run(source, '--out', out, '--rate', 'x').status).toBe(2)
  })

  it('stopped by Ctrl-C exits with 130, and the next run goes on', async () => {
    const source = tempFolder()
    const out = join(tempFolder(), 'ds')
    put(source, { 'a.wav': toneWav(440, 0.2), 'b.wav': toneWav(441, 120, 44100) })
    const child = spawn(process.execPath, [main, 'prepare', source, '--out', out])
    const exit = new Promise<number | null>((resolve) => child.on('exit', resolve))
    // the journal shows that the first file is done and the long one has begun
    while (child.exitCode === null && !existsSync(join(out, 'prepare.journal.jsonl'))) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    child.kill('SIGINT')
    expect(await exit).toBe(130)
    expect(() => openDataset(out)).toThrow('is not finished')
    put(source, { 'b.wav': toneWav(441) })
    const again = await prepare(source, '--out', out, '--json')
    expect(report(again).files).toMatchObject({ used: 2, decoded: 1, reused: 1 })
  })
})
