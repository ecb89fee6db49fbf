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
  receptiveField,
  stateInputs,
  windowTransformer,
} from './flagship.js'
import { divisorUpTo, ROWS, STRETCH } from './flagship-layout.js'
import { forecastInput, zeros } from './flagship-programs.js'
import { FeatureStream } from './flagship-scorer.js'
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
  /** Tokens a prediction sees. */
  readonly #tokens: number
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
    const tokens = Math.max(1, Math.floor(context / config.chunk))
    const { states, outputs } = buildStep(config, tokens)
    const step = await engine.compile(outputs, {}, parameters)
    return new DenseGenerator(engine, config, parameters, values, step, tokens, zeros(states))
  }

  private constructor(
    engine: Engine,
    config: FlagshipConfig,
    parameters: Arrays,
    values: Float32Array,
    step: Program,
    tokens: number,
    states: Arrays,
  ) {
    const { chunk, levels, width } = config
    this.#engine = engine
    this.#config = config
    this.#parameters = parameters
    this.#values = values
    this.#forecaster = new Forecaster(values)
    this.#step = step
    this.#tokens = tokens
    this.#states = states
    this.#next = Object.fromEntries(
      Object.entries(states).map(([name, a]) => [name, new Float32Array(a.length)]),
    )
    this.#caches = Array.from(
      { length: cachesOf(config) },
      () => new Float32Array(chunk * (tokens - 1) * width),
    )
    this.#counts = new Int32Array(chunk)
    this.#mask = new Float32Array(tokens)
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

    const reach = this.#tokens * chunk
    const start = Math.max(0, history.length - reach)
    // states that began in the middle are true after one receptive field
    const warm = Math.max(0, start - this.#memory())
    this.#forecaster = new Forecaster(this.#values)
    this.#forecaster.run(history.subarray(0, warm))
    const z = await this.#features(history.subarray(warm), start - warm, onProgress)
    await this.#fillCaches(z, history.length - start)
    this.#phase = (history.length - start) % chunk
    await this.push(codes.at(-1) ?? SILENCE)
  }

  /** Samples after which nothing earlier is remembered by the causal layers. */
  #memory(): number {
    const local = this.#config.local?.dilations.reduce((sum, d) => sum + d, 0) ?? 0
    return Math.max(receptiveField(this.#config), local + 1)
  }

  /** Latents of all but the first `skipped` codes; the states end after the last. */
  async #features(
    codes: Int32Array,
    skipped: number,
    onProgress: (samples: number) => void,
  ): Promise<Float32Array> {
    const { width, local } = this.#config
    const z = new Float32Array(codes.length * width)
    const others = {
      s: new Float32Array(STRETCH * (local?.skip ?? 0)),
      forecast: new Float32Array(STRETCH * FORECAST_WIDTH),
    }
    let states: Arrays | undefined
    for (let at = 0; at < codes.length; ) {
      const time = Math.min(STRETCH, codes.length - at)
      const whole = codes.length - at - ((codes.length - at) % time)
      const stream = await FeatureStream.open(
        this.#engine,
        this.#config,
        this.#parameters,
        time,
        this.#values,
      )
      stream.begin(states, this.#forecaster)
      for (const end = at + whole; at < end; at += time) {
        await stream.run(codes.subarray(at, at + time), { z: z.subarray(at * width), ...others })
        onProgress(Math.max(0, at + time - skipped))
      }
      states = stream.states
      await stream.dispose()
    }
    if (states) this.#states = states
    return z.subarray(skipped * width)
  }

  /** Runs the Transformer over `count` latents and keeps what its layers remember. */
  async #fillCaches(z: Float32Array, count: number): Promise<void> {
    const { chunk, width } = this.#config
    const kept = this.#tokens - 1
    const tokens = Math.ceil(count / chunk)
    if (tokens === 0) return
    for (let q = 0; q < chunk; q++) {
      this.#counts[q] = Math.min(kept, Math.floor((count - 1 - q) / chunk) + 1)
    }
    if (kept === 0) return
    const phases = divisorUpTo(chunk, ROWS / tokens)
    const program = await this.#engine.compile(
      buildCaches(this.#config, tokens, phases),
      {},
      this.#parameters,
    )
    const block = new Float32Array(tokens * phases * width)
    for (let first = 0; first < chunk; first += phases) {
      block.fill(0)
      for (let m = 0; m < tokens; m++) {
        const from = (m * chunk + first) * width
        block.set(z.subarray(from, from + phases * width), m * phases * width)
      }
      const found = await program.run({ z: block })
      for (const [layer, cache] of this.#caches.entries()) {
        const rows = found[`cache.${layer}`] as Float32Array // [phases, tokens, width]
        for (let q = 0; q < phases; q++) {
          const there = Math.floor((count - 1 - first - q) / chunk) + 1
          const seen = this.#counts[first + q]!
          const from = (q * tokens + there - seen) * width
          const to = ((first + q) * kept + kept - seen) * width
          cache.set(rows.subarray(from, from + seen * width), to)
        }
      }
    }
    await program.dispose()
  }

  async push(code: number): Promise<void> {
    const { width, chunk } = this.#config
    const kept = this.#tokens - 1
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
