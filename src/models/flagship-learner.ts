import type { Engine, Program, Values } from '../engine/index.js'
import { sizeOf, sum } from '../graph/index.js'
import type { FlagshipConfig } from './flagship.js'
import { type Cut, copyPhases, part, samplesOf } from './flagship-layout.js'
import { planStep, type StepMemory, type StepPlan } from './flagship-memory.js'
import { buildBlock, type Part, zeros } from './flagship-programs.js'
import { FORECAST_LEAD, FORECAST_WIDTH, Forecaster } from './forecast.js'
import type { Arrays, Learner, Lesson, Score } from './model.js'

function addTo(into: Arrays, grads: Readonly<Record<string, Values>>): void {
  for (const [name, total] of Object.entries(into)) {
    const part = grads[`grad.${name}`]
    if (part) for (let i = 0; i < total.length; i++) total[i]! += part[i]!
  }
}

export interface DenseOptions {
  /** Samples of history of the longest-sighted target. */
  context: number
  part: Part
  /** Value of every code. */
  values: Float32Array
  /** Bytes that a step may take, about; no bound by default. */
  memory?: number
}

/**
 * The dense recipe: every sample of a segment is a target, every weight is used once for each. Memory
 * depends on the cut, not on the context, but for what the stretches hand to the blocks.
 */
export class DenseLearner implements Learner {
  readonly segmentLength: number
  readonly lead: number
  readonly macsPerTarget: number
  readonly memory: StepMemory
  readonly #cut: Cut
  /** Programs, and the arrays that their outputs are written to. */
  readonly #forward: Program
  readonly #block: Program
  readonly #backward: Program
  /** The block without gradients, compiled when it is first asked for. */
  #lossOnly: Program | undefined
  readonly #compileLossOnly: () => Promise<Program>
  readonly #blockOut: Arrays
  readonly #backwardOut: Arrays
  readonly #values: Float32Array
  readonly #gradients: Arrays = {}
  /** Features of the whole segment [segment, width], `z` and `s`; their gradients take their place. */
  readonly #features: Arrays = {}
  /** [segment, FORECAST_WIDTH], if the model has a forecast. */
  readonly #forecast: Float32Array | undefined
  /** What a block is fed of these, and the gradients `d.z` and `d.s` that it gives. */
  readonly #rows: Arrays = {}
  /** What the causal layers remember before each stretch. */
  readonly #starts: Arrays[]
  /** Maps of every stretch; or of one, made again for the backward pass, and `#spare` for the rest. */
  readonly #maps: Arrays[]
  readonly #spare: Arrays | undefined

  static async open(
    engine: Engine,
    config: FlagshipConfig,
    { context, part, values, memory }: DenseOptions,
  ): Promise<DenseLearner> {
    const plan = planStep(config, { context, part, ...(memory !== undefined && { memory }) })
    const { stretch, sizes } = plan
    const { features, next, maps } = stretch
    const programs = [
      await engine.compile({ ...features, ...next, ...maps }),
      await engine.compile(plan.lossAndBack),
      await engine.compile(plan.backward, maps),
    ] as const
    const lossOnly = () => engine.compile({ nats: sum(buildBlock(config, sizes, part).nats) })
    return new DenseLearner(plan, programs, values, config.forecast !== null, lossOnly)
  }

  private constructor(
    { sizes, stretch, block, backward, lossAndBack, keepsMaps, memory }: StepPlan,
    programs: readonly [Program, Program, Program],
    values: Float32Array,
    hasForecast: boolean,
    compileLossOnly: () => Promise<Program>,
  ) {
    const { segment, time, tokens, phases } = sizes
    this.segmentLength = segment
    this.lead = hasForecast ? FORECAST_LEAD : 0
    this.macsPerTarget = stretch.macs / time + block.macs / (tokens * phases)
    this.memory = memory
    this.#cut = sizes
    ;[this.#forward, this.#block, this.#backward] = programs
    this.#blockOut = zeros(lossAndBack)
    this.#backwardOut = zeros(backward)
    this.#values = values
    this.#compileLossOnly = compileLossOnly
    for (const { p } of [stretch, block]) {
      for (const { name, shape } of p.declared.values()) {
        this.#gradients[name] = new Float32Array(sizeOf(shape))
      }
    }
    for (const [name, { shape }] of Object.entries(stretch.features)) {
      const width = shape[1]!
      this.#features[name] = new Float32Array(segment * width)
      for (const key of [name, `d.${name}`]) {
        this.#rows[key] = new Float32Array(tokens * phases * width)
      }
    }
    if (hasForecast) {
      this.#forecast = new Float32Array(segment * FORECAST_WIDTH)
      this.#rows.forecast = new Float32Array(tokens * phases * FORECAST_WIDTH)
    }
    const stretches = segment / time
    this.#starts = Array.from({ length: stretches }, () => zeros(stretch.states))
    this.#maps = Array.from({ length: keepsMaps ? stretches : 1 }, () => zeros(stretch.maps))
    if (!keepsMaps) this.#spare = zeros({ ...stretch.features, ...stretch.next })
  }

  segmentsPerStep(targets: number): number {
    return Math.max(1, Math.round(targets / this.segmentLength))
  }

  async learn(parameters: Arrays, segments: readonly Uint8Array[]): Promise<Lesson> {
    for (const total of Object.values(this.#gradients)) total.fill(0)
    const targets = segments.length * this.segmentLength
    let nats = 0
    for (const codes of segments) {
      const { inputs, wanted } = this.#prepare(codes)
      await this.#runForward(parameters, inputs)
      nats += await this.#runBlocks(parameters, wanted, 1 / targets)
      await this.#runBackward(parameters, inputs)
    }
    return { nats, targets, gradients: this.#gradients }
  }

  async score(parameters: Arrays, segments: readonly Uint8Array[]): Promise<Score> {
    this.#lossOnly ??= await this.#compileLossOnly()
    const program = this.#lossOnly
    let nats = 0
    for (const codes of segments) {
      const { inputs, wanted } = this.#prepare(codes)
      await this.#runForward(parameters, inputs)
      await this.#eachBlock(wanted, async (targets) => {
        nats += (await program.run({ ...parameters, ...this.#rows, targets })).nats![0]!
      })
    }
    return { nats, targets: segments.length * this.segmentLength }
  }

  /** Inputs and targets of a segment; its forecast is made. */
  #prepare(codes: Uint8Array): { inputs: Int32Array; wanted: Int32Array } {
    if (this.#forecast) {
      const forecaster = new Forecaster(this.#values)
      forecaster.run(codes.subarray(0, this.lead))
      forecaster.run(codes.subarray(this.lead, -1), this.#forecast)
    }
    return {
      inputs: Int32Array.from(codes.subarray(this.lead, -1)),
      wanted: Int32Array.from(codes.subarray(this.lead + 1)),
    }
  }

  /** Samples to features, stretch after stretch; every stretch starts where the last one ended. */
  async #runForward(parameters: Arrays, codes: Int32Array): Promise<void> {
    for (const array of Object.values(this.#starts[0]!)) array.fill(0)
    for (const [i, start] of this.#starts.entries()) {
      const into: Arrays = { ...this.#mapsOf(i), ...this.#part(this.#features, i) }
      for (const [name, array] of Object.entries(this.#starts[i + 1] ?? {})) {
        into[name.replace('state.', 'next.')] = array
      }
      await this.#forward.run({ ...parameters, ...start, ...this.#inputs(codes, i) }, into)
    }
  }

  /** Features to loss and back, block after block of phases. Returns the sum of nats. */
  async #runBlocks(parameters: Arrays, wanted: Int32Array, weight: number): Promise<number> {
    let nats = 0
    await this.#eachBlock(wanted, async (targets, where) => {
      const feeds = { ...parameters, ...this.#rows, targets, weight: Float32Array.of(weight) }
      const found = await this.#block.run(feeds, { ...this.#blockOut, ...this.#rows })
      nats += found.nats![0]!
      addTo(this.#gradients, found)
      // no other block reads these rows
      for (const [name, whole] of Object.entries(this.#features)) {
        copyPhases('scatter', whole, this.#rows[`d.${name}`]!, where)
      }
    })
    return nats
  }

  /** Gathers features and targets of one block of phases after the other. */
  async #eachBlock(
    wanted: Int32Array,
    run: (targets: Int32Array, where: Parameters<typeof copyPhases>[3]) => Promise<void>,
  ): Promise<void> {
    const { chunk, tokens, phases } = this.#cut
    const given = { ...this.#features, ...(this.#forecast && { forecast: this.#forecast }) }
    const targets = new Int32Array(tokens * phases)
    for (let first = 0; first < chunk; first += phases) {
      const where = { tokens, chunk, phases, first }
      for (const [name, whole] of Object.entries(given)) {
        copyPhases('gather', whole, this.#rows[name]!, where)
      }
      copyPhases('gather', wanted, targets, where)
      await run(targets, where)
    }
  }

  /** Gradients of features to gradients of parameters, from the last stretch to the first. */
  async #runBackward(parameters: Arrays, codes: Int32Array): Promise<void> {
    const later: Arrays = {}
    for (const [name, { length }] of Object.entries(this.#starts[0]!)) {
      later[name.replace('state.', 'd.next.')] = new Float32Array(length)
    }
    for (let i = this.#starts.length - 1; i >= 0; i--) {
      const given = { ...parameters, ...this.#starts[i]!, ...this.#inputs(codes, i) }
      const maps = this.#mapsOf(i)
      if (this.#spare) await this.#forward.run(given, { ...this.#spare, ...maps })
      const arrive = Object.entries(this.#part(this.#features, i)).map(
        ([name, rows]) => [`d.${name}`, rows] as const,
      )
      const feeds = { ...given, ...maps, ...Object.fromEntries(arrive), ...later }
      const found = await this.#backward.run(feeds, this.#backwardOut)
      addTo(this.#gradients, found)
      for (const [name, array] of Object.entries(later)) {
        array.set(found[name.replace('d.next.', 'd.state.')]!)
      }
    }
  }

  #mapsOf(i: number): Arrays {
    return this.#maps[this.#spare ? 0 : i]!
  }

  /** What belongs to stretch `i` of arrays over the whole segment; views. */
  #part(whole: Arrays, i: number): Arrays {
    const entries = Object.entries(whole).map(
      ([name, array]) => [name, part(array, i, this.#starts.length)] as const,
    )
    return Object.fromEntries(entries)
  }

  /** What stretch `i` is fed of the recording. */
  #inputs(codes: Int32Array, i: number): Record<string, Values> {
    const { time } = this.#cut
    const mine = samplesOf(codes.subarray(i * time, (i + 1) * time), this.#values)
    if (!this.#forecast) return mine
    return { ...mine, ...this.#part({ forecast: this.#forecast }, i) }
  }

  async dispose(): Promise<void> {
    for (const program of [this.#forward, this.#block, this.#backward, this.#lossOnly]) {
      await program?.dispose()
    }
  }
}
