/** From a step plan to the instructions of a packed model. */
import type { Every, Instruction, StepPlan } from '../nn/step-plan.js'
import { attend, remember } from './attention.js'
import { byFourModes } from './blocks.js'
import { PlanError } from './errors.js'
import { aligned, type PackedHeader, type PackedModel } from './format.js'
import { floatWord } from './memory-plan.js'
import { BARRIER_BYTES, Opcode } from './opcodes.js'
import { Products } from './products.js'
import { type Lowering, Scope } from './scope.js'
import type { Share } from './sharing.js'

/** Lowers a plan; the header says where the host finds its vectors. */
export function lower(plan: StepPlan, lowering: Lowering): PackedModel {
  return new Lowerer(new Scope(plan, lowering)).run()
}

class Lowerer {
  readonly #products: Products

  constructor(readonly scope: Scope) {
    this.#products = new Products(scope)
  }

  run(): PackedModel {
    const { scope } = this
    const { plan, lowering, constants, state } = scope
    // not in the state: threads that leave a step may still be looking at it
    const barrier = constants.add(new Uint32Array((lowering.threads * BARRIER_BYTES) / 4))
    scope.place()
    const programs = scope.threads.map((thread) => {
      scope.enter(thread)
      return this.#program(barrier)
    })
    const bytes = constants.bytes()
    const header: PackedHeader = {
      precision: lowering.scheme.products.size > 0 ? 'int8' : 'f32',
      cache: lowering.cache,
      programs,
      state: aligned(constants.end),
      stateBytes: state.bytes,
      inputs: [...plan.inputs],
      output: plan.output,
      ...scope.places(),
    }
    return { header, constants: bytes }
  }

  /** Writes the program of a thread. Returns its address. */
  #program(barrier: number): number {
    const { scope } = this
    const { words, counters, index } = scope.thread
    const wait = () => {
      words.add(Opcode.Barrier, barrier, index, scope.threads.length)
    }
    for (let i = 0; i < scope.plan.instructions.length; ) i = this.#block(i, wait)
    for (const [period, counter] of counters) words.add(Opcode.Count, counter, period)
    if (scope.threads.length > 1) wait()
    words.add(Opcode.End)
    return scope.constants.add(words.build())
  }

  /** The instructions from `first` on that run at the same samples. Returns the index behind them. */
  #block(first: number, wait: () => void): number {
    const { scope } = this
    const { instructions } = scope.plan
    const { integers, words, index } = scope.thread
    const { every } = instructions[first]!
    const before = new Map(integers)
    if (scope.shareOf(first).waits) wait() // all of them, also those that skip what follows
    const skip = every && this.#skip(every)
    let i = first
    for (; i < instructions.length && isSame(instructions[i]!.every, every); i++) {
      const share = scope.shareOf(i)
      if (i > first && share.waits) wait()
      if (share.mode !== 'first' || index === 0) this.#instruction(instructions[i]!, share)
      for (const name of instructions[i]!.outputs) scope.forget(name)
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
    const { counters, words } = this.scope.thread
    const counter = counters.get(period) ?? this.scope.state.add(4)
    counters.set(period, counter)
    words.add(Opcode.Skip, counter, phase, 0)
    return words.length - 1
  }

  #instruction(instruction: Instruction, { parts }: Share): void {
    const { scope } = this
    const { kernel, inputs, outputs, weights, numbers } = instruction
    const [a, b] = inputs
    const y = outputs[0]!
    const w = (i: number) => scope.constants.add(scope.weight(weights[i]!))
    const { words } = scope.thread
    switch (kernel) {
      case 'embed':
        words.add(Opcode.Embed, scope.at(a!), w(0), scope.vector(y).size, scope.at(y))
        break
      case 'affine':
        this.#products.product(instruction, parts, scope.vector(a!).size, (source) =>
          source ? this.#products.quantised(a!, source) : scope.at(a!),
        )
        break
      case 'convolve': {
        const ring = scope.ring(a!)
        const taps = scope.plan.weights[weights[0]!]!.shape[1]!
        this.#products.product(instruction, parts, taps * ring.channels, () =>
          this.#products.gathered(ring, taps, numbers.dilation!),
        )
        break
      }
      case 'push':
        this.#products.push(a!, scope.ring(y))
        break
      case 'lookup': {
        const ring = scope.ring(a!)
        const [taps, rows] = scope.plan.weights[weights[0]!]!.shape as [number, number]
        const to = [floatWord(numbers.scale!), floatWord(numbers.offset!)]
        const { size, at } = scope.vector(y)
        words.add(Opcode.Lookup, ring.at, ring.length, taps, ...to, w(0), rows, size, at)
        break
      }
      case 'recur':
        words.add(Opcode.Recur, scope.at(a!), scope.at(b!), w(0), scope.vector(y).size, scope.at(y))
        break
      case 'normalise': {
        const { size } = scope.vector(y)
        const epsilon = floatWord(numbers.epsilon!)
        words.add(Opcode.Normalise, scope.at(a!), w(0), w(1), size, epsilon, scope.at(y))
        break
      }
      case 'gate':
        words.add(Opcode.Gate, scope.at(a!), scope.vector(y).size, scope.at(y))
        break
      case 'glu':
        words.add(Opcode.Glu, scope.at(a!), scope.vector(y).size, scope.at(y))
        break
      case 'gelu':
        words.add(Opcode.Gelu, scope.at(a!), scope.vector(y).size, scope.at(y))
        break
      case 'oscillate':
        this.#oscillate(instruction)
        break
      case 'add':
        words.add(Opcode.Add, scope.at(a!), scope.at(b!), scope.vector(y).size, scope.at(y))
        break
      case 'copy':
        words.add(Opcode.Copy, scope.at(a!), scope.vector(y).size, scope.at(y))
        break
      case 'relu':
        words.add(Opcode.Relu, scope.at(a!), scope.vector(y).size, scope.at(y))
        break
      case 'remember':
        remember(scope, a!, y)
        break
      case 'attend':
        attend(scope, instruction, parts)
        break
      case 'curves':
        this.#curves(instruction)
        break
    }
  }

  #oscillate({ inputs, outputs, weights }: Instruction): void {
    const { scope } = this
    const y = scope.vector(outputs[0]!)
    const modes = byFourModes(scope.weight(weights[0]!), y.size)
    const state = scope.vector(inputs[1]!)
    if (modes.length !== 2 * state.size) {
      throw new PlanError({
        fact: `The state ${inputs[1]} does not fit its modes.`,
        expected: `${modes.length / 2} numbers`,
        got: `${state.size}`,
      })
    }
    scope.thread.words.add(
      Opcode.Oscillate,
      ...[scope.at(inputs[0]!), state.at, scope.constants.add(modes)],
      ...[scope.constants.add(scope.weight(weights[1]!)), y.size, modes.length / y.size / 16, y.at],
    )
  }

  #curves({ inputs, outputs, weights }: Instruction): void {
    const { scope } = this
    const y = scope.vector(outputs[0]!)
    const inner = scope.weight(weights[1]!)
    if (inner.length !== y.size - 1 || y.size % 4 !== 0) {
      throw new PlanError({
        fact: `Curves need the edges between levels, and levels in fours.`,
        expected: `${y.size - 1} edges`,
        got: `${inner.length}`,
      })
    }
    const edges = Float32Array.of(-FAR, ...inner, FAR)
    const gaps = Float32Array.from({ length: y.size }, (_, i) => edges[i + 1]! - edges[i]!)
    const numbers = scope.vector(inputs[1]!)
    scope.thread.words.add(
      Opcode.Curves,
      ...[scope.at(inputs[0]!), numbers.at, numbers.size / 3],
      scope.constants.add(scope.weight(weights[0]!)),
      ...[scope.constants.add(edges), scope.constants.add(gaps), y.size, y.at],
      scope.state.add(4 * y.size),
    )
  }
}

const isSame = (a: Every | undefined, b: Every | undefined) =>
  a?.period === b?.period && a?.phase === b?.phase

/** Where the outermost levels end. */
const FAR = 1e6
