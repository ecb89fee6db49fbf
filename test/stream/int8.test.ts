/** What int8, and a cache of f16, cost: bits per sample on real audio, with a trained model. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { decodeAudio, downmix, quantizer, resample } from '../../src/audio/index.js'
import type { FlagshipConfig } from '../../src/models/flagship.js'
import { flagship } from '../../src/models/flagship-model.js'
import { flagshipPlan } from '../../src/models/flagship-plan.js'
import type { Arrays } from '../../src/models/model.js'
import type { PackOptions } from '../../src/stream/pack.js'
import { pack } from '../../src/stream/pack.js'
import type { Ranges } from '../../src/stream/precision.js'
import { loadModelFolder } from '../../src/train/index.js'
import { natsOf } from '../laws/tiny.js'
import { Feed, rangesOf } from './models.js'

/** Of the recording; the window of two chunks slides over the last. */
const CHUNKS = 3
const CALIBRATION = 4000

let config: FlagshipConfig
let parameters: Arrays
let codes: Uint8Array
let calibration: Uint8Array
let ranges: Ranges
/** Bits per sample in float32. */
let exact: number

beforeAll(async () => {
  const folder = loadModelFolder('checkpoints/piano')
  config = (folder.config as { config: FlagshipConfig }).config
  const trained = Object.entries(folder.model).map(([name, { data }]) => [name, data])
  // a checkpoint from before a layer was added has that layer as it starts
  parameters = { ...flagship(config).initialise(1), ...Object.fromEntries(trained) }
  const name = readdirSync('samples').find((file) => file.endsWith('.flac'))!
  const { channels, sampleRate } = await decodeAudio(readFileSync(join('samples', name)))
  const audio = resample(downmix(channels), sampleRate, config.audio.sampleRate)
  const all = quantizer(config.audio.quantizer).encode(audio)
  const length = CHUNKS * config.chunk
  codes = all.subarray(2 * length, 3 * length)
  calibration = all.subarray(5 * length, 5 * length + CALIBRATION)
  ranges = rangesOf(flagshipPlan(config, parameters, config.chunk), calibration)
  exact = bitsPerSample({ precision: 'f32' })
})

/** Bits per sample of a stream over the recording, its own warming up left out. */
function bitsPerSample(options: PackOptions): number {
  const feed = new Feed(pack(flagshipPlan(config, parameters, 2 * config.chunk), options))
  let nats = 0
  let targets = 0
  for (let t = 0; t + 1 < codes.length; t++) {
    const logits = feed.push(codes[t]!)
    if (t < config.chunk) continue
    nats += natsOf(logits, codes[t + 1]!)
    targets++
  }
  return nats / targets / Math.LN2
}

describe('a trained model that remembers in f16', () => {
  it('costs nothing that three digits of a bit would show', () => {
    const found = bitsPerSample({ precision: 'f32', cache: 'f16' })
    expect(Math.abs(found - exact)).toBeLessThan(0.001)
  })
})

describe('a trained model in int8', () => {
  it('costs at most 0.01 bits per sample, cache included', () => {
    const found = bitsPerSample({ precision: 'int8', ranges })
    expect(exact).toBeLessThan(6) // it is trained, and does predict
    expect(Math.abs(found - exact)).toBeLessThan(0.01)
  })
})
