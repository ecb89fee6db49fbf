/** Small flagships and what the laws need of them. */
import fc from 'fast-check'
import { quantizer, SILENCE } from '../../src/audio/quantize.js'
import { Random } from '../../src/base/random.js'
import type { Program, Values } from '../../src/engine/index.js'
import {
  constant,
  Graph,
  input,
  reshape,
  sizeOf,
  slice,
  type Tensor,
  transpose,
} from '../../src/graph/index.js'
import {
  contextTransformer,
  encode,
  encoderLayers,
  type FlagshipConfig,
  head,
} from '../../src/models/flagship.js'
import { localFeatures, localLayers } from '../../src/models/flagship-local.js'
import { flagship } from '../../src/models/flagship-model.js'
import { forecastInput } from '../../src/models/flagship-programs.js'
import { recall, recallRows, recallStates } from '../../src/models/flagship-recall.js'
import { FORECAST_WIDTH, Forecaster } from '../../src/models/forecast.js'
import type { Arrays } from '../../src/models/model.js'
import type { Stateful } from '../../src/nn/layers.js'
import { Parameters } from '../../src/nn/parameters.js'

/** Receptive field 55 of a chunk of 60. No two widths are equal: a wrong axis does not fit. */
export const STREAM: FlagshipConfig = {
  form: 'stream',
  chunk: 60,
  tokens: 4,
  kernel: 3,
  filters: [4, 5],
  strides: [2, 3],
  width: 6,
  layers: 2,
  heads: 2,
  headWidth: 3,
  feedForward: 7,
  hidden: 9,
  levels: 256,
  local: null,
  forecast: null,
  audio: { sampleRate: 16_000, quantizer: 'mu-law' },
  dropout: { encoder: 0, attention: 0, feedForward: 0, head: 0, token: 0 },
}

/** The same with a local path that sees 12 samples. */
export const LOCAL: FlagshipConfig = {
  ...STREAM,
  local: { channels: 3, dilations: [1, 2, 4, 1, 3], skip: 8 },
}

/** The same with a forecast, around which the head shapes two curves. */
export const FORECAST: FlagshipConfig = { ...LOCAL, forecast: { curves: 2 } }

/** A token sees itself and one before it in each layer, three of a segment through both. */
export const WINDOW: FlagshipConfig = { ...LOCAL, window: 2 }

/** The same with a recall of what came after places that sound alike. */
export const RECALL: FlagshipConfig = {
  ...LOCAL,
  recall: { width: 5, heads: 2, taps: 7, ahead: 3 },
}

export const PAPER: FlagshipConfig = { ...STREAM, form: 'paper' }

/** The forms in which every sample is a target. */
export const FORMS: [string, FlagshipConfig][] = [
  ['stream', STREAM],
  ['stream + local', LOCAL],
  ['stream + local + forecast', FORECAST],
  ['stream + local, a window', WINDOW],
  ['stream + local + recall', RECALL],
]

/** Value of every code. */
export const VALUES = quantizer('mu-law').table

/**
 * Parameters of which none is zero or one, as some are at first: what multiplies a zero could be
 * wrong unseen.
 */
export function randomParameters(config: FlagshipConfig, seed: number): Arrays {
  return stir(flagship(config).initialise(seed), seed)
}

/** Adds a little noise to all numbers. */
export function stir(arrays: Arrays, seed: number): Arrays {
  const random = new Random(seed, 77)
  const noisy = Object.entries(arrays).map(
    ([name, array]) => [name, array.map((x) => x + 0.15 * random.normal())] as const,
  )
  return Object.fromEntries(noisy)
}

/** The same numbers in the floating type of a graph. */
export function typed<A extends Readonly<Record<string, ArrayLike<number>>>>(
  arrays: A,
  dtype: 'float32' | 'float64',
): Record<keyof A & string, Float32Array | Float64Array> {
  const array = dtype === 'float64' ? Float64Array : Float32Array
  return Object.fromEntries(
    Object.entries(arrays).map(([name, values]) => [name, array.from(values)]),
  ) as Record<keyof A & string, Float32Array | Float64Array>
}

export function normals(size: number, seed: number, stream = 0): Float64Array {
  const random = new Random(seed, stream)
  return Float64Array.from({ length: size }, () => random.normal())
}

/** Codes that wander, as those of a recording do. */
export function randomCodes(length: number, seed: number): Uint8Array {
  const random = new Random(seed, 5)
  let level = SILENCE
  return Uint8Array.from({ length }, () => {
    level = Math.max(0, Math.min(255, level + Math.round(25 * random.normal())))
    return level
  })
}

/** Codes of two tones under a little noise: what a forecast was made for. */
export function tonalCodes(length: number, seed: number): Uint8Array {
  const random = new Random(seed, 6)
  const wave = Float32Array.from(
    { length },
    (_, t) => 0.3 * Math.sin(0.11 * t + seed) + 0.1 * Math.sin(0.47 * t) + 0.03 * random.normal(),
  )
  return quantizer('mu-law').encode(wave)
}

/** Rows of the forecast after each of `codes`, which come after `lead`. */
export function forecastOf(codes: ArrayLike<number>, lead: ArrayLike<number> = []): Float32Array {
  const rows = new Float32Array(codes.length * FORECAST_WIDTH)
  const forecaster = new Forecaster(VALUES)
  forecaster.run(lead)
  forecaster.run(codes, rows)
  return rows
}

/** What any form is fed of a recording, whose first codes, `lead`, only the forecast knows. */
export function samplesOf(
  codes: ArrayLike<number>,
  dtype: 'float32' | 'float64' = 'float64',
  lead: ArrayLike<number> = [],
) {
  const { x, forecast } = typed({ x: valuesOf(codes), forecast: forecastOf(codes, lead) }, dtype)
  return { x, codes: Int32Array.from(codes), forecast }
}

/** The largest difference of two arrays, relative to the largest number of `expected`. */
export function distance(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length || found.length === 0) {
    throw new Error(`${found.length} numbers cannot equal ${expected.length}`)
  }
  let apart = 0
  let largest = 0
  for (let i = 0; i < found.length; i++) {
    const d = Math.abs(found[i]! - expected[i]!)
    // not a number is infinitely wrong
    apart = Math.max(apart, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d)
    largest = Math.max(largest, Math.abs(expected[i]!))
  }
  if (largest === 0) throw new Error('nothing but zeros was expected')
  return apart / largest
}

/** -ln p of a code under logits. */
export function natsOf(logits: ArrayLike<number>, code: number): number {
  const all = Array.from(logits)
  const largest = Math.max(...all)
  const total = all.reduce((sum, x) => sum + Math.exp(x - largest), 0)
  return largest + Math.log(total) - all[code]!
}

/** Lengths of pieces that make up `total`, drawn from a few so that programs can be reused. */
export function splits(total: number, lengths: readonly number[]): fc.Arbitrary<number[]> {
  return fc.array(fc.constantFrom(...lengths), { maxLength: total }).map((drawn) => {
    const pieces: number[] = []
    let rest = total
    for (const length of drawn) {
      if (length > rest) break
      pieces.push(length)
      rest -= length
    }
    // what is left is filled with the largest that fit
    for (const length of [...lengths].sort((a, b) => b - a)) {
      for (; rest >= length; rest -= length) pieces.push(length)
    }
    return pieces
  })
}

/** Graphs from time to features with a memory, as `buildStretch` makes them. */
export interface Causal {
  features: Record<string, Tensor>
  states: Record<string, Tensor>
  next: Record<string, Tensor>
}

/**
 * Runs the programs of a causal network over pieces, each starting where the last one ended.
 *
 * @param feeds what is cut: arrays with their numbers per sample
 * @returns features of the whole, and the memory at the end
 */
export async function runPieces(
  programOf: (time: number) => Promise<Program>,
  pieces: readonly number[],
  feeds: Readonly<Record<string, { values: Values; perSample: number }>>,
  constants: Readonly<Record<string, Values>>,
): Promise<Record<string, number[]>> {
  const whole: Record<string, number[]> = {}
  let memory: Record<string, Values> | undefined
  let at = 0
  for (const time of pieces) {
    const program = await programOf(time)
    memory ??= zeroStates(program)
    const mine = Object.entries(feeds).map(([name, { values, perSample }]) => {
      return [name, values.slice(at * perSample, (at + time) * perSample)] as const
    })
    const found = await program.run({ ...constants, ...memory, ...Object.fromEntries(mine) })
    for (const [name, array] of Object.entries(found)) {
      if (name.startsWith('next.')) memory[name.replace('next.', 'state.')] = array
      else whole[name] = [...(whole[name] ?? []), ...array]
    }
    at += time
  }
  for (const [name, array] of Object.entries(memory ?? {})) whole[name] = [...array]
  return whole
}

function zeroStates(program: Program): Record<string, Values> {
  const entries = [...program.inputs].filter(([name]) => name.startsWith('state.'))
  return Object.fromEntries(
    entries.map(([name, { shape, dtype }]) => {
      const size = sizeOf(shape)
      return [name, dtype === 'float64' ? new Float64Array(size) : new Float32Array(size)]
    }),
  )
}

/** A function that is called once for every key. */
export function once<T>(make: (key: number) => T): (key: number) => T {
  const made = new Map<number, T>()
  return (key) => {
    const known = made.get(key)
    if (known !== undefined) return known
    const value = make(key)
    made.set(key, value)
    return value
  }
}

export interface DenseOptions {
  /** Chunks of targets. */
  tokens: number
  /** Samples before the first token, seen by the causal layers alone. */
  before?: number
  /** Tokens that a token sees in each layer. */
  window?: number
  part?: 'all' | 'local'
  dtype?: 'float32' | 'float64'
}

/**
 * The whole dense flagship as ONE graph, of which the programs of src/models are pieces: what
 * `samplesOf` gives of before + tokens chunk codes to logits [tokens chunk, levels] in order of time.
 */
export function denseGraph(config: FlagshipConfig, options: DenseOptions) {
  const { tokens, before = 0, window = tokens, part = 'all', dtype = 'float64' } = options
  const { chunk, width, local } = config
  const targets = tokens * chunk
  const time = before + targets
  const graph = new Graph(dtype)
  const p = new Parameters(graph)
  const x = input(graph, 'x', [1, 1, time])
  const codes = input(graph, 'codes', [time], 'int32')
  const forecast = forecastInput(p, config, [time])
  const zeros = (layers: readonly Stateful[]) =>
    layers.map(({ stateShape }) => constant(graph, Array(sizeOf(stateShape)).fill(0), stateShape))

  let h: Tensor | undefined
  if (part === 'all') {
    const { z } = encode(p, config, x, zeros(encoderLayers(config)))
    const tokensOf = reshape(slice(z, 0, before, time), [tokens, chunk, width])
    const found = contextTransformer(p, config, transpose(tokensOf, [1, 0, 2]), { window }).h
    h = reshape(transpose(found, [1, 0, 2]), [targets, width])
  }
  let s: Tensor | undefined
  if (local) {
    const states = zeros(localLayers(local))
    const found = localFeatures(p, { ...config, local }, codes, x, states, forecast)
    s = slice(found.s, 0, before, time)
  }
  let r: Tensor | undefined
  if (config.recall && part === 'all') {
    const mine = { ...config, recall: config.recall }
    const rows = recallRows(p, mine, x, zeros(recallStates(mine))).r
    const byPhase = reshape(slice(rows, 0, before, time), [tokens, chunk, rows.shape[1]!])
    const look = { queries: tokens, window: Math.min(tokens, window - 1) }
    if (window > 1) {
      const found = recall(p, mine, transpose(byPhase, [1, 0, 2]), look)
      r = reshape(transpose(found, [1, 0, 2]), [targets, found.shape[2]!])
    }
  }
  const heard = { h, s, r, forecast: forecast && slice(forecast, 0, before, time) }
  return { graph, p, x, forecast, logits: head(p, config, heard), targets }
}

/** What a model is fed to predict `codes`: the sample before each, silence before the first. */
export function inputsOf(codes: Uint8Array): Int32Array {
  return Int32Array.of(SILENCE, ...codes.subarray(0, -1))
}

export function valuesOf(codes: ArrayLike<number>): number[] {
  return Array.from(codes, (code) => VALUES[code]!)
}
