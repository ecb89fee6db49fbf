import { Random } from '../base/random.js'
import type { Engine, Program } from '../engine/index.js'
import {
  countMacs,
  crossEntropy,
  Graph,
  gradients,
  input,
  mul,
  peakBytes,
  reshape,
  sizeOf,
  sum,
  type Tensor,
} from '../graph/index.js'
import { Parameters } from '../nn/parameters.js'
import { encodeChunks, type FlagshipConfig, head, windowTransformer } from './flagship.js'
import { zeros } from './flagship-programs.js'
import type { Arrays, Learner, Lesson, Score, Stage } from './model.js'

/** Masks draw 8 bits an element: probabilities are rounded to 256ths. */
const DRAWS = 256

interface Mask {
  name: string
  tensor: Tensor
  /** Elements dropped, in 256ths. */
  dropped: number
}

/** The graph of one window: chunks in, nats of the sample that follows and all gradients out. */
function buildWindow(config: FlagshipConfig, tokens: number) {
  const graph = new Graph()
  const p = new Parameters(graph)
  const masks: Mask[] = []
  const dropout = (x: Tensor, where: keyof FlagshipConfig['dropout']) => {
    const dropped = Math.round(config.dropout[where] * DRAWS)
    if (dropped === 0) return x
    const name = `mask.${masks.length}`
    // whole tokens fall out together
    const shape = where === 'token' ? x.shape.with(-1, 1) : x.shape
    const tensor = input(graph, name, shape)
    masks.push({ name, tensor, dropped })
    return mul(x, tensor)
  }

  const chunks = input(graph, 'chunks', [tokens, 1, config.chunk])
  const latents = encodeChunks(p, config, chunks, dropout) // [tokens, width]
  const z = reshape(latents, [1, tokens, config.width])
  const h = windowTransformer(p, config, z, input(graph, 'mask', [1, tokens]), dropout)
  const logits = head(p, config, { h }, dropout) // [1, levels]
  const nats = sum(crossEntropy(logits, input(graph, 'targets', [1], 'int32')))

  const names = [...p.tensors.keys()]
  const found = gradients([mul(nats, input(graph, 'weight', [1]))], [...p.tensors.values()])
  const grads = Object.fromEntries(names.map((name, i) => [`grad.${name}`, found[i]!]))
  return { p, masks, outputs: { nats, ...grads }, macs: countMacs([nats]) }
}

/** How a window is computed, for a person, and about what memory it takes, in bytes. */
export function planWindow(config: FlagshipConfig, { context }: Stage) {
  const tokens = Math.max(1, Math.floor(context / config.chunk))
  const { outputs } = buildWindow(config, tokens)
  const text = `one window of ${tokens} chunks of ${config.chunk} at a time`
  return { text, memory: peakBytes(Object.values(outputs)) }
}

/**
 * The paper's recipe: one target for every window of `tokens` chunks, each chunk encoded on its own.
 * Thousands of times dearer than the dense recipe, and kept as the yardstick that it is.
 */
export class WindowLearner implements Learner {
  readonly segmentLength: number
  readonly lead = 0
  readonly macsPerTarget: number
  readonly #program: Program
  readonly #masks: readonly Mask[]
  readonly #values: Float32Array
  readonly #gradients: Arrays
  readonly #outputs: Arrays
  readonly #drawn: Arrays
  /** Masks that drop nothing. */
  readonly #whole: Arrays
  /** The window without gradients, compiled when it is first asked for. */
  #lossOnly: Program | undefined
  readonly #compileLossOnly: () => Promise<Program>

  static async open(
    engine: Engine,
    config: FlagshipConfig,
    context: number,
    values: Float32Array,
  ): Promise<WindowLearner> {
    const tokens = Math.max(1, Math.floor(context / config.chunk))
    const window = buildWindow(config, tokens)
    const program = await engine.compile(window.outputs)
    const { nats } = window.outputs
    return new WindowLearner(program, window, tokens * config.chunk, values, () =>
      engine.compile({ nats }),
    )
  }

  private constructor(
    program: Program,
    { p, masks, outputs, macs }: ReturnType<typeof buildWindow>,
    segmentLength: number,
    values: Float32Array,
    compileLossOnly: () => Promise<Program>,
  ) {
    this.#compileLossOnly = compileLossOnly
    this.#program = program
    this.#masks = masks
    this.#values = values
    this.segmentLength = segmentLength
    this.macsPerTarget = macs
    this.#outputs = zeros(outputs)
    this.#gradients = zeros(Object.fromEntries(p.tensors))
    const drawn = Object.fromEntries(masks.map(({ name, tensor }) => [name, tensor]))
    this.#drawn = zeros(drawn)
    this.#whole = zeros(drawn)
    for (const ones of Object.values(this.#whole)) ones.fill(1)
  }

  segmentsPerStep(targets: number): number {
    return Math.max(1, Math.round(targets))
  }

  async learn(parameters: Arrays, segments: readonly Uint8Array[], seed: number): Promise<Lesson> {
    for (const sum of Object.values(this.#gradients)) sum.fill(0)
    const random = new Random(seed)
    const weight = Float32Array.of(1 / segments.length)
    let nats = 0
    for (const codes of segments) {
      this.#draw(random)
      const feeds = { ...parameters, ...this.#drawn, ...this.#inputs(codes), weight }
      const found = await this.#program.run(feeds, this.#outputs)
      nats += found.nats![0]!
      for (const [name, sum] of Object.entries(this.#gradients)) {
        const part = found[`grad.${name}`]!
        for (let i = 0; i < sum.length; i++) sum[i]! += part[i]!
      }
    }
    return { nats, targets: segments.length, gradients: this.#gradients }
  }

  async score(parameters: Arrays, segments: readonly Uint8Array[]): Promise<Score> {
    this.#lossOnly ??= await this.#compileLossOnly()
    const program = this.#lossOnly
    let nats = 0
    for (const codes of segments) {
      const found = await program.run({ ...parameters, ...this.#whole, ...this.#inputs(codes) })
      nats += found.nats![0]!
    }
    return { nats, targets: segments.length }
  }

  #inputs(codes: Uint8Array) {
    return {
      chunks: Float32Array.from(codes.subarray(0, -1), (code) => this.#values[code]!),
      targets: Int32Array.of(codes.at(-1)!),
      mask: new Float32Array(this.#program.inputs.get('mask')!.shape[1]!),
    }
  }

  #draw(random: Random): void {
    for (const { name, tensor, dropped } of this.#masks) {
      const mask = this.#drawn[name]!
      const kept = DRAWS / (DRAWS - dropped)
      let bits = 0
      for (let i = 0; i < sizeOf(tensor.shape); i++) {
        if (i % 4 === 0) bits = random.uint32()
        mask[i] = (bits & 0xff) < dropped ? 0 : kept
        bits >>>= 8
      }
    }
  }

  async dispose(): Promise<void> {
    await this.#program.dispose()
    await this.#lossOnly?.dispose()
  }
}
