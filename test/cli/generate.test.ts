import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { decodeAudio, quantizer } from '../../src/audio/index.js'
import { generateCommand } from '../../src/cli/generate.js'
import { put, tempFolder } from '../data/helpers.js'
import { noisyTone, runCommand, TINY, tinyCheckpoint } from './tiny.js'

const RECORDING = 'samples/bach_bwv855_prelude_excerpt.flac'

function fixtures() {
  const dir = tempFolder()
  put(dir, { 'prompt.wav': noisyTone(400, 1), 'text.wav': 'this is no music' })
  return {
    dir,
    checkpoint: tinyCheckpoint(join(dir, 'tiny')),
    prompt: join(dir, 'prompt.wav'),
    out: join(dir, 'new/out.wav'),
  }
}

const generate = (...args: string[]) => runCommand(generateCommand(), '--threads', '1', ...args)

/** Makes 0.02 s, 160 samples, and gives the codes of the file. */
async function made({ checkpoint, prompt, out }: ReturnType<typeof fixtures>, ...args: string[]) {
  const wish = ['--checkpoint', checkpoint, '--prompt', prompt, '--seconds', '0.02', '--out', out]
  const run = await generate(...wish, ...args)
  expect(run.code).toBe(0)
  const { channels, sampleRate } = await decodeAudio(new Uint8Array(readFileSync(out)))
  expect([channels.length, sampleRate]).toEqual([1, 8000])
  return { run, codes: quantizer('mu-law').encode(channels[0]!) }
}

describe('longwave generate', () => {
  it('writes the prompt and what comes after it, and says how fast that was', async () => {
    const paths = fixtures()
    const { run, codes } = await made(paths, '--json')
    const prompt = (await decodeAudio(new Uint8Array(readFileSync(paths.prompt)))).channels[0]!
    expect(codes).toHaveLength(560)
    expect(codes.slice(0, 400)).toEqual(quantizer('mu-law').encode(prompt))
    const report = JSON.parse(run.stdout)
    expect(run.stdout.trim().split('\n')).toHaveLength(1)
    expect(report).toMatchObject({
      model: 'flagship',
      context: TINY.chunk * TINY.tokens,
      samples: 160,
      promptSamples: 400,
      temperature: 1,
      topK: null,
      topP: null,
      hold: false,
      seed: 0,
      out: paths.out,
    })
    expect(report.parameters).toBeGreaterThan(1000)
    expect(report.samplesPerSecond).toBeCloseTo(160 / report.seconds, 6)
    expect(report.realTimeFactor).toBeCloseTo(report.samplesPerSecond / 8000, 10)
    expect(report.primeSeconds).toBeGreaterThan(0)
  })

  it('gives the same bytes for the same seed, others for another', async () => {
    const paths = fixtures()
    const { codes: first } = await made(paths, '--seed', '7')
    const { run, codes: again } = await made(paths, '--seed', '7')
    expect(run.stderr).toContain('will be overwritten')
    expect(again).toEqual(first)
    const { codes: other } = await made(paths, '--seed', '8')
    expect(other.slice(0, 400)).toEqual(first.slice(0, 400))
    expect(other).not.toEqual(first)
  })

  it('with --top-k 1 is as with --temperature 0, whatever the seed', async () => {
    const paths = fixtures()
    const { codes: coldest } = await made(paths, '--temperature', '0')
    const { codes: topOne } = await made(paths, '--top-k', '1', '--seed', '5')
    expect(topOne).toEqual(coldest)
  })

  it('can make them in int8', async () => {
    const { run, codes } = await made(fixtures(), '--precision', 'int8', '--json')
    expect(JSON.parse(run.stdout).precision).toBe('int8')
    expect(codes).toHaveLength(560)
  })

  it('can remember in f16', async () => {
    const { run, codes } = await made(fixtures(), '--cache', 'f16', '--json')
    expect(JSON.parse(run.stdout)).toMatchObject({ precision: 'f32', cache: 'f16' })
    expect(codes).toHaveLength(560)
  })

  it('makes several voices at a time, each as its seed alone would', async () => {
    const paths = fixtures()
    const alone = [
      (await made(paths, '--seed', '7')).codes,
      (await made(paths, '--seed', '8')).codes,
    ]
    const wish = ['--checkpoint', paths.checkpoint, '--prompt', paths.prompt, '--seconds', '0.02']
    const picture = join(paths.dir, 'both.png')
    const more = ['--out', paths.out, '--seed', '7', '--voices', '2', '--picture', picture]
    const run = await generate(...wish, ...more, '--json')
    const report = JSON.parse(run.stdout)
    const files = ['new/out-1.wav', 'new/out-2.wav'].map((name) => join(paths.dir, name))
    expect(report).toMatchObject({ voices: 2, samples: 160, files })
    expect(report.samplesPerSecond).toBeCloseTo(320 / report.seconds, 6)
    for (const [i, file] of files.entries()) {
      const { channels } = await decodeAudio(new Uint8Array(readFileSync(file)))
      expect(quantizer('mu-law').encode(channels[0]!)).toEqual(alone[i])
      expect(existsSync(join(paths.dir, `both-${i + 1}.png`))).toBe(true)
    }
    const { stdout } = await generate(...wish, ...more)
    expect(stdout).toContain('160 samples in')
    expect(stdout).toContain('of each of 2 voices')
  })

  it('draws a picture', async () => {
    const paths = fixtures()
    const picture = join(paths.dir, 'pictures/out.png')
    const { run } = await made(paths, '--picture', picture, '--json')
    expect(JSON.parse(run.stdout).picture).toBe(picture)
    expect(readFileSync(picture).subarray(1, 4).toString()).toBe('PNG')
  })

  it('can use a part of the prompt, leave it out of the file, or do without', async () => {
    const paths = fixtures()
    const { codes } = await made(paths, '--prompt-seconds', '0.03')
    expect(codes).toHaveLength(240 + 160)
    const { codes: alone } = await made(paths, '--prompt-seconds', '0.03', '--continuation-only')
    expect(alone).toEqual(codes.slice(240))
    const run = await generate(
      ...[
        '--checkpoint',
        paths.checkpoint,
        '--seconds',
        '0.01',
        '--out',
        paths.out,
        '--context',
        '40',
      ],
    )
    expect(run.stdout).toContain('0.01 s of new audio')
    expect(run.stdout).toContain('context 40, f32, seed 0')
  })
})

describe('the small checkpoint, held', () => {
  it('goes on with the bundled recording neither louder nor as good as silent', async () => {
    const out = join(tempFolder(), 'held.wav')
    const run = await generate(
      ...[
        '--checkpoint',
        'checkpoints/piano-small',
        '--prompt',
        RECORDING,
        '--prompt-seconds',
        '4',
      ],
      ...['--seconds', '1.5', '--hold', '--precision', 'int8', '--seed', '2', '--out', out],
    )
    expect(run.code).toBe(0)
    const { channels } = await decodeAudio(new Uint8Array(readFileSync(out)))
    const wave = channels[0]!
    const quarter = 4000
    const levels = Array.from({ length: wave.length / quarter }, (_, i) => {
      const part = wave.subarray(i * quarter, (i + 1) * quarter)
      return 10 * Math.log10(part.reduce((sum, x) => sum + x * x, 0) / quarter)
    })
    const [heard, made] = [levels.slice(0, 16), levels.slice(16)]
    expect(made).toHaveLength(6)
    expect(Math.max(...made)).toBeLessThan(Math.max(...heard) + 3)
    expect(Math.min(...made)).toBeGreaterThan(Math.min(...heard) - 6)
  })
})

describe('a bad wish', () => {
  const all = (paths: ReturnType<typeof fixtures>) => ({
    '--checkpoint': paths.checkpoint,
    '--seconds': '0.01',
    '--out': paths.out,
  })
  it.each([
    [{ '--checkpoint': undefined }, 2, '--checkpoint C is missing'],
    [{ '--seconds': undefined }, 2, '--seconds S is missing'],
    [{ '--out': undefined }, 2, '--out FILE.wav is missing'],
    [{ '--seconds': '-1' }, 2, '--seconds takes seconds, a number above 0, not -1'],
    [{ '--seconds': '0' }, 2, '--seconds takes'],
    [{ '--context': '0' }, 2, '--context takes'],
    [{ '--temperature': '-1' }, 2, '--temperature takes'],
    [{ '--temperature': 'hot' }, 2, '--temperature takes'],
    [{ '--top-k': '0' }, 2, '--top-k takes'],
    [{ '--top-p': '1.5' }, 2, '--top-p takes'],
    [{ '--seed': '-1' }, 2, '--seed takes'],
    [{ '--precision': 'int4' }, 2, '--precision takes f32 or int8'],
    [{ '--voices': '0' }, 2, '--voices takes'],
    [{ '--cache': 'f8' }, 2, '--cache takes f32, f16 or int8'],
    [{ '--cache': 'int8' }, 2, 'int8 needs to hear'],
    [{ '--hold': '' }, 2, 'has no forecast that could be held'],
    [{ '--precision': 'int8' }, 2, 'int8 needs to hear'],
    [{ '--backend': 'tpu' }, 2, '--backend takes cpu, webgpu, cuda'],
    [{ '--checkpoint': 'DIR/gone' }, 3, 'there is no folder'],
    [{ '--checkpoint': 'DIR' }, 3, 'is not a checkpoint'],
    [{ '--prompt': 'DIR/gone.wav' }, 3, 'cannot be read'],
    [{ '--prompt': 'DIR' }, 3, 'cannot be read'],
    [{ '--prompt': 'DIR/text.wav' }, 4, 'text.wav: The content is not audio'],
    [{ '--out': 'DIR' }, 3, 'is a folder'],
    [{ '--out': 'DIR/text.wav/x.wav' }, 3, 'cannot be written'],
  ])('%j ends with %i and says %s', async (change, code, words) => {
    const paths = fixtures()
    const args = Object.entries({ ...all(paths), ...change }).flatMap(([flag, value]) =>
      value === undefined
        ? []
        : value === ''
          ? [flag]
          : [`${flag}=${value.replace('DIR', paths.dir)}`],
    )
    const run = await generate(...args)
    expect([run.code, run.stdout]).toEqual([code, ''])
    expect(run.stderr).toContain(words)
    expect(run.stderr).not.toMatch(/\n\s+at /)
    expect(existsSync(paths.out)).toBe(false)
  })
})

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

// only where the program is built and whole, as `npm test` makes it before
const help = spawnSync(process.execPath, [main, 'generate', '--help'], { encoding: 'utf8' })
const built = help.stdout.includes('longwave generate')

describe.skipIf(!built)('the built program', () => {
  it('stopped by Ctrl-C writes what there is, says so and exits with 130', async () => {
    const { checkpoint, prompt, out, dir } = fixtures()
    mkdirSync(join(dir, 'new'))
    const wish = ['--checkpoint', checkpoint, '--prompt', prompt, '--seconds', '5000', '--out', out]
    const child = spawn(process.execPath, [main, 'generate', ...wish, '--threads', '1', '--json'])
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (data) => {
      stdout += data
    })
    child.stderr.on('data', (data) => {
      stderr += data
      // the first line of progress shows that samples are being made
      if (`${data}`.includes('real time')) child.kill('SIGINT')
    })
    const code = await new Promise((resolve) => child.on('exit', resolve))
    expect(code).toBe(130)
    expect(stderr).toContain('holds what there is')
    const { samples } = JSON.parse(stdout)
    const { channels } = await decodeAudio(new Uint8Array(readFileSync(out)))
    expect(samples).toBeGreaterThan(0)
    expect(channels[0]).toHaveLength(400 + samples)
  })

  it('shows no stack of a bad wish', () => {
    const args = ['generate', '--checkpoint', 'nowhere', '--seconds', '1', '--out', 'x.wav']
    const run = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
    expect([run.status, run.stdout]).toEqual([3, ''])
    expect(run.stderr).toBe('there is no folder nowhere\n')
  })
})
