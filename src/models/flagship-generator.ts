import { SILENCE } from '../audio/quantize.js'
import type { Engine, Program } from '../engine/index.js'
import { concat, Graph, input, reshape, type Tensor, transpose } from '../graph/index.js'
import { Parameters } from '../nn/parameters.js'
import {
  contextTransformer,
  encode,
  encoderLayers,
  type FlagshipConfig,
  head,
  stateInputs,
  windowTransformer,
} from './flagship.js'
import { recallWindow, tokensOf, windowOf } from './flagship-layout.js'
import { localFeatures, localLayers } from './flagship-local.js'
import { densePass } from './flagship-pass.js'
import { forecastInput, zeros } from './flagship-programs.js'
import { PARTS, recall, recallRows, recallStates } from './flagship-recall.js'
import { FORECAST_WIDTH, Forecaster } from './forecast.js'
import type { Arrays, Generator } from './model.js'

const MASKED = -1e9

type Named = Record<string, Tensor>

/** The graph of one sample: the newest sample in, logits of the next one out. */
function buildStep(config: FlagshipConfig, context: number) {
  const keys = windowOf(config, context)
  const graph = new Graph()
  const p = new Parameters(graph)
  const x = input(graph, 'x', [1, 1, 1])
  const next: Named = {}
  const states: Named = {}
  const remember = (prefix: string, before: Tensor[], after: Tensor[]) => {
    for (const [i, state] of after.entries()) {
      states[`state.${prefix}.${i}`] = before[i]!
      next[`next.${prefix}.${i}`] = state
    }
  }

  const encoderStates = stateInputs(p, 'state.encoder', encoderLayers(config))
  const encoded = encode(p, config, x, encoderStates)
  remember('encoder', encoderStates, encoded.states)

  const forecast = forecastInput(p, config, [1])
  let s: Tensor | undefined
  const { local } = config
  if (local) {
    const codes = input(graph, 'codes', [1], 'int32')
    const localStates = stateInputs(p, 'state.local', localLayers(local))
    const found = localFeatures(p, { ...config, local }, codes, x, localStates, forecast)
    remember('local', localStates, found.states)
    s = found.s
  }

  const caches = Array.from({ length: layersOf(config) }, (_, i) =>
    input(graph, `cache.${i}`, [1, keys - 1, config.width]),
  )
  // 0 for tokens that are there, very negative for those before the beginning
  const mask = input(graph, 'mask', [1, keys])
  const z = reshape(encoded.z, [1, 1, config.width])
  let h: Tensor
  if (config.form === 'paper') {
    next['new.0'] = z
    h = windowTransformer(p, config, keys > 1 ? concat([caches[0]!, z], 1) : z, mask)
  } else {
    const found = contextTransformer(p, config, z, { caches: keys > 1 ? caches : undefined, mask })
    for (const [i, layerInput] of found.inputs.entries()) next[`new.${i}`] = layerInput
    h = reshape(found.h, [1, config.width])
  }
  let r: Tensor | undefined
  const window = recallWindow(tokensOf(config, context))
  if (config.recall) {
    const mine = { ...config, recall: config.recall }
    const recallInputs = stateInputs(p, 'state.recall', recallStates(mine))
    const found = recallRows(p, mine, x, recallInputs)
    remember('recall', recallInputs, found.states)
    const row = reshape(found.r, [1, 1, PARTS * config.recall.width])
    if (window > 0) {
      next['new.recall'] = row
      const past = input(graph, 'cache.recall', [1, window - 1, row.shape[2]!])
      const there = input(graph, 'mask.recall', [1, window])
      const look = { queries: 1, window, mask: there }
      const rows = window > 1 ? concat([past, row], 1) : row
      const recalled = recall(p, mine, rows, look)
      r = reshape(recalled, [1, recalled.shape[2]!])
    }
  }
  const logits = head(p, config, { h, s, r, forecast })
  return { states, outputs: { ...next, logits } }
}

/** Layers that remember tokens; in the paper's form, where slots change, the latent alone is kept. */
function layersOf(config: FlagshipConfig): number {
  return config.form === 'paper' ? 1 : config.layers
}

/** What is kept of the tokens of a phase. */
interface Cache {
  /** Of the inputs and outputs of the step: `cache.NAME`, `new.NAME` and `mask` are its own. */
  name: string
  mask: string
  width: number
  /** Tokens beside the newest. */
  kept: number
  /** [chunk phases, kept, width], the newest token last. */
  rows: Float32Array
}

function cachesOf(config: FlagshipConfig, context: number): Cache[] {
  const { chunk, width } = config
  const cache = (name: string, mask: string, width: number, kept: number): Cache => {
    return { name, mask, width, kept, rows: new Float32Array(chunk * kept * width) }
  }
  const kept = windowOf(config, context) - 1
  const all = Array.from({ length: layersOf(config) }, (_, i) => cache(`${i}`, 'mask', width, kept))
  const recalled = recallWindow(tokensOf(config, context)) - 1
  if (config.recall && recalled >= 0) {
    all.push(cache('recall', 'mask.recall', PARTS * config.recall.width, recalled))
  }
  return all
}

/** The graph that fills the caches: latents of `phases` phases to what every layer remembers. */
function buildCaches(config: FlagshipConfig, tokens: number, phases: number): Named {
  const graph = new Graph()
  const p = new Parameters(graph)
  const z = input(graph, 'z', [tokens, phases, config.width])
  const byPhase = transpose(z, [1, 0, 2])
  if (config.form === 'paper') return { 0: byPhase }
  const { inputs } = contextTransformer(p, config, byPhase)
  const found = Object.fromEntries(inputs.map((tensor, i) => [`${i}`, tensor]))
  if (!config.recall) return found
  const r = input(graph, 'r', [tokens, phases, PARTS * config.recall.width])
  return { ...found, recall: transpose(r, [1, 0, 2]) }
}

/**
 * Generation through the engine: the causal layers step, and every phase keeps what the layers saw
 * of its tokens, so that a sample costs each weight once.
 */
export class DenseGenerator implements Generator {
  readonly #engine: Engine
  readonly #config: FlagshipConfig
  readonly #parameters: Arrays
  readonly #values: Float32Array
  readonly #step: Program
  /** Tokens of a prompt that are taken in. */
  readonly #tokens: number
  #states: Arrays
  #next: Arrays
  readonly #caches: readonly Cache[]
  /** Tokens of each phase so far, the context at most. */
  readonly #counts: Int32Array
  readonly #masks: Readonly<Record<string, Float32Array>>
  #phase = 0
  #forecaster: Forecaster
  readonly #forecast = new Float32Array(FORECAST_WIDTH)
  #logits: Float32Array

  static async open(
    engine: Engine,
    config: FlagshipConfig,
    parameters: Arrays,
    values: Float32Array,
    context: number,
  ): Promise<DenseGenerator> {
    const { states, outputs } = buildStep(config, context)
    const step = await engine.compile(outputs, {}, parameters)
    return new DenseGenerator(engine, config, parameters, values, step, context, zeros(states))
  }

  private constructor(
    engine: Engine,
    config: FlagshipConfig,
    parameters: Arrays,
    values: Float32Array,
    step: Program,
    context: number,
    states: Arrays,
  ) {
    const { chunk, levels } = config
    this.#engine = engine
    this.#config = config
    this.#parameters = parameters
    this.#values = values
    this.#forecaster = new Forecaster(values)
    this.#step = step
    this.#tokens = tokensOf(config, context)
    this.#states = states
    this.#next = Object.fromEntries(
      Object.entries(states).map(([name, a]) => [name, new Float32Array(a.length)]),
    )
    this.#caches = cachesOf(config, context)
    this.#counts = new Int32Array(chunk)
    this.#masks = Object.fromEntries(
      this.#caches.map(({ mask, kept }) => [mask, new Float32Array(kept + 1)]),
    )
    this.#logits = new Float32Array(levels)
  }

  async prime(codes: Uint8Array, onProgress: (samples: number) => void = () => {}): Promise<void> {
    const { chunk } = this.#config
    // the first sample follows silence; the newest one is left to a step, which gives the logits
    const history = new Int32Array(codes.length)
    if (codes.length > 0) history.set([SILENCE, ...codes.subarray(0, -1)].slice(0, codes.length))
    for (const state of Object.values(this.#states)) state.fill(0)
    this.#counts.fill(0)
    this.#phase = 0

    this.#forecaster = new Forecaster(this.#values)
    for (let q = 0; q < chunk; q++) {
      const count = Math.min(history.length, this.#tokens * chunk)
      this.#counts[q] = Math.floor((count - 1 - q) / chunk) + 1
    }
    const trained = {
      engine: this.#engine,
      config: this.#config,
      parameters: this.#parameters,
      values: this.#values,
    }
    const { count, states } = await densePass(trained, history, {
      tokens: this.#tokens,
      build: (tokens, phases) => buildCaches(this.#config, tokens, phases),
      take: (name, phase, rows) => this.#keep(name, phase, rows),
      onProgress,
      forecaster: this.#forecaster,
    })
    if (states) this.#states = states
    this.#phase = count % chunk
    await this.push(codes.at(-1) ?? SILENCE)
  }

  /** Puts the newest tokens of a phase at the end of its cache. */
  #keep(name: string, phase: number, rows: Float32Array): void {
    const { width, kept, rows: all } = this.#caches.find((cache) => cache.name === name)!
    const seen = Math.min(kept, this.#counts[phase]!) * width
    all.set(rows.subarray(rows.length - seen), (phase + 1) * kept * width - seen)
  }

  async push(code: number): Promise<void> {
    const q = this.#phase
    const feeds: Record<string, Float32Array | Int32Array> = {
      ...this.#states,
      ...this.#masks,
      x: Float32Array.of(this.#values[code]!),
      codes: Int32Array.of(code),
    }
    if (this.#config.forecast) {
      this.#forecaster.run([code], this.#forecast)
      feeds.forecast = this.#forecast
    }
    for (const { name, mask, width, kept, rows } of this.#caches) {
      const missing = Math.max(0, kept - this.#counts[q]!)
      this.#masks[mask]!.fill(MASKED, 0, missing).fill(0, missing)
      feeds[`cache.${name}`] = rows.subarray(q * kept * width, (q + 1) * kept * width)
    }
    const into: Arrays = { logits: this.#logits }
    for (const [name, a] of Object.entries(this.#next)) into[name.replace('state.', 'next.')] = a
    const found = await this.#step.run(feeds, into)
    ;[this.#states, this.#next] = [this.#next, this.#states]
    for (const { name, width, kept } of this.#caches) {
      if (kept === 0) continue
      const mine = feeds[`cache.${name}`]!
      mine.copyWithin(0, width)
      mine.set(found[`new.${name}`]!, (kept - 1) * width)
    }
    this.#counts[q] = Math.min(this.#tokens, this.#counts[q]! + 1)
    this.#phase = (q + 1) % this.#config.chunk
  }

  async logits(): Promise<Float32Array> {
    return this.#logits
  }

  async dispose(): Promise<void> {
    await this.#step.dispose()
  }
}
