import type { Engine, Program, Values } from '../engine/index.js'
import { Graph, sizeOf } from '../graph/index.js'
import type { FloatTensors } from '../models/checkpoint.js'
import type { Arrays, ParameterSpec } from '../models/model.js'
import { type AdamWConstants, type AdamWScalars, adamW, corrections } from '../nn/index.js'

/** Everything that an update changes. */
interface Held {
  p: Arrays
  m: Arrays
  v: Arrays
  /** Moving averages of the parameters, if they are kept. */
  a: Arrays | undefined
}

/** Parameters with their AdamW moments: owns the arrays and the compiled updates. */
export class Optimiser {
  readonly #engine: Engine
  readonly #specs: readonly ParameterSpec[]
  readonly #constants: AdamWConstants
  /** Factors of the rate, by the beginning of names. */
  readonly #factors: Readonly<Record<string, number>>
  /** One program for each set of parameters that a stage trains. */
  readonly #programs = new Map<string, Program>()
  #held: Held
  /** What the next update writes into, then changes places with the above. */
  #spare: Held
  /** Updates that each parameter has had: one that joins late starts with fresh moments. */
  #updates: Record<string, number>

  constructor(
    engine: Engine,
    specs: readonly ParameterSpec[],
    constants: AdamWConstants,
    average: boolean,
    factors: Readonly<Record<string, number>> = {},
  ) {
    const zeros = () =>
      Object.fromEntries(specs.map(({ name, shape }) => [name, new Float32Array(sizeOf(shape))]))
    const held = (): Held => {
      return { p: zeros(), m: zeros(), v: zeros(), a: average ? zeros() : undefined }
    }
    this.#engine = engine
    this.#specs = specs
    this.#constants = constants
    this.#factors = factors
    this.#held = held()
    this.#spare = held()
    this.#updates = Object.fromEntries(specs.map(({ name }) => [name, 0]))
  }

  /** Starts from these parameters. */
  begin(parameters: Arrays): void {
    for (const { name } of this.#specs) {
      this.#held.p[name]!.set(parameters[name]!)
      this.#held.a?.[name]?.set(parameters[name]!)
    }
  }

  /** What the next step trains. */
  get parameters(): Arrays {
    return this.#held.p
  }

  /** What is evaluated and handed on: the moving averages, if they are kept. */
  get weights(): Arrays {
    return this.#held.a ?? this.#held.p
  }

  /**
   * Takes one step for the parameters that have a gradient; the others stay as they are.
   *
   * @returns the norm of the gradient; where it is not finite, nothing has changed
   */
  async update(gradients: Arrays, scalars: AdamWScalars): Promise<number> {
    const trained = this.#specs.filter(({ name }) => gradients[name] !== undefined)
    const program = await this.#compiled(trained)
    const counts = trained.map(({ name }) => this.#updates[name]! + 1)
    const both = counts.map((count) => corrections(count, this.#constants))
    const feeds: Record<string, Values> = {
      rates: Float32Array.from(trained, ({ name }) => scalars.rate * this.#factorOf(name)),
      decay: Float32Array.of(scalars.decay),
      // Infinity divided by itself would be NaN
      clip: Float32Array.of(Math.min(scalars.clip, 3e38)),
      average: Float32Array.of(scalars.average),
      correction1: Float32Array.from(both, ([first]) => first),
      correction2: Float32Array.from(both, ([, second]) => second),
    }
    const into: Record<string, Values> = {}
    for (const { name } of trained) {
      feeds[`g.${name}`] = gradients[name]!
      for (const [kind, arrays] of kinds(this.#held)) feeds[`${kind}.${name}`] = arrays[name]!
      for (const [kind, arrays] of kinds(this.#spare)) into[`next.${kind}.${name}`] = arrays[name]!
    }
    const norm = (await program.run(feeds, into)).norm![0]!
    if (!Number.isFinite(norm)) return norm
    for (const [i, { name }] of trained.entries()) {
      this.#updates[name] = counts[i]!
      for (const [kind, held] of kinds(this.#held)) {
        const spare = this.#spare[kind]!
        const old = held[name]!
        held[name] = spare[name]!
        spare[name] = old
      }
    }
    return norm
  }

  #factorOf(name: string): number {
    return Object.entries(this.#factors).find(([prefix]) => name.startsWith(prefix))?.[1] ?? 1
  }

  /** The tensors of a checkpoint: the weights to use, and what only training needs. */
  save(): { model: FloatTensors; optim: FloatTensors; updates: Record<string, number> } {
    const model = this.#tensors(this.weights, '')
    const optim = { ...this.#tensors(this.#held.m, 'm.'), ...this.#tensors(this.#held.v, 'v.') }
    if (this.#held.a) Object.assign(optim, this.#tensors(this.#held.p, 'p.'))
    return { model, optim, updates: { ...this.#updates } }
  }

  /** Goes on from what `save` gave; the tensors must fit (see `fitTensors`). */
  restore(model: FloatTensors, optim: FloatTensors, updates: Record<string, number>): void {
    for (const { name } of this.#specs) {
      const held = this.#held
      held.m[name]!.set(optim[`m.${name}`]!.data)
      held.v[name]!.set(optim[`v.${name}`]!.data)
      held.p[name]!.set((held.a ? optim[`p.${name}`] : model[name])!.data)
      if (held.a) held.a[name]!.set(model[name]!.data)
    }
    this.#updates = { ...updates }
  }

  /** Names and shapes of the tensors that `save` puts in `optim`. */
  get optimSpecs(): ParameterSpec[] {
    const kinds = this.#held.a ? ['m', 'v', 'p'] : ['m', 'v']
    return kinds.flatMap((kind) =>
      this.#specs.map(({ name, shape }) => ({ name: `${kind}.${name}`, shape })),
    )
  }

  #tensors(arrays: Arrays, prefix: string): FloatTensors {
    const entries = this.#specs.map(
      ({ name, shape }) => [prefix + name, { shape, data: arrays[name]! }] as const,
    )
    return Object.fromEntries(entries)
  }

  async #compiled(trained: readonly ParameterSpec[]): Promise<Program> {
    const key = trained.map(({ name }) => name).join('\n')
    const known = this.#programs.get(key)
    if (known) return known
    const average = this.#held.a !== undefined
    const outputs = adamW(new Graph(), trained, this.#constants, { average })
    const program = await this.#engine.compile(outputs)
    this.#programs.set(key, program)
    return program
  }

  async dispose(): Promise<void> {
    for (const program of this.#programs.values()) await program.dispose()
    this.#programs.clear()
  }
}

function kinds(held: Held): [kind: keyof Held, arrays: Arrays][] {
  const { p, m, v, a } = held
  return [['p', p], ['m', m], ['v', v], ...(a ? [['a', a] as ['a', Arrays]] : [])]
}
