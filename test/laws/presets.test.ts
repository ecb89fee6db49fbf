/** Sizes of the presets, against those of the paper and counted by hand. */
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/base/errors.js'
import { modelOf } from '../../src/cli/model-options.js'
import { sizeOf } from '../../src/graph/index.js'
import { FORECAST_FEATURES, FORECAST_WIDTH } from '../../src/models/forecast.js'
import {
  encoderGeometry,
  type FlagshipConfig,
  flagshipPresets,
  localPath,
  type Model,
  openCheckpoint,
  openModel,
  presets,
  receptiveField,
} from '../../src/models/index.js'
import { BUCKETS } from '../../src/nn/attention.js'
import { macsPerStep } from '../../src/nn/step-plan.js'
import { loadModelFolder } from '../../src/train/index.js'

const PRINTED = 3_140_000

function sizes(config: FlagshipConfig): Record<string, number> {
  const found: Record<string, number> = {}
  for (const { name, shape } of openModel('flagship', config).parameters) {
    const part = /^encoder\.\d/.test(name) ? 'encoder' : name.split('.').slice(0, 2).join('.')
    found[part] = (found[part] ?? 0) + sizeOf(shape)
  }
  return found
}

describe('parameters', () => {
  it.each(['paper', 'stream'] as const)('of %s are within 1% of the printed number', (name) => {
    const { family, config } = presets[name]!
    const { size, parameters } = openModel(family, config)
    expect(Math.abs(size / PRINTED - 1)).toBeLessThan(0.01)
    expect(size).toBe(parameters.reduce((total, { shape }) => total + sizeOf(shape), 0))
    expect(new Set(parameters.map((parameter) => parameter.name)).size).toBe(parameters.length)
  })

  it('of paper are those of the table of the design, part by part', () => {
    const found = sizes(flagshipPresets.paper)
    expect(found).toEqual({
      encoder: 834_080,
      'encoder.readout': 98_432,
      'context.0': 593_920,
      'context.1': 593_920,
      'context.2': 593_920,
      'head.context': 128 * 1024,
      'head.b': 1024,
      'head.out': 1024 * 256 + 256,
    })
    expect(openModel('flagship', flagshipPresets.paper).size).toBe(3_108_768)
  })

  it('of stream are the same, with a number per head and distance, a first and a last norm', () => {
    const paper = sizes(flagshipPresets.paper)
    const stream = sizes(flagshipPresets.stream)
    const distances = BUCKETS * 8
    for (const layer of ['context.0', 'context.1', 'context.2']) {
      expect(stream[layer]! - paper[layer]!).toBe(distances)
    }
    expect(stream['context.input']).toBe(2 * 128)
    expect(stream['context.norm']).toBe(2 * 128)
    const { size } = openModel('flagship', flagshipPresets.stream)
    expect(size).toBe(3_108_768 + 3 * distances + 4 * 128)
  })
})

/** What a local path of `c` channels and `skip` features adds to a head of width `hidden`. */
function localSize(c: number, skip: number, hidden: number): number {
  const input = 256 * c + c // embedding and value
  const gates = 20 * (2 * c * c * 2 + 2 * c)
  const residuals = 19 * (c * c + c)
  const out = 20 * c * skip + skip
  return input + gates + residuals + out + skip * hidden
}

const audio = { sampleRate: 16_000, quantizer: 'mu-law' } as const

describe('the preset longwave', () => {
  const model = modelOf({ preset: 'longwave' }, 128_000, audio)

  it('has at most 3.2M parameters and costs less than 4 MMAC a sample at 128,000 samples', () => {
    expect(model.size).toBe(3_155_300)
    const plan = model.stepForm!.plan(model.initialise(0), model.context)
    expect(macsPerStep(plan)).toBeLessThan(4e6)
  })

  it('is the model that is shipped', () => {
    const shipped = openCheckpoint(loadModelFolder('checkpoints/piano')).model
    const sizesOf = ({ parameters }: Pick<Model, 'parameters'>) =>
      Object.fromEntries(parameters.map(({ name, shape }) => [name, `${shape}`]))
    expect(sizesOf(model)).toEqual(sizesOf(shipped))
    expect(shipped.context).toBe(model.context)
  })
})

describe('--local', () => {
  const without = openModel('flagship', flagshipPresets.stream).size

  it.each([
    [8, 32],
    [48, 192],
  ])('%i adds a path of that many channels and what hangs on it', (channels, skip) => {
    const added = localSize(channels, skip, 1024)
    const config = { ...flagshipPresets.stream, local: localPath(channels) }
    expect(openModel('flagship', config).size - without).toBe(added)
    const model = modelOf({ preset: 'stream', local: channels }, 128_000, audio)
    expect(model.size - without).toBe(added)
    expect(model.config).toMatchObject({ local: { channels, skip } })
  })

  it('0 adds nothing', () => {
    const { size, config } = modelOf({ preset: 'stream', local: 0 }, 128_000, audio)
    expect(size).toBe(without)
    expect(config).toMatchObject({ local: null })
  })

  it('is for the stream form only, and the error says so', () => {
    const config = { ...flagshipPresets.paper, local: localPath(8) }
    expect(() => openModel('flagship', config)).toThrow(/neither local path nor forecast/)
  })

  it('sees 2047 samples', () => {
    const { dilations } = localPath(1)
    expect(1 + dilations.reduce((sum, d) => sum + d, 0)).toBe(2047)
  })
})

describe('--forecast', () => {
  const sizeWith = (flags: Parameters<typeof modelOf>[0]) =>
    modelOf({ preset: 'stream', ...flags }, 128_000, audio).size
  const features = FORECAST_WIDTH - FORECAST_FEATURES

  it.each([1, 2, 5])('%i adds three numbers per curve to the head', (forecast) => {
    const numbers = 3 * forecast
    const added = 1024 * numbers + numbers + features * numbers
    expect(sizeWith({ forecast }) - sizeWith({})).toBe(added)
    // and what reads the features to the local path, where there is one
    expect(sizeWith({ forecast, local: 8 }) - sizeWith({ local: 8 })).toBe(added + 8 * features)
    const { config } = modelOf({ preset: 'stream', forecast }, 128_000, audio)
    expect(config).toMatchObject({ forecast: { curves: forecast } })
  })

  it('0 adds nothing', () => {
    expect(sizeWith({ forecast: 0 })).toBe(sizeWith({}))
  })

  it('is for the stream form only, and the error says so', () => {
    const paper = () => modelOf({ preset: 'paper', forecast: 2 }, 128_000, audio)
    expect(paper).toThrow(UsageError)
    expect(paper).toThrow(/neither local path nor forecast/)
    expect(modelOf({ preset: 'paper', forecast: 0 }, 128_000, audio).size).toBe(3_108_768)
  })
})

describe('the geometry of the encoder', () => {
  it('is that of the design', () => {
    expect(encoderGeometry(flagshipPresets.paper)).toEqual({
      dilations: [1, 2, 6, 12, 36],
      taps: 24,
      dilation: 72,
      reach: 1998,
    })
    expect(receptiveField(flagshipPresets.paper)).toBe(1 + 6 * (1 + 2 + 6 + 12 + 36) + 23 * 72)
  })

  it('fills any chunk that holds its convolutions: less than a stride is left over', () => {
    for (let chunk = 343; chunk < 3000; chunk += 7) {
      const config = { ...flagshipPresets.stream, chunk }
      const seen = receptiveField(config)
      expect(seen).toBeLessThanOrEqual(chunk)
      expect(seen).toBeGreaterThan(chunk - 72)
    }
  })
})
