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
  localFeatures,
  localLayers,
  stateInputs,
  windowTransformer,
} from './flagship.js'
import { tokensOf, windowOf } from './flagship-layout.js'
import { densePass } from './flagship-pass.js'
import { forecastInput, zeros } from './flagship-programs.js'
import { FORECAST_WIDTH, Forecaster } from './forecast.js'
import type { Arrays, Generator } from './model.js'

const MASKED = -1e9

type Named = Record<string, Tensor>

/** The graph of one sample: the newest sample in, logits of the next one out. */
function buildStep(config: FlagshipConfig, keys: number) {
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

  const caches = Array.from({ length: cachesOf(config) }, (_, i) =>
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
  const logits = head(p, config, { h, s, forecast })
  return { states, outputs: { ...next, logits } }
}

/** Per layer, what it saw of a token; in the paper's form, where slots change, the latent alone. */
function cachesOf(config: FlagshipConfig): number {
  return config.form === 'paper' ? 1 : config.layers
}

/** The graph that fills the caches: latents of `phases` phases to what every layer remembers. */
function buildCaches(config: FlagshipConfig, tokens: number, phases: number): Named {
  const graph = new Graph()
  const p = new Parameters(graph)
  const z = input(graph, 'z', [tokens, phases, config.width])
  const byPhase = transpose(z, [1, 0, 2])
  if (config.form === 'paper') return { 'cache.0': byPhase }
  const { inputs } = contextTransformer(p, config, byPhase)
  return Object.fromEntries(inputs.map((tensor, i) => [`cache.${i}`, tensor]))
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
  /** Tokens that a layer keeps beside the newest. */
  readonly #kept: number
  #states: Arrays
  #next: Arrays
  /** Per layer [chunk phases, tokens - 1, width], the newest token last. */
  readonly #caches: Float32Array[]
  /** Tokens in the caches of each phase. */
  readonly #counts: Int32Array
  readonly #mask: Float32Array
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
    const { states, outputs } = buildStep(config, windowOf(config, context))
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
    const { chunk, levels, width } = config
    this.#engine = engine
    this.#config = config
    this.#parameters = parameters
    this.#values = values
    this.#forecaster = new Forecaster(values)
    this.#step = step
    this.#tokens = tokensOf(config, context)
    this.#kept = windowOf(config, context) - 1
    this.#states = states
    this.#next = Object.fromEntries(
      Object.entries(states).map(([name, a]) => [name, new Float32Array(a.length)]),
    )
    this.#caches = Array.from(
      { length: cachesOf(config) },
      () => new Float32Array(chunk * this.#kept * width),
    )
    this.#counts = new Int32Array(chunk)
    this.#mask = new Float32Array(this.#kept + 1)
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
    const kept = this.#kept
    for (let q = 0; q < chunk; q++) {
      const count = Math.min(history.length, this.#tokens * chunk)
      this.#counts[q] = Math.min(kept, Math.floor((count - 1 - q) / chunk) + 1)
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
    const { width } = this.#config
    const seen = this.#counts[phase]! * width
    const end = (phase + 1) * this.#kept * width
    this.#caches[Number(name.slice('cache.'.length))]!.set(
      rows.subarray(rows.length - seen),
      end - seen,
    )
  }

  async push(code: number): Promise<void> {
    const { width, chunk } = this.#config
    const kept = this.#kept
    const q = this.#phase
    const mine = this.#caches.map((c) => c.subarray(q * kept * width, (q + 1) * kept * width))
    this.#mask.fill(MASKED, 0, kept - this.#counts[q]!).fill(0, kept - this.#counts[q]!)
    const feeds: Record<string, Float32Array | Int32Array> = {
      ...this.#states,
      x: Float32Array.of(this.#values[code]!),
      codes: Int32Array.of(code),
      mask: this.#mask,
    }
    if (this.#config.forecast) {
      this.#forecaster.run([code], this.#forecast)
      feeds.forecast = this.#forecast
    }
    for (const [i, cache] of mine.entries()) feeds[`cache.${i}`] = cache
    const into: Arrays = { logits: this.#logits }
    for (const [name, a] of Object.entries(this.#next)) into[name.replace('state.', 'next.')] = a
    const found = await this.#step.run(feeds, into)
    ;[this.#states, this.#next] = [this.#next, this.#states]
    if (kept > 0) {
      for (const [i, cache] of mine.entries()) {
        cache.copyWithin(0, width)
        cache.set(found[`new.${i}`]!, (kept - 1) * width)
      }
      this.#counts[q] = Math.min(kept, this.#counts[q]! + 1)
    }
    this.#phase = (q + 1) % chunk
  }

  async logits(): Promise<Float32Array> {
    return this.#logits
  }

  async dispose(): Promise<void> {
    await this.#step.dispose()
  }
}
