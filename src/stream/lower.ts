/** From a step plan to instructions and places in memory. */
import type { CacheSpec, Every, Instruction, RingSpec, StepPlan } from '../nn/step-plan.js'
import { byFourModes, byInput, paddedTo, wordsByInput } from './blocks.js'
import { PlanError } from './errors.js'
import {
  aligned,
  CACHE_BYTES,
  type CachePlace,
  type CacheType,
  type PackedHeader,
  type PackedModel,
  type Place,
} from './format.js'
import { Constants, floatWord, State, Words } from './memory-plan.js'
import { ATTENTION_TILE, CACHE_HEADER, Flag, LIST_HEADER, Opcode, RING_HEADER } from './opcodes.js'
import type { Ranges, Scheme, Source } from './precision.js'

/** Where a ring lies and what its columns are. */
interface Ring extends RingSpec {
  at: number
  columnBytes: number
  source: Source | undefined
}

/** Where a cache lies. Rows and dims are padded to what the kernels read at once. */
interface Cache extends CacheSpec {
  at: number
  padWindow: number
  padded: number
  rowBytes: number
  phaseBytes: number
  /** int8: numbers times these are stored, and what is stored times these is the number. */
  factors: number
  scales: number
}

export interface Lowering {
  scheme: Scheme
  /** Numbers of the caches. */
  cache: CacheType
  /** Scales of an int8 cache. */
  cacheRanges: Ranges['caches'] | undefined
}

/** Places of a sparse list: room for a whole write of eight behind the last. */
const capacityOf = (n: number) => aligned(n, 8) + 8
const listBytes = (n: number) => LIST_HEADER + 4 * capacityOf(n)

/** Lowers a plan; the header says where the host finds its vectors. */
export function lower(plan: StepPlan, lowering: Lowering): PackedModel {
  return new Lowerer(plan, lowering).run()
}

class Lowerer {
  readonly #constants = new Constants()
  readonly #state = new State()
  readonly #words = new Words()
  readonly #places: Record<string, Place> = {}
  readonly #rings = new Map<string, Ring>()
  readonly #caches = new Map<string, Cache>()
  /** The vector that a part belongs to. */
  readonly #owners = new Map<string, string>()
  /** Integers made of vectors that have not changed since. */
  readonly #integers = new Map<string, number>()
  /** Counters of samples, by period. */
  readonly #counters = new Map<number, number>()

  constructor(
    readonly plan: StepPlan,
    readonly lowering: Lowering,
  ) {}

  run(): PackedModel {
    const { plan } = this
    this.#placeVectors()
    for (const ring of plan.rings) this.#rings.set(ring.name, this.#placeRing(ring))
    for (const cache of plan.caches) this.#caches.set(cache.name, this.#placeCache(cache))
    for (let i = 0; i < plan.instructions.length; ) i = this.#block(i)
    for (const [period, counter] of this.#counters) this.#words.add(Opcode.Count, counter, period)
    this.#words.add(Opcode.End)
    const program = this.#constants.add(this.#words.build())
    const constants = this.#constants.bytes()
    const header: PackedHeader = {
      precision: this.lowering.scheme.products.size > 0 ? 'int8' : 'f32',
      cache: this.lowering.cache,
      program,
      state: aligned(this.#constants.end),
      stateBytes: this.#state.bytes,
      inputs: [...plan.inputs],
      output: plan.output,
      vectors: this.#places,
      caches: this.#cachePlaces(),
    }
    return { header, constants }
  }

  /** What the host needs to write rows itself. */
  #cachePlaces(): Record<string, CachePlace> {
    const type = this.lowering.cache
    const places = [...this.#caches].map(([name, cache]) => {
      const { at, phases, window, groups, width, padded, rowBytes, phaseBytes, factors } = cache
      const sizes = { phases, window, groups, width, padded, rowBytes, phaseBytes }
      return [name, { at, type, ...sizes, factors }] as const
    })
    return Object.fromEntries(places)
  }

  // ------------------------------------------------------------------------------ places

  #placeVectors(): void {
    for (const { name, size, type, part } of this.plan.vectors) {
      const at = part ? this.#place(part.of).at + 4 * part.at : this.#state.add(4 * size)
      this.#places[name] = { at, size, type }
      this.#owners.set(name, part?.of ?? name)
    }
  }

  #placeRing(ring: RingSpec): Ring {
    const source = this.lowering.scheme.sources.get(ring.name)
    const { channels, length } = ring
    const sparse = listBytes(channels)
    const columnBytes = !source ? 4 * channels : source.sparse ? sparse : 2 * aligned(channels, 2)
    const at = this.#state.add(RING_HEADER + length * columnBytes)
    return { ...ring, at, columnBytes, source }
  }

  #placeCache(cache: CacheSpec): Cache {
    const { name, phases, window, groups, width } = cache
    const padWindow = aligned(window, 8)
    const padded = aligned(width, 16)
    const ranges = this.lowering.cacheRanges?.[name]
    const rowBytes = groups * padded * CACHE_BYTES[this.lowering.cache]
    const phaseBytes = padWindow * rowBytes
    const at = this.#state.add(CACHE_HEADER + phases * phaseBytes)
    const scales = new Float32Array(groups * padded)
    for (let i = 0; ranges && i < groups * width; i++) {
      scales[Math.floor(i / width) * padded + (i % width)] = (CLIP * ranges[i]! || 1) / 127
    }
    const factors = scales.map((scale) => (scale > 0 ? 1 / scale : 0))
    return {
      ...cache,
      ...{ at, padWindow, padded, rowBytes, phaseBytes },
      factors: ranges ? this.#constants.add(factors) : 0,
      scales: ranges ? this.#constants.add(scales) : 0,
    }
  }

  #place(vector: string): Place {
    return this.#places[vector] ?? unknown('vector', vector)
  }

  #at(vector: string): number {
    return this.#place(vector).at
  }

  #ring(name: string): Ring {
    return this.#rings.get(name) ?? unknown('ring', name)
  }

  #cache(name: string): Cache {
    return this.#caches.get(name) ?? unknown('cache', name)
  }

  #weight(name: string): Float32Array {
    return (this.plan.weights[name] ?? unknown('weight', name)).data
  }

  /** Integers of a vector that is written again are no longer true. */
  #forget(output: string): void {
    const owner = this.#owners.get(output)
    if (owner === undefined) return
    for (const name of this.#integers.keys()) {
      if (this.#owners.get(name) === owner) this.#integers.delete(name)
    }
  }

  // ------------------------------------------------------------------------ instructions

  /** The instructions from `first` on that run at the same samples. Returns the index behind them. */
  #block(first: number): number {
    const { instructions } = this.plan
    const { every } = instructions[first]!
    const before = new Map(this.#integers)
    const skip = every && this.#skip(every)
    let i = first
    for (; i < instructions.length && isSame(instructions[i]!.every, every); i++) {
      this.#instruction(instructions[i]!)
      for (const name of instructions[i]!.outputs) this.#forget(name)
    }
    if (skip !== undefined) {
      this.#words.set(skip, 4 * (this.#words.length - skip - 1))
      // integers made here are not made at every sample
      for (const [name, at] of this.#integers) {
        if (before.get(name) !== at) this.#integers.delete(name)
      }
    }
    return i
  }

  /** Skips a block at other samples. Returns the place of the word for its bytes. */
  #skip({ period, phase }: Every): number {
    if (!(Number.isInteger(period) && Number.isInteger(phase) && 0 <= phase && phase < period)) {
      throw new PlanError({
        fact: 'The step plan has an instruction that never runs.',
        expected: 'a whole period, and a phase from 0 to below it',
        got: `period ${period}, phase ${phase}`,
      })
    }
    const counter = this.#counters.get(period) ?? this.#state.add(4)
    this.#counters.set(period, counter)
    this.#words.add(Opcode.Skip, counter, phase, 0)
    return this.#words.length - 1
  }

  #instruction(instruction: Instruction): void {
    const { kernel, inputs, outputs, weights, numbers } = instruction
    const [a, b] = inputs
    const y = outputs[0]!
    const w = (i: number) => this.#constants.add(this.#weight(weights[i]!))
    const words = this.#words
    switch (kernel) {
      case 'embed':
        words.add(Opcode.Embed, this.#at(a!), w(0), this.#place(y).size, this.#at(y))
        break
      case 'affine':
        this.#product(instruction, this.#place(a!).size, (source) =>
          source ? this.#quantised(a!, source) : this.#at(a!),
        )
        break
      case 'convolve': {
        const ring = this.#ring(a!)
        const taps = this.plan.weights[weights[0]!]!.shape[1]!
        this.#product(instruction, taps * ring.channels, () =>
          this.#gathered(ring, taps, numbers.dilation!),
        )
        break
      }
      case 'push':
        this.#push(a!, this.#ring(y))
        break
      case 'normalise': {
        const { size } = this.#place(y)
        const epsilon = floatWord(numbers.epsilon!)
        words.add(Opcode.Normalise, this.#at(a!), w(0), w(1), size, epsilon, this.#at(y))
        break
      }
      case 'gate':
        words.add(Opcode.Gate, this.#at(a!), this.#place(y).size, this.#at(y))
        break
      case 'glu':
        words.add(Opcode.Glu, this.#at(a!), this.#place(y).size, this.#at(y))
        break
      case 'gelu':
        words.add(Opcode.Gelu, this.#at(a!), this.#place(y).size, this.#at(y))
        break
      case 'oscillate':
        this.#oscillate(instruction)
        break
      case 'add':
        words.add(Opcode.Add, this.#at(a!), this.#at(b!), this.#place(y).size, this.#at(y))
        break
      case 'copy':
        words.add(Opcode.Copy, this.#at(a!), this.#place(y).size, this.#at(y))
        break
      case 'relu':
        words.add(Opcode.Relu, this.#at(a!), this.#place(y).size, this.#at(y))
        break
      case 'remember':
        this.#remember(a!, this.#cache(y))
        break
      case 'attend':
        this.#attend(instruction)
        break
      case 'curves':
        this.#curves(instruction)
        break
    }
  }

  /** W x + b, where `input` gives the address of x as the precision wants it. */
  #product(
    instruction: Instruction,
    inputs: number,
    input: (source: Source | undefined) => number,
  ): void {
    const { outputs, weights, numbers } = instruction
    const y = this.#place(outputs[0]!)
    const flags = (numbers.add ? Flag.Add : 0) | (numbers.relu ? Flag.Relu : 0)
    const bias = this.#constants.add(paddedTo(this.#weight(weights[1]!), y.size))
    const data = this.#weight(weights[0]!)
    if (data.length !== inputs * y.size) {
      throw new PlanError({
        fact: `The weights ${weights[0]} do not fit their input and output.`,
        expected: `${y.size} x ${inputs} numbers`,
        got: `${data.length}`,
      })
    }
    const int8 = this.lowering.scheme.products.get(instruction)
    if (!int8) {
      const w = this.#constants.add(byInput(data, y.size, inputs))
      this.#words.add(Opcode.MatvecF32, w, bias, input(undefined), inputs, y.size, y.at, flags)
      return
    }
    const source = this.lowering.scheme.sources.get(instruction.inputs[0]!)!
    const x = input(source)
    const scales = int8.scales.map((scale) => scale / source.factor)
    const parts = [this.#constants.add(paddedTo(scales, y.size)), bias, x, inputs, y.size, y.at]
    if (source.sparse) {
      if (inputs > 0xffff) {
        throw new PlanError({
          fact: `The product with ${weights[0]} has more inputs than a list can count.`,
          expected: 'at most 65535',
          got: `${inputs}`,
        })
      }
      const w = this.#constants.add(wordsByInput(int8.w, y.size, inputs))
      this.#words.add(Opcode.MatvecInt8Sparse, w, ...parts, flags, capacityOf(inputs))
    } else {
      const w = this.#constants.add(wordsByInput(int8.w, y.size, inputs, 2))
      this.#words.add(Opcode.MatvecInt8, w, ...parts, flags)
    }
  }

  /** The integers of a vector, made once after each change. */
  #quantised(name: string, { factor, limit, sparse }: Source): number {
    const known = this.#integers.get(name)
    if (known !== undefined) return known
    const { at, size } = this.#place(name)
    const y = this.#state.add(sparse ? listBytes(size) : 2 * aligned(size, 2))
    const common = [at, size, floatWord(factor), limit, y]
    if (sparse) this.#words.add(Opcode.QuantiseSparse, ...common, capacityOf(size))
    else this.#words.add(Opcode.QuantiseDense, ...common)
    this.#integers.set(name, y)
    return y
  }

  #push(x: string, { at, length, columnBytes, channels, source }: Ring): void {
    const ring = [at, length, columnBytes, this.#at(x)]
    if (!source) {
      this.#words.add(Opcode.PushF32, ...ring)
      return
    }
    const { factor, limit, sparse } = source
    const rest = [channels, floatWord(factor), limit]
    if (sparse) this.#words.add(Opcode.PushSparse, ...ring, ...rest, capacityOf(channels))
    else this.#words.add(Opcode.PushDense, ...ring, ...rest)
  }

  /** The taps of a convolution one after the other. */
  #gathered(ring: Ring, taps: number, dilation: number): number {
    const { at, length, columnBytes, channels, source } = ring
    if (length < (taps - 1) * dilation + 1) {
      throw new PlanError({
        fact: `The ring ${ring.name} is shorter than its convolution reaches.`,
        expected: `${(taps - 1) * dilation + 1} columns`,
        got: `${length}`,
      })
    }
    if (source?.sparse) {
      const y = this.#state.add(listBytes(taps * channels))
      const [one, all] = [capacityOf(channels), capacityOf(taps * channels)]
      const head = [at, length, columnBytes, channels, taps, dilation]
      this.#words.add(Opcode.GatherSparse, ...head, one, y, all)
      return y
    }
    const tapBytes = channels * (source ? 2 : 4)
    const y = this.#state.add(aligned(taps * tapBytes, 4))
    this.#words.add(Opcode.Gather, at, length, columnBytes, tapBytes, taps, dilation, y)
    return y
  }

  #remember(x: string, cache: Cache): void {
    const { at, phases, phaseBytes, rowBytes, window, groups, width, padded, factors } = cache
    const words = [at, phases, phaseBytes, rowBytes, window, this.#at(x), groups, width, padded]
    const { cache: type } = this.lowering
    if (type === 'int8') this.#words.add(Opcode.RememberInt8, ...words, factors)
    else this.#words.add(type === 'f16' ? Opcode.RememberF16 : Opcode.RememberF32, ...words)
  }

  #attend({ inputs, outputs, weights, numbers }: Instruction): void {
    const [keys, values] = [this.#cache(inputs[1]!), this.#cache(inputs[2]!)]
    const { phaseBytes, rowBytes, window, padWindow, groups, width, padded } = keys
    const all = groups * numbers.heads!
    // kept twice and backwards, so that the scores of any slot order find theirs in one stretch
    const byDistance = this.#weight(weights[0]!)
    const bias = new Float32Array(all * 2 * padWindow)
    for (let h = 0; h < all; h++) {
      for (let i = 0; i < 2 * window; i++) {
        const distance = (2 * window - 1 - i) % window
        bias[h * 2 * padWindow + i] = byDistance[h * window + distance]!
      }
    }
    const { cache: type } = this.lowering
    const tile = type === 'f16' ? Math.min(ATTENTION_TILE, padWindow) * groups * padded : 0
    const scratch = this.#state.add(4 * (all * (2 * padded + padWindow) + tile))
    this.#words.add(
      ATTEND[type],
      ...[keys.at, values.at, phaseBytes, rowBytes, window, padWindow],
      ...[groups, numbers.heads!, width, padded],
      ...[this.#at(inputs[0]!), this.#constants.add(bias), scratch, this.#at(outputs[0]!)],
      ...[keys.scales, values.scales],
    )
  }

  #oscillate({ inputs, outputs, weights }: Instruction): void {
    const y = this.#place(outputs[0]!)
    const modes = byFourModes(this.#weight(weights[0]!), y.size)
    const state = this.#place(inputs[1]!)
    if (modes.length !== 2 * state.size) {
      throw new PlanError({
        fact: `The state ${inputs[1]} does not fit its modes.`,
        expected: `${modes.length / 2} numbers`,
        got: `${state.size}`,
      })
    }
    this.#words.add(
      Opcode.Oscillate,
      ...[this.#at(inputs[0]!), state.at, this.#constants.add(modes)],
      ...[this.#constants.add(this.#weight(weights[1]!)), y.size, modes.length / y.size / 16, y.at],
    )
  }

  #curves({ inputs, outputs, weights }: Instruction): void {
    const y = this.#place(outputs[0]!)
    const inner = this.#weight(weights[1]!)
    if (inner.length !== y.size - 1 || y.size % 4 !== 0) {
      throw new PlanError({
        fact: `Curves need the edges between levels, and levels in fours.`,
        expected: `${y.size - 1} edges`,
        got: `${inner.length}`,
      })
    }
    const edges = Float32Array.of(-FAR, ...inner, FAR)
    const gaps = Float32Array.from({ length: y.size }, (_, i) => edges[i + 1]! - edges[i]!)
    const numbers = this.#place(inputs[1]!)
    this.#words.add(
      Opcode.Curves,
      ...[this.#at(inputs[0]!), numbers.at, numbers.size / 3],
      this.#constants.add(this.#weight(weights[0]!)),
      ...[this.#constants.add(edges), this.#constants.add(gaps), y.size, y.at],
      this.#state.add(4 * y.size),
    )
  }
}

const isSame = (a: Every | undefined, b: Every | undefined) =>
  a?.period === b?.period && a?.phase === b?.phase

const ATTEND = {
  f32: Opcode.AttendF32,
  f16: Opcode.AttendF16,
  int8: Opcode.AttendInt8,
} as const

/** An int8 cache holds this much more than calibration saw, and bounds what is larger. */
const CLIP = 1.1
/** Where the outermost levels end. */
const FAR = 1e6

function unknown(what: string, name: string): never {
  throw new PlanError({
    fact: `The step plan uses a ${what} that it does not declare.`,
    expected: `a ${what} of the plan`,
    got: name,
  })
}
