import { SILENCE } from '../audio/quantize.js'
import type { Engine, Program } from '../engine/index.js'
import type { FlagshipConfig } from './flagship.js'
import {
  copyPhases,
  divisorUpTo,
  memoryOf,
  ROWS,
  STRETCH,
  samplesOf,
  tokenWidths,
} from './flagship-layout.js'
import { buildBlock, buildStretch, zeros } from './flagship-programs.js'
import { FORECAST_WIDTH, Forecaster } from './forecast.js'
import type { Arrays, Scorer } from './model.js'

/**
 * Runs the stretch program over a piece, from its first sample on, and keeps the states. The rows of
 * a forecast, if the model has one, are among its features.
 */
export class FeatureStream {
  readonly widths: Readonly<Record<string, number>>
  readonly #program: Program
  readonly #values: Float32Array
  readonly #time: number
  #states: Arrays
  #next: Arrays
  #forecaster: Forecaster

  static async open(
    engine: Engine,
    config: FlagshipConfig,
    parameters: Arrays,
    time: number,
    values: Float32Array,
  ): Promise<FeatureStream> {
    const stretch = buildStretch(config, time, 'all')
    const { features, next, states } = stretch
    const program = await engine.compile({ ...features, ...next }, {}, parameters)
    const widths = Object.fromEntries(Object.entries(features).map(([k, t]) => [k, t.shape[1]!]))
    if (config.forecast) widths.forecast = FORECAST_WIDTH
    return new FeatureStream(program, time, values, widths, zeros(states))
  }

  private constructor(
    program: Program,
    time: number,
    values: Float32Array,
    widths: Record<string, number>,
    states: Arrays,
  ) {
    this.#program = program
    this.#time = time
    this.#values = values
    this.widths = widths
    this.#states = states
    this.#forecaster = new Forecaster(values)
    this.#next = Object.fromEntries(
      Object.entries(states).map(([k, a]) => [k, new Float32Array(a.length)]),
    )
  }

  get states(): Arrays {
    return this.#states
  }

  /** Samples of a stretch. */
  get time(): number {
    return this.#time
  }

  /** Begins as before the first sample of a piece, or with what has come so far. */
  begin(states?: Arrays, forecaster = new Forecaster(this.#values)): void {
    this.#forecaster = forecaster
    for (const [name, array] of Object.entries(this.#states)) {
      const given = states?.[name]
      if (given) array.set(given)
      else array.fill(0)
    }
  }

  /** Passes over `codes` which lie so far back that the forecast alone, if there is one, hears them. */
  skip(codes: Int32Array): void {
    if (this.widths.forecast) this.#forecaster.run(codes)
  }

  /** Features of the next `codes`, a multiple of the stretch, written into `into`. */
  async run(codes: Int32Array, into: Arrays): Promise<void> {
    for (let start = 0; start < codes.length; start += this.#time) {
      const mine = codes.subarray(start, start + this.#time)
      const outputs: Arrays = {}
      for (const [name, width] of Object.entries(this.widths)) {
        outputs[name] = into[name]!.subarray(start * width, (start + this.#time) * width)
      }
      for (const [name, array] of Object.entries(this.#next)) {
        outputs[name.replace('state.', 'next.')] = array
      }
      const feeds = { ...this.#states, ...samplesOf(mine, this.#values) }
      const { forecast, ...found } = outputs
      if (forecast) {
        this.#forecaster.run(mine, forecast)
        Object.assign(feeds, { forecast })
      }
      await this.#program.run(feeds, found)
      ;[this.#states, this.#next] = [this.#next, this.#states]
    }
  }

  async dispose(): Promise<void> {
    await this.#program.dispose()
  }
}

const MASKED = -1e9

/**
 * Scores pieces with the dense form. With a context of n tokens, a segment of n tokens is computed
 * and its newer half scored, then the segment moves on by that half: every prediction uses at most
 * the context, and, but for the beginning of a piece, at least half of it. In the paper's form a
 * segment gives one token of each phase and moves on by one chunk. Where only the end of a piece is
 * wanted, its first segment is the same as if all were, and so are the scores.
 */
export class DenseScorer implements Scorer {
  readonly #engine: Engine
  readonly #config: FlagshipConfig
  readonly #parameters: Arrays
  readonly #features: FeatureStream
  readonly #blocks = new Map<string, Program>()

  static async open(
    engine: Engine,
    config: FlagshipConfig,
    parameters: Arrays,
    values: Float32Array,
  ): Promise<DenseScorer> {
    const time = divisorUpTo(config.chunk, STRETCH)
    const features = await FeatureStream.open(engine, config, parameters, time, values)
    return new DenseScorer(engine, config, parameters, features)
  }

  private constructor(
    engine: Engine,
    config: FlagshipConfig,
    parameters: Arrays,
    features: FeatureStream,
  ) {
    this.#engine = engine
    this.#config = config
    this.#parameters = parameters
    this.#features = features
  }

  async score(
    codes: Uint8Array,
    context: number,
    onProgress: (samples: number) => void = () => {},
    from = 0,
  ): Promise<Float32Array> {
    if (from >= codes.length) return new Float32Array(0)
    const { chunk } = this.#config
    const all = Math.ceil(codes.length / chunk)
    const isPaper = this.#config.form === 'paper'
    const longest = Math.max(1, Math.floor(context / chunk))
    // slots count from the beginning of a whole window, also where the piece does not fill it
    const tokens = isPaper ? longest : Math.min(all, longest)
    const hop = isPaper ? 1 : Math.max(1, Math.floor(tokens / 2))
    // the first sample follows silence; silence fills the last chunk, where nobody looks
    const inputs = new Int32Array((all + hop) * chunk).fill(SILENCE)
    inputs.set(codes.subarray(0, -1), 1)
    const targets = new Int32Array(inputs.length)
    targets.set(codes)

    const nats = new Float32Array(inputs.length)
    const segment: Arrays = {}
    for (const [name, width] of Object.entries(this.#features.widths)) {
      segment[name] = new Float32Array(tokens * chunk * width)
    }
    // the paper's form starts with a window whose last token alone is there
    const start = isPaper ? 1 - tokens : 0
    // segments after the first until one ends behind what is wanted
    const later = Math.ceil((Math.floor(from / chunk) + 1 - start - tokens) / hop)
    let first = start + hop * Math.max(0, later)
    let scored = isPaper || first > 0 ? hop : tokens
    await this.#warm(segment, inputs, Math.max(0, first) * chunk)
    for (
      let fresh = Math.min(tokens, first + tokens);
      first + tokens - scored < all;
      first += hop, fresh = scored = hop
    ) {
      await this.#advance(segment, inputs, first, tokens, fresh)
      await this.#scoreSegment(segment, targets, nats, { first, tokens, scored, longest })
      onProgress(Math.min(codes.length, (first + tokens) * chunk) - from)
    }
    return nats.slice(from, codes.length)
  }

  /** Begins so that sample `start` finds the memory of all before it; features are lost. */
  async #warm(scratch: Arrays, inputs: Int32Array, start: number): Promise<void> {
    const { time } = this.#features
    const stretches = Math.ceil(memoryOf(this.#config) / time)
    const heard = Math.max(0, start - stretches * time)
    this.#features.begin()
    this.#features.skip(inputs.subarray(0, heard))
    for (let at = heard; at < start; at += time) {
      await this.#features.run(inputs.subarray(at, at + time), scratch)
    }
  }

  /** Makes `segment` hold the features of tokens first .. first + tokens, `fresh` of them new. */
  async #advance(
    segment: Arrays,
    inputs: Int32Array,
    first: number,
    tokens: number,
    fresh: number,
  ): Promise<void> {
    const { chunk } = this.#config
    const into: Arrays = {}
    for (const [name, width] of Object.entries(this.#features.widths)) {
      const size = chunk * width
      const array = segment[name]!
      array.copyWithin(0, fresh * size)
      into[name] = array.subarray((tokens - fresh) * size)
    }
    const start = (first + tokens - fresh) * chunk
    await this.#features.run(inputs.subarray(start, start + fresh * chunk), into)
  }

  async #scoreSegment(
    segment: Arrays,
    targets: Int32Array,
    nats: Float32Array,
    size: Record<'first' | 'tokens' | 'scored' | 'longest', number>,
  ): Promise<void> {
    const { chunk } = this.#config
    const { first, tokens, scored, longest } = size
    const phases = divisorUpTo(chunk, ROWS / tokens)
    const program = await this.#block({ tokens, phases, scored, context: longest })
    const perToken: Arrays = {}
    const perTarget: Arrays = {}
    for (const [name, wide] of Object.entries(this.#features.widths)) {
      if (name in tokenWidths(this.#config))
        perToken[name] = new Float32Array(tokens * phases * wide)
      else perTarget[name] = new Float32Array(scored * phases * wide)
    }
    const mine = new Int32Array(scored * phases)
    const found = new Float32Array(scored * phases)
    const mask = new Float32Array(tokens).fill(MASKED, 0, Math.max(0, -first))
    const start = (first + tokens - scored) * chunk
    const range = [start, start + scored * chunk] as const
    for (let phase = 0; phase < chunk; phase += phases) {
      const whole = { tokens, chunk, phases, first: phase }
      const newest = { ...whole, tokens: scored }
      for (const [name, rows] of Object.entries(perToken)) {
        copyPhases('gather', segment[name]!, rows, whole)
      }
      for (const [name, rows] of Object.entries(perTarget)) {
        const from = (tokens - scored) * chunk * this.#features.widths[name]!
        copyPhases('gather', segment[name]!.subarray(from), rows, newest)
      }
      copyPhases('gather', targets.subarray(...range), mine, newest)
      await program.run({ ...perToken, ...perTarget, mask, targets: mine }, { nats: found })
      copyPhases('scatter', nats.subarray(...range), found, newest)
    }
  }

  async #block(size: Record<'tokens' | 'phases' | 'scored' | 'context', number>): Promise<Program> {
    const key = Object.values(size).join(' ')
    const known = this.#blocks.get(key)
    if (known) return known
    const { nats } = buildBlock(this.#config, size, 'all')
    const program = await this.#engine.compile({ nats }, {}, this.#parameters)
    this.#blocks.set(key, program)
    return program
  }

  async dispose(): Promise<void> {
    await this.#features.dispose()
    for (const program of this.#blocks.values()) await program.dispose()
  }
}
