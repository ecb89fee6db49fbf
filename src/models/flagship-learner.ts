import type { Engine, Program, Values } from '../engine/index.js'
import { sizeOf, sum } from '../graph/index.js'
import type { FlagshipConfig } from './flagship.js'
import { copyPhases, cut, part, samplesOf } from './flagship-layout.js'
import {
  type Block,
  buildBlock,
  buildStretch,
  differentiateBlock,
  differentiateStretch,
  type Part,
  type Stretch,
  zeros,
} from './flagship-programs.js'
import { FORECAST_LEAD, FORECAST_WIDTH, Forecaster } from './forecast.js'
import type { Arrays, Learner, Lesson, Score } from './model.js'

function addTo(into: Arrays, grads: Readonly<Record<string, Values>>): void {
  for (const [name, total] of Object.entries(into)) {
    const part = grads[`grad.${name}`]
    if (part) for (let i = 0; i < total.length; i++) total[i]! += part[i]!
  }
}

/** The dense recipe: every sample of a segment is a target, every weight is used once for each. */
export class DenseLearner implements Learner {
  readonly segmentLength: number
  readonly lead: number
  readonly macsPerTarget: number
  readonly #cut: ReturnType<typeof cut>
  /** Programs, and the arrays that their outputs are written to. */
  readonly #forward: Program
  readonly #block: Program
  readonly #backward: Program
  /** The block without gradients, compiled when it is first asked for. */
  #lossOnly: Program | undefined
  readonly #compileLossOnly: () => Promise<Program>
  readonly #blockOut: Arrays
  readonly #backwardOut: Arrays
  /** Value of every code. */
  readonly #values: Float32Array
  readonly #gradients: Arrays = {}
  /**
   * Features of the whole segment [segment, width] and their gradients, as `z`, `s`, `d.z`, `d.s`; and
   * its `forecast`, if the model has one.
   */
  readonly #segment: Arrays = {}
  /** The same of one block. */
  readonly #rows: Arrays = {}
  /** Per stretch: the maps and the states before it, that its backward program needs. */
  readonly #kept: Arrays[] = []

  static async open(
    engine: Engine,
    config: FlagshipConfig,
    { context, part, values }: { context: number; part: Part; values: Float32Array },
  ): Promise<DenseLearner> {
    const sizes = cut(config, context)
    const stretch = buildStretch(config, sizes.time, part)
    const block = buildBlock(config, sizes, part)
    const backward = differentiateStretch(stretch)
    const lossAndBack = differentiateBlock(block)
    const { features, next, maps } = stretch
    const programs = [
      await engine.compile({ ...features, ...next, ...maps }),
      await engine.compile(lossAndBack),
      await engine.compile(backward, maps),
    ] as const
    const arrays = [zeros(lossAndBack), zeros(backward)] as const
    const widths = config.forecast ? { forecast: FORECAST_WIDTH } : {}
    const lossOnly = () => engine.compile({ nats: sum(buildBlock(config, sizes, part).nats) })
    return new DenseLearner(sizes, stretch, block, programs, arrays, values, widths, lossOnly)
  }

  private constructor(
    sizes: ReturnType<typeof cut>,
    stretch: Stretch,
    block: Block,
    programs: readonly [Program, Program, Program],
    outputs: readonly [Arrays, Arrays],
    values: Float32Array,
    given: Readonly<Record<string, number>>,
    compileLossOnly: () => Promise<Program>,
  ) {
    const { segment, time, tokens, phases } = sizes
    this.segmentLength = segment
    this.lead = given.forecast ? FORECAST_LEAD : 0
    this.macsPerTarget = stretch.macs / time + block.macs / (tokens * phases)
    this.#cut = sizes
    ;[this.#forward, this.#block, this.#backward] = programs
    ;[this.#blockOut, this.#backwardOut] = outputs
    this.#values = values
    this.#compileLossOnly = compileLossOnly
    for (const { p } of [stretch, block]) {
      for (const { name, shape } of p.declared.values()) {
        this.#gradients[name] = new Float32Array(sizeOf(shape))
      }
    }
    for (const [name, tensor] of Object.entries(stretch.features)) {
      const width = tensor.shape[1]!
      for (const key of [name, `d.${name}`]) {
        this.#segment[key] = new Float32Array(segment * width)
        this.#rows[key] = new Float32Array(tokens * phases * width)
      }
    }
    for (const [name, width] of Object.entries(given)) {
      this.#segment[name] = new Float32Array(segment * width)
      this.#rows[name] = new Float32Array(tokens * phases * width)
    }
    for (let i = 0; i < segment / time; i++) {
      this.#kept.push({ ...zeros(stretch.maps), ...zeros(stretch.states) })
    }
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
    this.#runForecast(codes)
    return {
      inputs: Int32Array.from(codes.subarray(this.lead, -1)),
      wanted: Int32Array.from(codes.subarray(this.lead + 1)),
    }
  }

  #runForecast(codes: Uint8Array): void {
    if (!this.#segment.forecast) return
    const forecaster = new Forecaster(this.#values)
    forecaster.run(codes.subarray(0, this.lead))
    forecaster.run(codes.subarray(this.lead, -1), this.#segment.forecast)
  }

  /** Samples to features, stretch after stretch; every stretch starts where the last one ended. */
  async #runForward(parameters: Arrays, codes: Int32Array): Promise<void> {
    const count = this.#kept.length
    for (const [i, kept] of this.#kept.entries()) {
      const into: Arrays = { ...kept }
      for (const name of ['z', 's']) {
        if (this.#segment[name]) into[name] = part(this.#segment[name], i, count)
      }
      for (const name of Object.keys(kept)) {
        if (!name.startsWith('state.')) continue
        if (i === 0) kept[name]!.fill(0)
        const after = this.#kept[i + 1]?.[name]
        if (after) into[name.replace('state.', 'next.')] = after
      }
      await this.#forward.run({ ...parameters, ...kept, ...this.#inputs(codes, i) }, into)
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
      for (const name of Object.keys(this.#segment)) {
        if (!name.startsWith('d.')) continue
        copyPhases('scatter', this.#segment[name]!, this.#rows[name]!, where)
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
    const features = Object.keys(this.#segment).filter((name) => !name.startsWith('d.'))
    const targets = new Int32Array(tokens * phases)
    for (let first = 0; first < chunk; first += phases) {
      const where = { tokens, chunk, phases, first }
      for (const name of features) {
        copyPhases('gather', this.#segment[name]!, this.#rows[name]!, where)
      }
      copyPhases('gather', wanted, targets, where)
      await run(targets, where)
    }
  }

  /** Gradients of features to gradients of parameters, from the last stretch to the first. */
  async #runBackward(parameters: Arrays, codes: Int32Array): Promise<void> {
    const count = this.#kept.length
    const later: Arrays = {}
    for (let i = count - 1; i >= 0; i--) {
      const kept = this.#kept[i]!
      const feeds: Record<string, Values> = {
        ...parameters,
        ...kept,
        ...this.#inputs(codes, i),
      }
      for (const name of ['d.z', 'd.s']) {
        if (this.#segment[name]) feeds[name] = part(this.#segment[name], i, count)
      }
      for (const name of Object.keys(kept)) {
        if (!name.startsWith('state.')) continue
        const key = name.replace('state.', '')
        feeds[`d.next.${key}`] = later[key] ??= new Float32Array(kept[name]!.length)
        if (i === count - 1) later[key].fill(0)
      }
      const found = await this.#backward.run(feeds, this.#backwardOut)
      addTo(this.#gradients, found)
      for (const [key, array] of Object.entries(later)) array.set(found[`d.state.${key}`]!)
    }
  }

  /** What stretch `i` is fed of the recording. */
  #inputs(codes: Int32Array, i: number): Record<string, Values> {
    const { time } = this.#cut
    const { forecast } = this.#segment
    return {
      ...samplesOf(codes.subarray(i * time, (i + 1) * time), this.#values),
      ...(forecast && { forecast: part(forecast, i, this.#kept.length) }),
    }
  }

  async dispose(): Promise<void> {
    for (const program of [this.#forward, this.#block, this.#backward, this.#lossOnly]) {
      await program?.dispose()
    }
  }
}
