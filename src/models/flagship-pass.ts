/**
 * The dense pass over a history: what the context remembers of each of its tokens, found for whole
 * stretches and blocks at once. Generators of every kind take prompts in by it.
 */
import type { Engine } from '../engine/index.js'
import type { Tensor } from '../graph/index.js'
import type { FlagshipConfig } from './flagship.js'
import { divisorUpTo, memoryOf, ROWS, STRETCH, tokenWidths } from './flagship-layout.js'
import { FeatureStream } from './flagship-scorer.js'
import { FORECAST_WIDTH, Forecaster } from './forecast.js'
import type { Arrays } from './model.js'

/** What the pass runs with. */
export interface Trained {
  engine: Engine
  config: FlagshipConfig
  parameters: Arrays
  /** Value of each code. */
  values: Float32Array
}

export interface Pass {
  /** Tokens of a phase that a prediction sees. Older ones have left the window, and are not made. */
  tokens: number
  /** The graph from features [tokens, phases, n] of `tokenWidths` to what is kept, each [phases, tokens, n]. */
  build(tokens: number, phases: number): Record<string, Tensor>
  /** Takes what is kept of the tokens of a phase, from its first on, [tokens, n]; reused afterwards. */
  take(name: string, phase: number, rows: Float32Array): void
  /** Told how many of the samples in the window are taken in. */
  onProgress: (samples: number) => void
  /** Stands before the history and after it; where the model has a forecast. */
  forecaster?: Forecaster
}

/**
 * Runs the pass. Its first token begins with the first sample of the window.
 *
 * @param history inputs of the network, [samples]
 * @returns samples whose tokens were made, and the states of the causal layers after the last
 */
export async function densePass(
  trained: Trained,
  history: Int32Array,
  pass: Pass,
): Promise<{ count: number; states: Arrays | undefined }> {
  const { config, values } = trained
  const start = Math.max(0, history.length - pass.tokens * config.chunk)
  const count = history.length - start
  // states that began in the middle are true after one receptive field
  const warm = Math.max(0, start - memoryOf(config))
  const { forecaster = new Forecaster(values), onProgress } = pass
  if (config.forecast) forecaster.run(history.subarray(0, warm))
  const codes = history.subarray(warm)
  const { rows, states } = await features(trained, codes, forecaster, (samples) =>
    onProgress(Math.floor(Math.max(0, samples - (start - warm)) / 2)),
  )
  const mine: Arrays = {}
  for (const [name, width] of Object.entries(tokenWidths(config))) {
    mine[name] = rows[name]!.subarray((start - warm) * width)
  }
  await fill(trained, mine, count, pass, (samples) => onProgress(Math.floor((count + samples) / 2)))
  return { count, states }
}

/** Features of codes that later tokens look at, and the states after them. */
async function features(
  { engine, config, parameters, values }: Trained,
  codes: Int32Array,
  forecaster: Forecaster,
  onProgress: (samples: number) => void,
): Promise<{ rows: Arrays; states: Arrays | undefined }> {
  const { local } = config
  const widths = Object.entries(tokenWidths(config))
  const rows = Object.fromEntries(
    widths.map(([name, width]) => [name, new Float32Array(codes.length * width)]),
  )
  const others = {
    s: new Float32Array(STRETCH * (local?.skip ?? 0)),
    forecast: new Float32Array(STRETCH * FORECAST_WIDTH),
  }
  let states: Arrays | undefined
  for (let at = 0; at < codes.length; ) {
    const time = Math.min(STRETCH, codes.length - at)
    const whole = codes.length - at - ((codes.length - at) % time)
    const stream = await FeatureStream.open(engine, config, parameters, time, values)
    stream.begin(states, forecaster)
    for (const end = at + whole; at < end; at += time) {
      const mine = widths.map(([name, width]) => [name, rows[name]!.subarray(at * width)] as const)
      await stream.run(codes.subarray(at, at + time), { ...Object.fromEntries(mine), ...others })
      onProgress(at + time)
    }
    states = stream.states
    await stream.dispose()
  }
  return { rows, states }
}

/** Runs what looks at tokens over `count` rows, block by block, and hands on what it remembers. */
async function fill(
  { engine, config, parameters }: Trained,
  rows: Arrays,
  count: number,
  { tokens: most, build, take }: Pass,
  onProgress: (samples: number) => void,
): Promise<void> {
  const { chunk } = config
  const tokens = Math.ceil(count / chunk)
  // the step that follows makes the newest token itself: a window of one remembers nothing
  if (tokens === 0 || most === 1) return
  const phases = divisorUpTo(chunk, ROWS / tokens)
  const program = await engine.compile(build(tokens, phases), {}, parameters)
  const widths = Object.entries(tokenWidths(config))
  const blocks = Object.fromEntries(
    widths.map(([name, width]) => [name, new Float32Array(tokens * phases * width)]),
  )
  for (let first = 0; first < chunk; first += phases) {
    for (const [name, width] of widths) {
      const block = blocks[name]!.fill(0)
      for (let m = 0; m < tokens; m++) {
        const from = (m * chunk + first) * width
        block.set(rows[name]!.subarray(from, from + phases * width), m * phases * width)
      }
    }
    const found = await program.run(blocks)
    for (const [name, kept] of Object.entries(found)) {
      const size = kept.length / phases // of all tokens of a phase
      for (let q = 0; q < phases; q++) {
        const there = Math.floor((count - 1 - first - q) / chunk) + 1
        const mine = kept.subarray(q * size, q * size + (there * size) / tokens) as Float32Array
        take(name, first + q, mine)
      }
    }
    onProgress((count * (first + phases)) / chunk)
  }
  await program.dispose()
}
