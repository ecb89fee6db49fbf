/** From a step plan to instructions and places in memory. */
import type { Every, Instruction, StepPlan } from '../nn/step-plan.js'
import { byFourModes, byInput, type Int8Weights, paddedTo, wordsByInput } from './blocks.js'
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
import { Constants, floatWord, State } from './memory-plan.js'
import { ATTENTION_TILE, BARRIER_BYTES, Flag, Opcode, POSITION_BYTES } from './opcodes.js'
import {
  type Cache,
  capacityOf,
  listBytes,
  placeCache,
  placeRing,
  type Ring,
  Thread,
} from './places.js'
import type { Ranges, Scheme, Source } from './precision.js'
import { type Parts, type Share, type Sharing, share } from './sharing.js'

/** Addresses of a product's weights. */
interface Product {
  w: number
  scales: number
  bias: number
}

export interface Lowering {
  scheme: Scheme
  /** Numbers of the caches. */
  cache: CacheType
  /** Scales of an int8 cache. */
  cacheRanges: Ranges['caches'] | undefined
  /** Threads that do a step together. */
  threads: number
}

/** Lowers a plan; the header says where the host finds its vectors. */
export function lower(plan: StepPlan, lowering: Lowering): PackedModel {
  return new Lowerer(plan, lowering).run()
}

class Lowerer {
  readonly #constants = new Constants()
  readonly #state = new State()
  /** By name; a part's address counts from its whole. */
  readonly #vectors = new Map<string, Place>()
  /** The vector that a part belongs to. */
  readonly #owners = new Map<string, string>()
  /** Whole vectors that threads share, the inputs among them. */
  readonly #shared = new Map<string, number>()
  readonly #caches = new Map<string, Cache>()
  /** Weights as the kernels want them, by name and part. */
  readonly #products = new Map<string, Product>()
  readonly #sharing: Sharing
  readonly #threads: readonly Thread[]
  /** The one whose program is being written. */
  #thread: Thread

  constructor(
    readonly plan: StepPlan,
    readonly lowering: Lowering,
  ) {
    for (const { name, part } of plan.vectors) this.#owners.set(name, part?.of ?? name)
    this.#sharing = share(plan, lowering.threads, (name) => this.#ownerOf(name))
    this.#threads = Array.from({ length: lowering.threads }, (_, index) => new Thread(index))
    this.#thread = this.#threads[0]!
  }

  run(): PackedModel {
    const { plan } = this
    // not in the state: threads that leave a step may still be looking at it
    const barrier = this.#constants.add(
      new Uint32Array((this.lowering.threads * BARRIER_BYTES) / 4),
    )
    this.#placeVectors()
    const { cache: type, cacheRanges } = this.lowering
    for (const cache of plan.caches) {
      const ranges = cacheRanges?.[cache.name]
      this.#caches.set(cache.name, placeCache(this.#state, this.#constants, cache, type, ranges))
    }
    const programs = this.#threads.map((thread) => {
      this.#thread = thread
      for (const ring of plan.rings) {
        const source = this.lowering.scheme.sources.get(ring.name)
        thread.rings.set(ring.name, placeRing(this.#state, ring, source))
      }
      for (const { name } of plan.caches) {
        thread.positions.set(name, this.#state.add(POSITION_BYTES))
      }
      return this.#program(barrier)
    })
    this.#thread = this.#threads[0]!
    const constants = this.#constants.bytes()
    const vectors = plan.vectors.map(({ name }) => [name, this.#place(name)] as const)
    const header: PackedHeader = {
      precision: this.lowering.scheme.products.size > 0 ? 'int8' : 'f32',
      cache: this.lowering.cache,
      programs,
      state: aligned(this.#constants.end),
      stateBytes: this.#state.bytes,
      inputs: [...plan.inputs],
      output: plan.output,
      vectors: Object.fromEntries(vectors),
      caches: this.#cachePlaces(),
    }
    return { header, constants }
  }

  /** Writes the program of a thread. Returns its address. */
  #program(barrier: number): number {
    const { words, counters, index } = this.#thread
    const wait = () => {
      words.add(Opcode.Barrier, barrier, index, this.#threads.length)
    }
    for (let i = 0; i < this.plan.instructions.length; ) i = this.#block(i, wait)
    for (const [period, counter] of counters) words.add(Opcode.Count, counter, period)
    if (this.#threads.length > 1) wait()
    words.add(Opcode.End)
    return this.#constants.add(words.build())
  }

  /** What the host needs to write rows itself. */
  #cachePlaces(): Record<string, CachePlace> {
    const type = this.lowering.cache
    const places = [...this.#caches].map(([name, cache]) => {
      const { at, phases, window, groups, width, padded, rowBytes, phaseBytes, factors } = cache
      const sizes = { phases, window, groups, width, padded, rowBytes, phaseBytes }
      const positions = this.#threads.map((thread) => thread.positions.get(name)!)
      return [name, { at, positions, type, ...sizes, factors }] as const
    })
    return Object.fromEntries(places)
  }

  // ------------------------------------------------------------------------------ places

  #placeVectors(): void {
    const { inputs, vectors } = this.plan
    for (const { name, size, type, part } of vectors) {
      this.#vectors.set(name, { at: 4 * (part?.at ?? 0), size, type })
      if (part) continue
      if (inputs.includes(name) || this.#sharing.shared.has(name)) {
        this.#shared.set(name, this.#state.add(4 * size))
        continue
      }
      for (const { places } of this.#threads) places.set(name, this.#state.add(4 * size))
    }
  }

  #ownerOf(vector: string): string {
    return this.#owners.get(vector) ?? vector
  }

  /** Where the thread has a vector. */
  #place(vector: string): Place {
    const place = this.#vectors.get(vector) ?? unknown('vector', vector)
    const owner = this.#ownerOf(vector)
    const whole = this.#shared.get(owner) ?? this.#thread.places.get(owner)
    return { ...place, at: place.at + (whole ?? unknown('vector', owner)) }
  }

  #at(vector: string): number {
    return this.#place(vector).at
  }

  #ring(name: string): Ring {
    return this.#thread.rings.get(name) ?? unknown('ring', name)
  }

  #cache(name: string): Cache {
    return this.#caches.get(name) ?? unknown('cache', name)
  }

  #weight(name: string): Float32Array {
    return (this.plan.weights[name] ?? unknown('weight', name)).data
  }

  /** Integers of a vector that is written again are no longer true. */
  #forget(output: string): void {
    const { integers } = this.#thread
    for (const name of integers.keys()) {
      if (this.#ownerOf(name) === this.#ownerOf(output)) integers.delete(name)
    }
  }

  // ------------------------------------------------------------------------ instructions

  /** The instructions from `first` on that run at the same samples. Returns the index behind them. */
  #block(first: number, wait: () => void): number {
    const { instructions } = this.plan
    const { integers, words, index } = this.#thread
    const { every } = instructions[first]!
    const before = new Map(integers)
    const shareOf = (i: number) => this.#sharing.shares.get(instructions[i]!)!
    if (shareOf(first).waits) wait() // all of them, also those that skip what follows
    const skip = every && this.#skip(every)
    let i = first
    for (; i < instructions.length && isSame(instructions[i]!.every, every); i++) {
      const share = shareOf(i)
      if (i > first && share.waits) wait()
      if (share.mode !== 'first' || index === 0) this.#instruction(instructions[i]!, share)
      for (const name of instructions[i]!.outputs) this.#forget(name)
    }
    if (skip !== undefined) {
      words.set(skip, 4 * (words.length - skip - 1))
      // integers made here are not made at every sample
      for (const [name, at] of integers) if (before.get(name) !== at) integers.delete(name)
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
    const { counters, words } = this.#thread
    const counter = counters.get(period) ?? this.#state.add(4)
    counters.set(period, counter)
    words.add(Opcode.Skip, counter, phase, 0)
    return words.length - 1
  }

  #instruction(instruction: Instruction, { parts }: Share): void {
    const { kernel, inputs, outputs, weights, numbers } = instruction
    const [a, b] = inputs
    const y = outputs[0]!
    const w = (i: number) => this.#constants.add(this.#weight(weights[i]!))
    const { words } = this.#thread
    switch (kernel) {
      case 'embed':
        words.add(Opcode.Embed, this.#at(a!), w(0), this.#place(y).size, this.#at(y))
        break
      case 'affine':
        this.#product(instruction, parts, this.#place(a!).size, (source) =>
          source ? this.#quantised(a!, source) : this.#at(a!),
        )
        break
      case 'convolve': {
        const ring = this.#ring(a!)
        const taps = this.plan.weights[weights[0]!]!.shape[1]!
        this.#product(instruction, parts, taps * ring.channels, () =>
          this.#gathered(ring, taps, numbers.dilation!),
        )
        break
      }
      case 'push':
        this.#push(a!, this.#ring(y))
        break
      case 'lookup': {
        const ring = this.#ring(a!)
        const [taps, rows] = this.plan.weights[weights[0]!]!.shape as [number, number]
        const to = [floatWord(numbers.scale!), floatWord(numbers.offset!)]
        const { size, at } = this.#place(y)
        words.add(Opcode.Lookup, ring.at, ring.length, taps, ...to, w(0), rows, size, at)
        break
      }
      case 'recur':
        words.add(Opcode.Recur, this.#at(a!), this.#at(b!), w(0), this.#place(y).size, this.#at(y))
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
        this.#remember(a!, y)
        break
      case 'attend':
        this.#attend(instruction, parts)
        break
      case 'curves':
        this.#curves(instruction)
        break
    }
  }

  /** W x + b, where `input` gives the address of x as the precision wants it. */
  #product(
    instruction: Instruction,
    parts: Parts,
    inputs: number,
    input: (source: Source | undefined) => number,
  ): void {
    const { outputs, weights, numbers } = instruction
    const y = this.#place(outputs[0]!)
    const flags = (numbers.add ? Flag.Add : 0) | (numbers.relu ? Flag.Relu : 0)
    const data = this.#weight(weights[0]!)
    if (data.length !== inputs * y.size) {
      throw new PlanError({
        fact: `The weights ${weights[0]} do not fit their input and output.`,
        expected: `${y.size} x ${inputs} numbers`,
        got: `${data.length}`,
      })
    }
    const int8 = this.lowering.scheme.products.get(instruction)
    const source = int8 && this.lowering.scheme.sources.get(instruction.inputs[0]!)!
    if (source?.sparse && inputs > 0xffff) {
      throw new PlanError({
        fact: `The product with ${weights[0]} has more inputs than a list can count.`,
        expected: 'at most 65535',
        got: `${inputs}`,
      })
    }
    const [from, to] = parts[this.#thread.index] ?? [0, y.size]
    const key = `${instruction.inputs[0]} ${weights.join()} ${from} ${to}`
    const product =
      this.#products.get(key) ?? this.#weights(instruction, from, to, inputs, int8, source)
    this.#products.set(key, product)
    const { w, scales, bias } = product
    const { words } = this.#thread
    const rest = [input(source), inputs, to - from, y.at + 4 * from, flags]
    if (!source) words.add(Opcode.MatvecF32, w, bias, ...rest)
    else if (!source.sparse) words.add(Opcode.MatvecInt8, w, scales, bias, ...rest)
    else words.add(Opcode.MatvecInt8Sparse, w, scales, bias, ...rest, capacityOf(inputs))
  }

  /** Weights for the outputs from `from` to `to`. */
  #weights(
    { weights }: Instruction,
    from: number,
    to: number,
    inputs: number,
    int8: Int8Weights | undefined,
    source: Source | undefined,
  ): Product {
    const outputs = to - from
    const add = (numbers: Float32Array) => this.#constants.add(paddedTo(numbers, outputs))
    const bias = add(this.#weight(weights[1]!).subarray(from, to))
    if (!int8 || !source) {
      const w = this.#weight(weights[0]!).subarray(from * inputs, to * inputs)
      return { w: this.#constants.add(byInput(w, outputs, inputs)), scales: 0, bias }
    }
    const w = int8.w.subarray(from * inputs, to * inputs)
    return {
      w: this.#constants.add(wordsByInput(w, outputs, inputs, source.sparse ? 1 : 2)),
      scales: add(int8.scales.subarray(from, to).map((scale) => scale / source.factor)),
      bias,
    }
  }

  /** The integers of a vector, made once after each change. */
  #quantised(name: string, { factor, limit, sparse }: Source): number {
    const { integers, words } = this.#thread
    const known = integers.get(name)
    if (known !== undefined) return known
    const { at, size } = this.#place(name)
    const y = this.#state.add(sparse ? listBytes(size) : 2 * aligned(size, 2))
    const common = [at, size, floatWord(factor), limit, y]
    if (sparse) words.add(Opcode.QuantiseSparse, ...common, capacityOf(size))
    else words.add(Opcode.QuantiseDense, ...common)
    integers.set(name, y)
    return y
  }

  #push(x: string, { at, length, columnBytes, channels, source }: Ring): void {
    const ring = [at, length, columnBytes, this.#at(x)]
    if (!source) {
      this.#thread.words.add(Opcode.PushF32, ...ring)
      return
    }
    const { factor, limit, sparse } = source
    const rest = [channels, floatWord(factor), limit]
    if (sparse) this.#thread.words.add(Opcode.PushSparse, ...ring, ...rest, capacityOf(channels))
    else this.#thread.words.add(Opcode.PushDense, ...ring, ...rest)
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
      this.#thread.words.add(Opcode.GatherSparse, ...head, one, y, all)
      return y
    }
    const tapBytes = channels * (source ? 2 : 4)
    const y = this.#state.add(aligned(taps * tapBytes, 4))
    this.#thread.words.add(Opcode.Gather, at, length, columnBytes, tapBytes, taps, dilation, y)
    return y
  }

  /** Every thread writes the row, the same bytes: cheaper than to wait for one of them. */
  #remember(x: string, name: string): void {
    const { at, phases, phaseBytes, rowBytes, window, groups, width, padded, factors } =
      this.#cache(name)
    const position = this.#thread.positions.get(name)!
    const rows = [position, at, phases, phaseBytes, rowBytes, window]
    const common = [...rows, this.#at(x), groups, width, padded]
    const { cache: type } = this.lowering
    if (type === 'int8') this.#thread.words.add(Opcode.RememberInt8, ...common, factors)
    else this.#thread.words.add(type === 'f16' ? Opcode.RememberF16 : Opcode.RememberF32, ...common)
  }

  #attend({ inputs, outputs, weights, numbers }: Instruction, parts: Parts): void {
    const [keys, values] = [this.#cache(inputs[1]!), this.#cache(inputs[2]!)]
    const { phaseBytes, rowBytes, window, padWindow, width, padded } = keys
    const { cache: type } = this.lowering
    // a part is some of the groups, or some of the heads of the only one
    const part = parts[this.#thread.index]
    const byGroups = keys.groups > 1
    const [group, groups] = part && byGroups ? [part[0], part[1] - part[0]] : [0, keys.groups]
    const [head, heads] = part && !byGroups ? [part[0], part[1] - part[0]] : [0, numbers.heads!]
    const first = group * numbers.heads! + head
    const all = groups * heads
    // kept twice and backwards, so that the scores of any slot order find theirs in one stretch
    const byDistance = this.#weight(weights[0]!)
    const unit = type === 'int8' ? Math.LOG2E : 1 // of the logarithms that scores are
    const bias = new Float32Array(all * 2 * padWindow)
    for (let h = 0; h < all; h++) {
      for (let i = 0; i < 2 * window; i++) {
        const distance = (2 * window - 1 - i) % window
        bias[h * 2 * padWindow + i] = unit * byDistance[(first + h) * window + distance]!
      }
    }
    const tile = type === 'f16' ? Math.min(ATTENTION_TILE, padWindow) * groups * padded : 0
    const scratch = this.#state.add(4 * (all * (2 * padded + padWindow) + tile))
    const rows = group * padded * CACHE_BYTES[type]
    const numbersOf = 4 * first * width
    this.#thread.words.add(
      ATTEND[type],
      ...[this.#thread.positions.get(inputs[1]!)!, keys.at + rows, values.at + rows],
      ...[phaseBytes, rowBytes, window, padWindow, groups, heads, width, padded],
      ...[this.#at(inputs[0]!) + numbersOf, this.#constants.add(bias), scratch],
      this.#at(outputs[0]!) + numbersOf,
      ...[keys.scales, values.scales].map((scales) => scales + 4 * group * padded),
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
    this.#thread.words.add(
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
    this.#thread.words.add(
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

/** Where the outermost levels end. */
const FAR = 1e6

function unknown(what: string, name: string): never {
  throw new PlanError({
    fact: `The step plan uses a ${what} that it does not declare.`,
    expected: `a ${what} of the plan`,
    got: name,
  })
}
