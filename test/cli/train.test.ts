import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeWav } from '../../src/audio/index.js'
import { UsageError } from '../../src/base/errors.js'
import { Random } from '../../src/base/random.js'
import { lossCurves, writeLossPlot } from '../../src/cli/loss-plot.js'
import { modelOf } from '../../src/cli/model-options.js'
import { formatCount, formatDuration, parseNumber } from '../../src/cli/numbers.js'
import { statusLine } from '../../src/cli/status.js'
import { parseTrainFlags } from '../../src/cli/train-options.js'
import { prepareDataset } from '../../src/data/index.js'
import { loadCheckpoint, readMetrics, readRunFile } from '../../src/train/index.js'
import { compile } from '../train/compile.js'

const RATE = 2000

let shared: string
let data: string
let longwave: string
let root: string
let run: string

beforeAll(async () => {
  shared = mkdtempSync(join(tmpdir(), 'longwave-train-'))
  data = join(shared, 'data')
  await makeDataset(join(shared, 'audio'), data)
  longwave = compile('src/cli/main.ts', join(shared, 'program'), ['src/train/worker.ts'])
})

afterAll(() => {
  rmSync(shared, { recursive: true, force: true })
})

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longwave-run-'))
  run = join(root, 'run')
})

afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

/** Two notes and some noise, two pieces of each split. */
async function makeDataset(audio: string, to: string) {
  const random = new Random(1)
  for (const split of ['train', 'valid', 'test']) {
    await mkdir(join(audio, split), { recursive: true })
    for (const hz of [110, 170]) {
      const wave = Float32Array.from({ length: 2 * RATE }, (_, t) => {
        return 0.4 * Math.sin((2 * Math.PI * hz * t) / RATE) + 0.01 * random.normal()
      })
      writeFileSync(join(audio, split, `${hz}.wav`), encodeWav([wave], RATE))
    }
  }
  await prepareDataset(audio, to, { rate: RATE })
}

/** A flagship small enough for hundreds of steps a second. */
const SMALL = [
  ...['--chunk', '16', '--layers', '1', '--heads', '2', '--head-width', '4', '--local', '4'],
  ...['local.dilations=[1,2,4]', 'local.skip=8', 'filters=[4,4]', 'strides=[1,2]', 'kernel=3'],
  ...['width=8', 'feedForward=16', 'hidden=16'],
].flatMap((word) => (word.includes('=') ? ['--set', word] : [word]))

const COURSE = [
  ...['--curriculum', 'local@32:2560,64:7680', '--targets-per-step', '128', '--lr', '0.01'],
  ...['--eval-every', '2k', '--eval-targets', '256', '--threads', '1', '--average', '0.9'],
]

const begin = (out: string) => [
  '--data',
  data,
  '--out',
  out,
  '--preset',
  'stream',
  ...SMALL,
  ...COURSE,
]

interface Ended {
  code: number | NodeJS.Signals
  stdout: string
  stderr: string
}

const train = (args: string[], signal?: NodeJS.Signals, when?: () => boolean) =>
  start(['train', ...args], signal, when)

/** Runs the program, or a line of the shell; with `when`, signals it as soon as that holds. */
async function start(
  args: string[],
  signal?: NodeJS.Signals,
  when: () => boolean = () => true,
  shell?: string,
): Promise<Ended> {
  const child = shell ? spawn('bash', ['-c', shell]) : spawn(process.execPath, [longwave, ...args])
  const ended: Ended = { code: 0, stdout: '', stderr: '' }
  child.stdout.on('data', (text) => {
    ended.stdout += text
  })
  child.stderr.on('data', (text) => {
    ended.stderr += text
  })
  const done = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, by) => resolve(by ?? code ?? 0))
  })
  while (signal && !when() && child.exitCode === null) {
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  if (signal) child.kill(signal)
  ended.code = await done
  return ended
}

const steps = (dir: string) => readMetrics(dir).length

const lasting = (dir: string) => readMetrics(dir).map(({ timing: _, ...rest }) => rest)

describe('longwave train', () => {
  it('gives the same run of the flagship whole, interrupted and killed', {
    timeout: 300_000,
  }, async () => {
    const whole = join(root, 'whole')
    const first = await train(begin(whole))
    expect(first).toMatchObject({ code: 0, stderr: '' })
    expect(first.stdout).toContain('model   flagship')
    expect(first.stdout).toContain('stages  local@32:2.56k, 64:7.68k')
    expect(first.stdout).toMatch(
      /step 80 \| 10\.2k\/10\.2k targets \| stage 2\/2 \| bits \d\.\d{3}/,
    )
    expect(first.stdout).toMatch(/Finished after step 80, 10\.2k targets, held-out/)
    expect(readFileSync(join(whole, 'loss.svg'), 'utf8')).toContain('held-out')
    const metrics = readMetrics(whole)
    expect(metrics.at(-1)!.bits).toBeLessThan(metrics[0]!.bits - 0.5)

    const often = ['--save-every', '0.0002']
    await train([...begin(run), ...often], 'SIGKILL', () => steps(run) > 9)
    const goOn = ['--out', run, '--resume', ...often]
    for (const goal of [25, 50]) {
      const { code } = await train(goOn, 'SIGKILL', () => steps(run) > goal)
      expect(code).toBe('SIGKILL')
    }
    const stopped = await train(goOn, 'SIGINT', () => steps(run) > 60)
    expect(stopped.code).toBe(130)
    expect(stopped.stdout).toContain(`Go on with: longwave train --out ${run} --resume`)
    const { step, unscored } = loadCheckpoint(run).state as { step: number; unscored: unknown }
    // a step whose scoring was interrupted is told when it is done
    expect(steps(run)).toBe(unscored ? step - 1 : step)

    expect((await train(goOn)).code).toBe(0)
    expect(lasting(run)).toEqual(lasting(whole))
    const { folder: _, ...found } = loadCheckpoint(run)
    const { folder: __, ...expected } = loadCheckpoint(whole)
    expect(found).toEqual(expected)
  })

  it('remembers its options, and refuses others by name', async () => {
    const { code, stdout } = await train([...begin(run), '--minutes', '1e-9'])
    expect(code).toBe(0)
    expect(stdout).toContain('The minutes are over: stopped after step 1')
    const { options, model, recipe } = readRunFile(run)
    expect(options).toMatchObject({ preset: 'stream', lr: 0.01, chunk: 16 })
    expect(model).toMatchObject({
      family: 'flagship',
      config: { chunk: 16, tokens: 4, audio: { sampleRate: RATE, quantizer: 'mu-law' } },
    })
    expect(recipe).toMatchObject({ average: 0.9, clip: 1, seed: 0, targetsPerStep: 128 })

    const again = await train(begin(run))
    expect(again.code).toBe(2)
    expect(again.stderr).toContain('already holds a run')
    expect(again.stderr).toContain('--resume')

    // a default that is spelled out is no contradiction
    const same = ['--out', run, '--resume', '--minutes', '1e-9', '--clip', '1']
    expect((await train(same)).code).toBe(0)
    const other = ['--out', run, '--resume', '--lr', '1', '--eval-every', '5', '--heads', '1']
    const refused = await train(other)
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('begun with other options: --heads, --lr, --eval-every.')
  })

  it('trains a model with a forecast, with other rates by name, to be scored and continued', async () => {
    const options = ['--forecast', '2', '--rate', 'encoder=0.1,local.embedding=0']
    const first = await train([...begin(run), ...options, '--curriculum', 'local@32:256,64:768'])
    expect(first).toMatchObject({ code: 0, stderr: '' })
    expect(first.stdout).toContain('"forecast":{"curves":2}')
    expect(first.stdout).toContain('of encoder: times 0.1')
    expect(first.stdout).toContain('of local.embedding: times 0')
    const { model, recipe, options: kept } = readRunFile(run)
    expect(model).toMatchObject({ config: { forecast: { curves: 2 } } })
    expect(recipe.rates).toEqual({ encoder: 0.1, 'local.embedding': 0 })
    expect(kept).toMatchObject({ forecast: 2, rate: { encoder: 0.1, 'local.embedding': 0 } })
    const metrics = readMetrics(run)
    expect(metrics).toHaveLength(8)
    // a fit of the tones that sound is there from the first step on
    for (const { bits } of metrics) expect(bits).toBeLessThan(6)
    expect(metrics.at(-1)!.heldOutBits).toBeLessThan(6)
    const { model: weights } = loadCheckpoint(run)
    expect(weights['head.curves.w']!.data.some((x) => x !== 0)).toBe(true)

    const goOn = await train(['--out', run, '--resume', '--rate', 'encoder=0.2'])
    expect(goOn.code).toBe(2)
    expect(goOn.stderr).toContain('begun with other options: --rate.')

    const wav = join(shared, 'audio/test/110.wav')
    const scored = await start(['eval', '--checkpoint', run, '--audio', wav, '--json'])
    expect(scored).toMatchObject({ code: 0 })
    const { results, reference } = JSON.parse(scored.stdout)
    expect(results[0].bitsPerSample).toBeLessThan(reference.orderZero - 1)
    const out = join(root, 'more.wav')
    const wish = ['--checkpoint', run, '--prompt', wav, '--seconds', '0.05', '--out', out]
    expect(await start(['generate', ...wish])).toMatchObject({ code: 0 })
    expect(existsSync(out)).toBe(true)
  })

  it('says when a file cannot be written, and keeps the last checkpoint', async () => {
    expect((await train([...begin(run), '--minutes', '1e-9'])).code).toBe(0)
    // files of 4 KB at most, as on a full disk: weights take more
    const resume = [longwave, 'train', '--out', run, '--resume']
      .map((word) => `'${word}'`)
      .join(' ')
    const refused = await start([], undefined, undefined, `ulimit -f 4; node ${resume}`)
    expect(refused.code).toBe(3)
    expect(refused.stderr).toContain('cannot save step')
    expect(refused.stderr).not.toMatch(/^ +at /m)
    expect(loadCheckpoint(run).state).toMatchObject({ step: 1 })
    expect((await train(['--out', run, '--resume', '--minutes', '1e-9'])).code).toBe(0)
  })

  it('trains a WaveNet, to be scored, continued and shipped by the same commands', async () => {
    const sizes = ['stacks=2', 'layers=4', 'channels=4', 'skip=8', 'end=8', 'embedding=4']
    const wish = [
      ...['--data', data, '--out', run, '--preset', 'wavenet-small'],
      ...sizes.flatMap((entry) => ['--set', entry]),
      ...['--context', '500', '--targets', '20k', '--targets-per-step', '500', '--lr', '0.02'],
      ...['--eval-every', '10k', '--eval-targets', '1000', '--threads', '1'],
    ]
    const first = await train(wish)
    expect(first).toMatchObject({ code: 0, stderr: '' })
    expect(first.stdout).toContain('model   wavenet')
    expect(first.stdout).toContain('1 stretches of 500 samples')
    const metrics = readMetrics(run)
    expect(metrics).toHaveLength(40)
    expect(metrics.at(-1)!.heldOutBits).toBeLessThan(metrics[0]!.bits - 0.5)
    expect(readRunFile(run).model).toMatchObject({
      family: 'wavenet',
      config: { channels: 4, audio: { sampleRate: RATE, quantizer: 'mu-law' } },
    })

    const shipped = join(root, 'shipped')
    const exported = await start(['export', '--checkpoint', run, '--out', shipped])
    expect(exported).toMatchObject({ code: 0 })
    const wav = join(shared, 'audio/test/110.wav')
    const scored = await start(['eval', '--checkpoint', shipped, '--audio', wav, '--json'])
    expect(scored).toMatchObject({ code: 0, stderr: '' })
    // two stacks of dilations 1 to 8
    expect(JSON.parse(scored.stdout).results[0]).toMatchObject({ model: 'wavenet', context: 31 })
    expect(JSON.parse(scored.stdout).results[0].bitsPerSample).toBeLessThan(metrics[0]!.bits)
    const out = join(root, 'more.wav')
    const more = ['--checkpoint', shipped, '--prompt', wav, '--seconds', '0.05', '--out', out]
    expect(await start(['generate', ...more])).toMatchObject({ code: 0 })
    expect(existsSync(out)).toBe(true)
  })

  it('trains the preset longwave where none is named, its local path first', async () => {
    const args = ['--data', data, '--out', run, ...SMALL, '--context', '32:0.5,64:0.5']
    const course = ['--targets', '384', '--targets-per-step', '64', '--eval-targets', '64']
    const { code, stderr } = await train([...args, ...course])
    expect(code, stderr).toBe(0)
    const { model, recipe } = readRunFile(run)
    expect(model.config).toMatchObject({ forecast: { curves: 2 }, local: { channels: 4 } })
    expect(recipe.rates).toEqual({ encoder: 0.1 })
    expect(recipe.stages).toEqual([
      { context: 32, part: 'local', targets: 256 },
      { context: 32, part: 'all', targets: 64 },
      { context: 64, part: 'all', targets: 64 },
    ])
  })

  it('trains a SaShiMi, whose poles learn slowly, to be scored, continued and played', async () => {
    const wish = [
      ...['--data', data, '--out', run, '--preset', 'sashimi-small'],
      ...['--set', 'layers=1', '--set', 'channels=8', '--set', 'pool=[2,3]', '--set', 'modes=4'],
      ...['--context', '500', '--targets', '20k', '--targets-per-step', '500', '--lr', '0.02'],
      ...['--eval-every', '10k', '--eval-targets', '1000', '--threads', '1'],
    ]
    const first = await train(wish)
    expect(first).toMatchObject({ code: 0, stderr: '' })
    expect(first.stdout).toContain('model   sashimi')
    // whole steps of the coarsest tier
    expect(first.stdout).toContain('1 stretches of 498 samples')
    const metrics = readMetrics(run)
    expect(metrics.at(-1)!.heldOutBits).toBeLessThan(metrics[0]!.bits - 0.5)
    const { model, recipe } = readRunFile(run)
    expect(model).toMatchObject({ family: 'sashimi', config: { pool: [2, 3], modes: 4 } })
    expect(recipe).toMatchObject({ rates: { 'poles.': 0.25 }, weightDecay: 0 })

    const shipped = join(root, 'shipped')
    const exported = await start(['export', '--checkpoint', run, '--out', shipped])
    expect(exported).toMatchObject({ code: 0 })
    const wav = join(shared, 'audio/test/110.wav')
    const score = ['--checkpoint', shipped, '--audio', wav, '--context', '64,16000', '--json']
    const scored = await start(['eval', ...score])
    expect(scored).toMatchObject({ code: 0, stderr: '' })
    const { results } = JSON.parse(scored.stdout)
    expect(results[0]).toMatchObject({ model: 'sashimi', context: 64 })
    expect(results[1].bitsPerSample).toBeLessThan(metrics[0]!.bits)
    expect(results[1].bitsPerSample).not.toBe(results[0].bitsPerSample)
    const out = join(root, 'more.wav')
    const more = ['--checkpoint', shipped, '--prompt', wav, '--seconds', '0.05', '--out', out]
    expect(await start(['generate', ...more, '--precision', 'int8'])).toMatchObject({ code: 0 })
    expect(existsSync(out)).toBe(true)
    const live = ['--checkpoint', shipped, '--prompt', wav, '--seconds', '0.05']
    expect(await start(['play', ...live])).toMatchObject({ code: 0 })
  })

  it('trains a SampleRNN on streams, to be resumed, scored, continued and shipped', async () => {
    const sizes = ['frames=[4,2]', 'width=8', 'embedding=4']
    const wish = [
      ...['--data', data, '--out', run, '--preset', 'samplernn-small'],
      ...sizes.flatMap((entry) => ['--set', entry]),
      ...['--context', '64', '--targets', '20k', '--targets-per-step', '512', '--lr', '0.02'],
      ...['--eval-every', '10k', '--eval-targets', '1000', '--threads', '1'],
    ]
    const first = await train([...wish, '--minutes', '1e-9'])
    expect(first).toMatchObject({ code: 0, stderr: '' })
    expect(first.stdout).toContain('model   samplernn')
    expect(first.stdout).toContain('8 streams of 1 stretches of 64 samples')
    expect(await train(['--out', run, '--resume'])).toMatchObject({ code: 0, stderr: '' })
    const metrics = readMetrics(run)
    expect(metrics).toHaveLength(40)
    expect(metrics.at(-1)!.heldOutBits).toBeLessThan(metrics[0]!.bits - 0.5)
    const shipped = join(root, 'shipped')
    const exported = await start(['export', '--checkpoint', run, '--out', shipped])
    expect(exported).toMatchObject({ code: 0 })
    const wav = join(shared, 'audio/test/110.wav')
    const scored = await start(['eval', '--checkpoint', shipped, '--audio', wav, '--json'])
    expect(scored).toMatchObject({ code: 0, stderr: '' })
    // the state is carried through the whole piece
    const [result] = JSON.parse(scored.stdout).results
    expect(result).toMatchObject({ model: 'samplernn', context: 2 ** 24 })
    expect(result.bitsPerSample).toBeLessThan(metrics[0]!.bits)
    const out = join(root, 'more.wav')
    const more = ['--checkpoint', shipped, '--prompt', wav, '--seconds', '0.05', '--out', out]
    for (const precision of ['f32', 'int8']) {
      const made = await start(['generate', ...more, '--precision', precision])
      expect(made).toMatchObject({ code: 0 })
    }
    expect(existsSync(out)).toBe(true)
  })

  it('starts from the weights of another run', async () => {
    await train(begin(run))
    const next = join(root, 'next')
    const { code, stdout } = await train([...begin(next), '--init', run, '--minutes', '1e-9'])
    expect(code).toBe(0)
    expect(stdout).toContain(`init    ${run}`)
    expect(readMetrics(next)[0]!.bits).toBeLessThan(readMetrics(run)[10]!.bits)
    // a part that joins begins as in a new model, and says nothing at first
    const more = join(root, 'more')
    const joined = [...begin(more), '--recall', '4', '--init', run, '--minutes', '1e-9']
    const { code: also, stdout: told } = await train(joined)
    expect(also).toBe(0)
    expect(told).toContain('New in this model, and untrained: recall.place.w')
    expect(readMetrics(more)[0]!.bits).toBeCloseTo(readMetrics(next)[0]!.bits, 6)
  })

  it.each([
    ['an unknown option', ['--lrr', '1'], 2, 'Did you mean --lr?'],
    ['a missing folder', [], 2, '--out RUN is missing'],
    ['missing data', ['--out', 'RUN'], 2, '--data DATASET is missing'],
    ['data that are none', ['--out', 'RUN', '--data', 'nowhere'], 4, 'no folder nowhere'],
    ['--from alone', ['--out', 'RUN', '--data', 'DATA', '--from', '3'], 2, '--resume'],
    ['an unknown preset', ['--out', 'RUN', '--data', 'DATA', '--preset', 'x'], 2, 'stream'],
    [
      'a forecast for the paper',
      ['--out', 'RUN', '--data', 'DATA', '--preset', 'paper', '--forecast', '2'],
      2,
      'The paper form has neither local path nor forecast',
    ],
    ['a bad --memory', ['--out', 'RUN', '--data', 'DATA', '--memory', 'much'], 2, 'such as 4GB'],
    [
      'too little memory',
      ['--out', 'RUN', '--data', 'DATA', '--memory', '300MB'],
      2,
      'does not fit into the memory allowed',
    ],
    [
      'options of the flagship for another family',
      [
        '--out',
        'RUN',
        '--data',
        'DATA',
        '--preset',
        'wavenet',
        '--local',
        '8',
        '--head-width',
        '4',
      ],
      2,
      'The preset wavenet has no option --head-width, --local.',
    ],
    [
      'a local part of a model that has none',
      ['--out', 'RUN', '--data', 'DATA', '--preset', 'wavenet', '--curriculum', 'local@64:9'],
      2,
      'The wavenet has no local path',
    ],
    ['a bad --rate', ['--out', 'RUN', '--data', 'DATA', '--rate', 'x'], 2, '--rate takes PREFIX='],
  ])('explains %s', async (_, args, code, text) => {
    const places = args.map((arg) => (arg === 'RUN' ? run : arg === 'DATA' ? data : arg))
    const ended = await train(places)
    expect(ended.code).toBe(code)
    expect(ended.stderr).toContain(text)
    expect(existsSync(run)).toBe(false)
  })

  it('passes errors of its thread on, and keeps nothing of a run without a step', async () => {
    const nowhere = join(root, 'nowhere')
    const ended = await train([...begin(run), '--init', nowhere])
    expect(ended.code).toBe(3)
    expect(ended.stderr).toContain(`there is no folder ${nowhere}`)
    expect((await train([...begin(run), '--minutes', '1e-9'])).code).toBe(0)
  })
})

describe('longwave', () => {
  it('knows its version and its commands', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
    expect(await start(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
    for (const args of [[], ['--help']]) {
      const { code, stdout } = await start(args)
      expect(code).toBe(0)
      for (const name of ['prepare', 'train']) expect(stdout).toContain(name)
    }
    const text = readFileSync(longwave, 'utf8')
    expect(text.startsWith('#!/usr/bin/env node')).toBe(true)
  })

  it('suggests a command for one that it does not know', async () => {
    const { code, stderr } = await start(['trian'])
    expect(code).toBe(2)
    expect(stderr).toContain('Did you mean train?')
  })

  it('says so when the run folder cannot be made', async () => {
    writeFileSync(run, '')
    const { code, stderr } = await start(['train', ...begin(join(run, 'x'))])
    expect(code).toBe(3)
    expect(stderr).toContain('run.json cannot be written.')
    expect(stderr).not.toContain('    at ')
  })
})

describe('loss.svg', () => {
  const line = (step: number, heldOutBits?: number) =>
    JSON.stringify({ step, targets: 10 * step, bits: 8 - step / 1000, heldOutBits })

  it('is drawn of training and held-out bits, with a few hundred points', async () => {
    await mkdir(run)
    const lines = Array.from({ length: 1200 }, (_, i) =>
      line(i + 1, i % 400 === 399 ? 7 : undefined),
    )
    writeFileSync(join(run, 'metrics.jsonl'), `${lines.join('\n')}\n`)
    writeLossPlot(run)
    const svg = readFileSync(join(run, 'loss.svg'), 'utf8')
    for (const text of ['<svg', 'bits per sample', 'held-out']) expect(svg).toContain(text)
    const [training, heldOut] = lossCurves(readMetrics(run))
    expect(training!.name).toBe('training')
    expect(training!.points).toHaveLength(400)
    expect(training!.points[0]).toEqual([30, 7.998])
    expect(heldOut).toEqual({
      name: 'held-out',
      points: [
        [4000, 7],
        [8000, 7],
        [12000, 7],
      ],
    })
  })

  it('has no curve that has no points', () => {
    expect(lossCurves([])).toEqual([])
  })
})

describe('statusLine', () => {
  const metrics = (step: number, heldOutBits?: number) => ({
    step,
    targets: 1000 * step,
    bits: 4,
    ...(heldOutBits !== undefined && { heldOutBits }),
    lr: 1e-3,
    gradNorm: 1,
    stage: 0,
    timing: { targetsPerSecond: 500, gflops: 20, rssMB: 2048, seconds: 2 },
  })
  const screen = (isTTY: boolean) => {
    const written: string[] = []
    const write = (text: string) => written.push(text)
    return { written, to: { isTTY, columns: 60, write } as unknown as NodeJS.WriteStream }
  }
  const plan = { targets: 10_000, stages: 1 }

  it('is a line now and then in a file, at once where something was scored', () => {
    const { written, to } = screen(false)
    const status = statusLine(to, plan)
    for (const step of [1, 2, 3]) status.step(metrics(step))
    status.step(metrics(4, 3.5))
    status.step(metrics(5))
    status.note('note')
    status.end()
    const line = (step: number, heldOut: string, left: string) =>
      `step ${step} | ${step}k/10k targets | bits 4.000 | held-out ${heldOut} | lr 1.0e-3 | ` +
      `500 targets/s | 20.0 GFLOP/s | 2.0 GB | ${left} left\n`
    expect(written).toEqual([
      line(1, '-', '18s'),
      line(4, '3.500', '12s'),
      'note\n',
      line(5, '3.500', '10s'),
    ])
  })

  it('is rewritten on a terminal and never longer than it', () => {
    const { written, to } = screen(true)
    const status = statusLine(to, plan)
    status.step(metrics(1))
    status.step(metrics(2))
    status.end()
    expect(written).toHaveLength(3)
    for (const text of written.slice(0, 2)) {
      expect(text.startsWith('\r\x1b[K')).toBe(true)
      expect(text.length).toBeLessThan(4 + 60)
    }
    expect(written[2]).toBe('\n')
  })
})

describe('parseTrainFlags', () => {
  const parse = (given: Record<string, unknown>) => parseTrainFlags({ out: 'run', ...given })
  const refusal = (given: Record<string, unknown>) => {
    try {
      parse(given)
    } catch (error) {
      expect(error).toBeInstanceOf(UsageError)
      return (error as UsageError).describe()
    }
    return 'nothing was refused'
  }

  it('reads a curriculum', () => {
    expect(parse({ curriculum: 'local@16000:20e6,8k:10e6,128k:5M' }).curriculum).toEqual([
      { part: 'local', context: 16000, targets: 20e6 },
      { part: 'all', context: 8000, targets: 10e6 },
      { part: 'all', context: 128000, targets: 5e6 },
    ])
    for (const curriculum of ['', '8000', '8000:', '8000:1.5', 'global@8000:10', '8000:10,']) {
      expect(refusal({ curriculum })).toContain('--curriculum takes')
    }
    expect(refusal({ curriculum: '8000:10', context: '5' })).toContain('either')
  })

  it('reads contexts, and the shares of several', () => {
    expect(parse({ context: '128k' }).context).toBe(128_000)
    expect(parse({ context: '32k,1M' }).context).toEqual([
      { context: 32_000, share: 1 },
      { context: 1e6, share: 1 },
    ])
    expect(parse({ context: '32k:0.5,128k:0.3,1M:0.2' }).context).toEqual([
      { context: 32_000, share: 0.5 },
      { context: 128_000, share: 0.3 },
      { context: 1e6, share: 0.2 },
    ])
    for (const context of ['', '8k,', '0', '8.5', '8k:0', '8k:1,16k', '8k:1:2', 'long']) {
      expect(refusal({ context })).toContain('--context takes')
    }
  })

  it('reads a schedule', () => {
    expect(parse({ schedule: 'constant' }).schedule).toEqual({ kind: 'constant' })
    expect(parse({ schedule: 'cosine' }).schedule).toEqual({ kind: 'cosine', floor: 0.1 })
    expect(parse({ schedule: 'linear:0' }).schedule).toEqual({ kind: 'linear', floor: 0 })
    expect(parse({ schedule: 'steps:0.7=0.1,0.9=0.05' }).schedule).toEqual({
      kind: 'steps',
      steps: [
        { share: 0.7, factor: 0.1 },
        { share: 0.9, factor: 0.05 },
      ],
    })
    const wrong = [
      'cosine:2',
      'constant:1',
      'steps',
      'steps:1',
      'steps:0.9=1,0.5=1',
      'steps:0.5=1=2',
    ]
    for (const schedule of wrong) expect(refusal({ schedule })).toContain('--schedule takes')
  })

  it('reads factors of the rate', () => {
    const { rate } = parse({ rate: 'encoder=0.1,head.out=0,context=2' })
    expect(rate).toEqual({ encoder: 0.1, 'head.out': 0, context: 2 })
    // the first prefix that fits counts
    expect(Object.keys(rate!)).toEqual(['encoder', 'head.out', 'context'])
    for (const wrong of ['', 'encoder', 'encoder=', '=1', 'a=-1', 'a=x', 'a=1=2', 'a=1,', 'a:1']) {
      expect(refusal({ rate: wrong })).toContain('--rate takes PREFIX=FACTOR,... such as')
    }
  })

  it('names every flag that makes no sense', () => {
    const wrong = { lr: '0', seed: '-1', backend: 'tpu', targets: '1.5', minutes: 'x' }
    const text = refusal({ ...wrong, forecast: '-1' })
    const flags = ['--lr', '--seed', '--backend', '--targets', '--minutes', '--forecast']
    for (const flag of flags) {
      expect(text).toContain(flag)
    }
  })
})

describe('modelOf', () => {
  const audio = { sampleRate: 8000, quantizer: 'linear' } as const
  const configOf = (flags: Parameters<typeof modelOf>[0], context = 8000) =>
    modelOf({ preset: 'stream', ...flags }, context, audio).config as Record<string, unknown>

  it('puts options over a preset', () => {
    const config = configOf({
      layers: 2,
      headWidth: 32,
      local: 8,
      set: ['hidden=64', 'local.skip=16'],
    })
    expect(config).toMatchObject({ layers: 2, headWidth: 32, hidden: 64, tokens: 4, audio })
    expect(config.local).toMatchObject({ channels: 8, skip: 16 })
    expect(configOf({ local: 0 }).local).toBeNull()
    expect(configOf({ forecast: 3 }).forecast).toEqual({ curves: 3 })
    expect(configOf({ forecast: 3, set: ['forecast.curves=4'] }).forecast).toEqual({ curves: 4 })
    expect(configOf({ forecast: 0 }).forecast).toBeNull()
    expect(configOf({ recall: 24 }).recall).toMatchObject({ width: 24, ahead: 1 })
    expect(configOf({ recall: 24, set: ['recall.ahead=5'] }).recall).toMatchObject({ ahead: 5 })
    expect(configOf({ recall: 0 }).recall).toBeNull()
    expect(configOf({ window: 16 }).window).toBe(16)
    expect(configOf({}).window).toBeNull()
    expect(() => configOf({ preset: 'paper', window: 16 })).toThrow('no sliding window')
    expect(configOf({}).forecast).toBeNull()
    expect(configOf({ set: ['filters=[8,8,8,8,8]'] }).filters).toEqual([8, 8, 8, 8, 8])
  })

  it('of another family takes its entries by --set alone', () => {
    const flags = { preset: 'wavenet', set: ['stacks=2', 'channels=8'] }
    expect(configOf(flags)).toMatchObject({ stacks: 2, channels: 8, layers: 10, audio })
    expect(configOf(flags)).not.toHaveProperty('tokens')
    for (const flag of [
      'chunk',
      'layers',
      'heads',
      'headWidth',
      'window',
      'local',
      'forecast',
      'recall',
    ]) {
      expect(() => configOf({ preset: 'wavenet', [flag]: 1 })).toThrow('no option --')
    }
    expect(() => configOf({ preset: 'wavenet', set: ['chunk=8'] })).toThrow('no option chunk')
    expect(() => configOf({ preset: 'wavenet', set: ['layers=0'] })).toThrow(UsageError)
  })

  it('refuses unknown keys, other kinds of values and nonsense', () => {
    expect(() => configOf({ set: ['layerz=2'] })).toThrow('The model has no option layerz.')
    expect(() => configOf({ set: ['local.depth=2'], local: 8 })).toThrow('no option local.depth')
    expect(() => configOf({ set: ['layers=two'] })).toThrow('another kind')
    expect(() => configOf({ set: ['filters=3'] })).toThrow('another kind')
    expect(() => configOf({ set: ['layers'] })).toThrow('key=value')
    expect(() => configOf({ set: ['__proto__.x=1'] })).toThrow('no option')
  })
})

describe('numbers', () => {
  it('are read as people write them', () => {
    const read = ['16000', '10e6', '128k', '1.5M', '1e-3', '.5', '-2'].map(parseNumber)
    expect(read).toEqual([16000, 10e6, 128e3, 1.5e6, 1e-3, 0.5, -2])
    for (const text of ['', 'k', '1K', '0x10', '1e', 'Infinity', '1 2', '1e999']) {
      expect(parseNumber(text)).toBeUndefined()
    }
  })

  it('are shown short', () => {
    expect([950, 1000, 128e3, 9.614e6, 2e9, 0.5].map(formatCount)).toEqual(
      ['950', '1k', '128k', '9.61M', '2G', '0.5'], // three digits
    )
    expect([0.4, 59, 61, 3600, 7530, Number.POSITIVE_INFINITY].map(formatDuration)).toEqual(
      ['0s', '59s', '1m01s', '1h00m', '2h05m', '-'], // two units
    )
  })
})
