import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  decodeAudio,
  downmix,
  quantizer,
  resample,
  strongPredictor,
} from '../../src/audio/index.js'
import { evalCommand } from '../../src/cli/eval.js'
import { openDataset, prepareDataset } from '../../src/data/index.js'
import { Engine } from '../../src/engine/index.js'
import { type EvalResult, linearBits, orderZeroBits } from '../../src/eval/index.js'
import { put, tempFolder } from '../data/helpers.js'
import { noisyTone, runCommand, TINY, tinyCheckpoint, tinyModel } from './tiny.js'

const evaluate = (...args: string[]) => runCommand(evalCommand(), '--threads', '1', ...args)

/** A checkpoint and two recordings: one of 900 samples, one of 250, shorter than a window of 320. */
function fixtures() {
  const dir = tempFolder()
  put(dir, { 'long.wav': noisyTone(900, 1), 'short.wav': noisyTone(250, 2) })
  const files = [join(dir, 'long.wav'), join(dir, 'short.wav')] as const
  return { dir, files, checkpoint: tinyCheckpoint(join(dir, 'tiny')) }
}

const codesOf = async (wav: Uint8Array) => {
  const { channels, sampleRate } = await decodeAudio(wav)
  return quantizer('mu-law').encode(resample(downmix(channels), sampleRate, 8000))
}

const mean = (values: ArrayLike<number>) =>
  Array.from(values).reduce((sum, x) => sum + x, 0) / values.length

describe('longwave eval --json', () => {
  it('prints one object: what the scorer finds, under each context, beside the references', async () => {
    const { checkpoint, files } = fixtures()
    const run = await evaluate(
      ...['--checkpoint', checkpoint, '--audio', ...files, '--context', '80,320', '--json'],
    )
    expect([run.code, run.stderr]).toEqual([0, ''])
    expect(run.stdout.trim().split('\n')).toHaveLength(1)
    const { results, reference } = JSON.parse(run.stdout)
    expect(results.map((result: EvalResult) => Object.keys(result))).toEqual(
      new Array(2).fill([
        ...['model', 'parameters', 'context', 'samples', 'bitsPerSample', 'natsPerSample'],
        ...['commonBitsPerSample', 'standardError', 'commonStandardError'],
        ...['seconds', 'samplesPerSecond', 'pieces'],
      ]),
    )

    const { model, weights } = tinyModel()
    const scorer = await model.scorer(await Engine.open({ threads: 1 }), weights)
    const pieces = [await codesOf(noisyTone(900, 1)), await codesOf(noisyTone(250, 2))]
    for (const [i, context] of [80, 320].entries()) {
      const bits = []
      for (const codes of pieces) {
        bits.push((await scorer.score(codes, context)).map((nats) => nats / Math.LN2))
      }
      const result: EvalResult = results[i]
      const common = [bits[0]!.slice(320), bits[1]!.slice(125)]
      expect(result).toMatchObject({ model: 'flagship', parameters: model.size, context })
      expect(result.samples).toBe(1150)
      expect(result.bitsPerSample).toBeCloseTo(mean([...bits[0]!, ...bits[1]!]), 5)
      expect(result.commonBitsPerSample).toBeCloseTo(mean([...common[0]!, ...common[1]!]), 5)
      expect(result.pieces.map((p) => p.name)).toEqual(['long.wav', 'short.wav'])
      expect(result.pieces.map((p) => p.commonSamples)).toEqual([580, 125])
      for (const [j, piece] of result.pieces.entries()) {
        expect(piece.bitsPerSample).toBeCloseTo(mean(bits[j]!), 5)
        expect(piece.commonBitsPerSample).toBeCloseTo(mean(common[j]!), 5)
      }
      expect(result.pieces[1]!.fullContextSamples).toBe(context === 80 ? 170 : 0)
    }
    await scorer.dispose()

    const { table } = quantizer('mu-law')
    const linear = pieces.map((codes) => linearBits(codes, table, strongPredictor()).perSample)
    expect(Object.keys(reference)).toEqual([
      ...['uniform', 'orderZero', 'linearPredictor', 'commonLinearPredictor'],
      ...['strongPredictor', 'commonStrongPredictor'],
    ])
    expect(reference.uniform).toBe(8)
    expect(reference.orderZero).toBeCloseTo(orderZeroBits(pieces), 10)
    expect(reference.strongPredictor).toBeCloseTo(mean([...linear[0]!, ...linear[1]!]), 6)
    expect(reference.commonStrongPredictor).toBeCloseTo(
      mean([...linear[0]!.slice(320), ...linear[1]!.slice(125)]),
      6,
    )
  })

  it('scores any rate and number of channels as the model hears it, as far as --limit', async () => {
    const { checkpoint, dir } = fixtures()
    put(dir, { 'fast.wav': noisyTone(4000, 1, 16000) })
    const run = await evaluate(
      ...['--checkpoint', checkpoint, '--audio', join(dir, 'fast.wav'), '--no-reference'],
      ...['--context', '80', '--limit', '0.1', '--json'],
    )
    const { results, reference, rescale } = JSON.parse(run.stdout)
    expect([reference, rescale]).toEqual([null, null])
    expect(results[0]).toMatchObject({ samples: 800, standardError: null })
  })

  it('scores with --common the targets alone that contexts share, as it does without', async () => {
    const { checkpoint, files } = fixtures()
    const given = ['--checkpoint', checkpoint, '--audio', ...files, '--context', '80,320']
    const whole = JSON.parse((await evaluate(...given, '--json')).stdout)
    const alone = JSON.parse((await evaluate(...given, '--json', '--common')).stdout)
    expect(alone.reference).toEqual(whole.reference)
    for (const [i, result] of (alone.results as EvalResult[]).entries()) {
      const expected: EvalResult = whole.results[i]
      expect(Object.keys(result)).toEqual(Object.keys(expected))
      expect(result).toMatchObject({ samples: 1150, bitsPerSample: null, natsPerSample: null })
      expect(result.commonBitsPerSample).toBeCloseTo(expected.commonBitsPerSample, 5)
      expect(result.commonStandardError).toBeCloseTo(expected.commonStandardError!, 5)
      expect(result.pieces.map((p) => p.commonSamples)).toEqual([580, 125])
      for (const [j, piece] of result.pieces.entries()) {
        const { commonBitsPerSample } = expected.pieces[j]!
        expect(piece.commonBitsPerSample).toBeCloseTo(commonBitsPerSample, 5)
      }
    }
    const { stdout, code } = await evaluate(...given, '--common')
    expect(code).toBe(0)
    expect(stdout).toContain('705 of 1150 samples')
    expect(stdout).toMatch(/^context 320 +\d\.\d{4} +0\.\d{4} +\d+$/m)
  })

  it('draws bits per sample against context', async () => {
    const { checkpoint, files, dir } = fixtures()
    const plot = join(dir, 'curves', 'context.svg')
    const run = await evaluate(
      ...['--checkpoint', checkpoint, '--audio', ...files, '--no-reference', '--json'],
      ...['--context', '80,160,320', '--plot', plot],
    )
    const { results } = JSON.parse(run.stdout) as { results: EvalResult[] }
    const errors = results.map(({ commonStandardError }) => commonStandardError!)
    expect(errors.every((e) => e > 0 && e < 1)).toBe(true)
    const svg = readFileSync(plot, 'utf8')
    expect(svg).toContain('2 held-out recordings')
    expect(svg).toContain('context, samples')
    expect(
      (await evaluate('--checkpoint', checkpoint, '--audio', files[0], '--plot', dir)).code,
    ).toBe(3)
  })

  it('takes the context that the model was made for, and warns of longer ones', async () => {
    const { checkpoint, files } = fixtures()
    const common = ['--checkpoint', checkpoint, '--audio', files[1], '--no-reference', '--json']
    const own = await evaluate(...common)
    expect(JSON.parse(own.stdout).results[0].context).toBe(TINY.chunk * TINY.tokens)
    const longer = await evaluate(...common, '--context', '1k')
    expect(JSON.parse(longer.stdout).results[0].context).toBe(1000)
    expect(longer.stderr).toContain('longer than the 320 samples')
  })
})

describe('longwave eval', () => {
  it('prints a table', async () => {
    const { checkpoint, files } = fixtures()
    const run = await evaluate('--checkpoint', checkpoint, '--audio', ...files, '--context', '80')
    expect(run.code).toBe(0)
    expect(run.stdout).toMatch(/^context 80 +\d\.\d{4} +0\.\d{4} +\d\.\d{4} +\d+$/m)
    expect(run.stdout).toMatch(/^linear predictor/m)
    expect(run.stdout).toMatch(/^long\.wav +900 +\d\.\d{4}$/m)
  })

  it('scores a split of a dataset, and refuses one of other levels', async () => {
    const { checkpoint, dir } = fixtures()
    const source = tempFolder()
    put(source, { 'test/a.wav': noisyTone(1200, 3), 'train/b.wav': noisyTone(1000, 4) })
    const prepare = (name: string, options: object) =>
      prepareDataset(source, join(dir, name), { rate: 8000, quantizer: 'mu-law', ...options })
    await prepare('same', {})
    await prepare('other', { quantizer: 'linear', rate: 16000 })
    const split = async (name: string, ...args: string[]) =>
      evaluate(
        '--checkpoint',
        checkpoint,
        '--context',
        '80',
        '--json',
        '--data',
        join(dir, name),
        ...args,
      )

    const test = JSON.parse((await split('same')).stdout).results[0]
    expect(openDataset(join(dir, 'same')).pieces('test')).toHaveLength(1)
    expect(test.pieces).toMatchObject([{ name: 'test/a', samples: 1200 }])
    const train = JSON.parse((await split('same', '--split', 'train')).stdout).results[0]
    expect(train.pieces).toMatchObject([{ name: 'train/b', samples: 1000 }])

    const empty = await split('same', '--split', 'valid')
    expect([empty.code, empty.stderr]).toEqual([2, expect.stringContaining('valid')])
    const other = await split('other')
    expect(other.code).toBe(2)
    expect(other.stderr).toContain('8000 Hz, mu-law')
    expect(other.stderr).toContain('16000 Hz, linear')
  })
})

describe('rescaled windows', () => {
  it('are named beside their figures, in the table, the object and the plot', async () => {
    const { checkpoint, dir } = fixtures()
    const source = tempFolder()
    put(source, { 'test/a.wav': noisyTone(1700, 3), 'train/b.wav': noisyTone(1000, 4) })
    const data = join(dir, 'data')
    await prepareDataset(source, data, { rate: 8000, rescale: 0.1 })
    const plot = join(dir, 'plot.svg')
    const score = (...args: string[]) =>
      evaluate(
        ...['--checkpoint', checkpoint, '--context', '80', '--no-reference', '--data', data],
        ...args,
      )
    const text = (await score('--plot', plot)).stdout
    expect(text).toContain('Every piece is a window of 800 samples, rescaled by its own minimum')
    expect(text).toMatch(/^test\/a @0\.1s +800 +\d/m)
    expect(readFileSync(plot, 'utf8')).toContain('2 held-out windows, each rescaled by itself')
    expect(JSON.parse((await score('--json')).stdout)).toMatchObject({
      rescale: 800,
      results: [{ samples: 1600 }],
    })
  })
})

describe('a bad wish', () => {
  const cases: [string, number, string, (paths: ReturnType<typeof fixtures>) => string[]][] = [
    ['no checkpoint', 2, '--checkpoint C is missing', ({ files }) => ['--audio', files[0]]],
    ['nothing to score', 2, 'neither', ({ checkpoint }) => ['--checkpoint', checkpoint]],
    [
      'two things to score',
      2,
      'both',
      ({ checkpoint, files, dir }) => [
        '--checkpoint',
        checkpoint,
        '--audio',
        files[0],
        '--data',
        dir,
      ],
    ],
    [
      'a missing checkpoint',
      3,
      'there is no folder',
      ({ dir, files }) => ['--checkpoint', join(dir, 'gone'), '--audio', files[0]],
    ],
    [
      'a folder that is no checkpoint',
      3,
      'is not a checkpoint',
      ({ dir, files }) => ['--checkpoint', dir, '--audio', files[0]],
    ],
    ...['0', '-5', '1.5', 'all', '80,,320', '80,x'].map((context): (typeof cases)[number] => [
      `the context ${context}`,
      2,
      '--context takes whole numbers from 1',
      ({ checkpoint, files }) => [
        ...['--checkpoint', checkpoint, '--audio', files[0], `--context=${context}`],
      ],
    ]),
    [
      'a limit of nothing',
      2,
      '--limit takes seconds',
      ({ checkpoint, files }) => ['--checkpoint', checkpoint, '--audio', files[0], '--limit', '0'],
    ],
    [
      'another split',
      2,
      '--split takes',
      ({ checkpoint, dir }) => ['--checkpoint', checkpoint, '--data', dir, '--split', 'all'],
    ],
    [
      'a folder that is no dataset',
      4,
      'not a dataset',
      ({ checkpoint, dir }) => ['--checkpoint', checkpoint, '--data', dir],
    ],
    [
      'a missing recording',
      3,
      'cannot be read',
      ({ checkpoint, dir }) => ['--checkpoint', checkpoint, '--audio', join(dir, 'no.wav')],
    ],
    [
      'a recording that is not audio',
      4,
      'text.wav: The content is not audio',
      ({ checkpoint, dir }) => ['--checkpoint', checkpoint, '--audio', join(dir, 'text.wav')],
    ],
    ['an unknown flag', 1, 'unknown option', () => ['--contexts', '80']],
  ]

  it.each(cases)('%s ends with %i and says %s', async (_, code, words, args) => {
    const paths = fixtures()
    put(paths.dir, { 'text.wav': 'this is no music' })
    const run = await evaluate(...args(paths))
    expect([run.code, run.stdout]).toEqual([code, ''])
    expect(run.stderr).toContain(words)
    expect(run.stderr).not.toMatch(/\n\s+at /)
  })

  it('a checkpoint of another model, or of none', async () => {
    const { checkpoint, files } = fixtures()
    const config = join(checkpoint, 'config.json')
    const run = () => evaluate('--checkpoint', checkpoint, '--audio', files[0])
    const set = (value: unknown) => writeFileSync(config, JSON.stringify(value))

    set({ family: 'flagship', config: { ...TINY, width: 8 } })
    expect((await run()).code).toBeGreaterThan(0)
    set({ family: 'wavelet', config: TINY })
    expect(await run()).toMatchObject({ code: 2, stderr: expect.stringContaining('wavelet') })
    set({ family: 'wavenet', config: TINY })
    expect(await run()).toMatchObject({ code: 3, stderr: expect.stringContaining('stacks') })
    const { chunk: _, ...without } = TINY
    set({ family: 'flagship', config: without })
    expect(await run()).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('describe a model'),
    })
    set({ family: 'flagship', config: { audio: TINY.audio } })
    expect(await run()).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('describe a model'),
    })
    set(3)
    expect(await run()).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('describe a model'),
    })
  })

  it.each(['webgpu', 'cuda'])('--backend %s works, or says what it needs', async (backend) => {
    const { checkpoint, files } = fixtures()
    const run = await evaluate(
      ...['--checkpoint', checkpoint, '--audio', files[1], '--context', '80', '--backend', backend],
    )
    if (run.code === 0) return
    expect(run.code).toBe(5)
    expect(run.stderr).toContain(`The ${backend} backend is not to be had on this machine.`)
    expect(run.stderr).toContain('use --backend cpu')
  })
})
