/** Identity E3: streaming equals the dense pass, sample by sample. */
import { beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../../src/engine/index.js'
import { type FlagshipConfig, flagshipPresets } from '../../src/models/flagship.js'
import { flagship } from '../../src/models/flagship-model.js'
import type { PackOptions } from '../../src/stream/pack.js'
import { distance, LOCAL, RECALL, randomCodes, randomParameters, STREAM } from '../laws/tiny.js'
import { denseLogits } from './dense.js'
import { openFeed } from './models.js'

const SILENCE = 128

/** Small enough to run long, large enough that no block of a kernel is left out. */
const MIDDLE: FlagshipConfig = {
  ...STREAM,
  forecast: null,
  filters: [40, 35],
  width: 34,
  heads: 3,
  headWidth: 20,
  feedForward: 41,
  hidden: 67,
  local: { channels: 17, dilations: [1, 2, 4, 8, 1, 2], skip: 33 },
}

const FORMS: [string, FlagshipConfig][] = [
  ['stream', { ...STREAM, forecast: null }],
  ['stream + local', { ...LOCAL, forecast: null }],
  ['stream + local, a window', { ...LOCAL, forecast: null, window: 3 }],
  ['stream + local + recall', { ...RECALL, forecast: null }],
  ['wider, with a recall', { ...MIDDLE, recall: { width: 18, heads: 3, taps: 20, ahead: 1 } }],
  ['stream + local + forecast', { ...LOCAL, forecast: { curves: 2 } }],
  ['wider, absorbed heads', MIDDLE],
  ['wider, narrow heads', { ...MIDDLE, headWidth: 5 }],
  ['wider, with a forecast', { ...MIDDLE, forecast: { curves: 3 } }],
]

let engine: Engine

beforeAll(async () => {
  engine = await Engine.open()
})

/** The largest difference of logits of a stream and of the dense pass, sample by sample. */
async function compare(
  config: FlagshipConfig,
  seed: number,
  window: number,
  chunks: number,
  options: PackOptions = { precision: 'f32' },
) {
  const parameters = randomParameters(config, seed)
  const codes = randomCodes(chunks * config.chunk, seed)
  const expected = await denseLogits(engine, config, parameters, codes, window)
  const feed = openFeed(config, parameters, window * config.chunk, options)
  let most = 0
  for (const [t, code] of codes.entries()) {
    const found = feed.push(code)
    for (let i = 0; i < found.length; i++) {
      const d = Math.abs(found[i]! - expected[t * found.length + i]!)
      most = Math.max(most, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d)
    }
  }
  return most
}

describe('a stream in float32 equals the dense pass in float64', () => {
  it.each(FORMS)('%s, until the window slides', async (_, config) => {
    expect(await compare(config, 5, 4, 11)).toBeLessThan(1e-4)
  })

  it.each(FORMS)('%s, of a single token', async (_, config) => {
    expect(await compare(config, 6, 1, 3)).toBeLessThan(1e-4)
  })
})

describe('a stream that remembers in f16 is near the dense pass', () => {
  it.each(FORMS)('%s', async (_, config) => {
    const apart = await compare(config, 5, 4, 11, { precision: 'f32', cache: 'f16' })
    // 11 bits of what every layer remembers; logits are about 1
    expect(apart).toBeGreaterThan(1e-7)
    expect(apart).toBeLessThan(0.01)
  })
})

describe('a stream in float32 equals the dense generator', () => {
  it.each([...FORMS.slice(0, 2), ['the size of the paper', flagshipPresets.stream] as const])(
    '%s',
    async (_, config) => {
      const context = 4 * config.chunk
      const parameters = randomParameters(config, 7)
      const generator = await flagship(config).generator(engine, parameters, context)
      await generator.prime(new Uint8Array())
      const feed = openFeed(config, parameters, context)
      let most = distance(feed.push(SILENCE), await generator.logits())
      for (const code of randomCodes(300, 7)) {
        await generator.push(code)
        most = Math.max(most, distance(feed.push(code), await generator.logits()))
      }
      await generator.dispose()
      expect(most).toBeLessThan(1e-4)
    },
  )
})
