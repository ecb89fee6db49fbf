/** Products with weights, and their inputs as float32, as integers, or as lists of what is not zero. */
import type { Instruction } from '../nn/step-plan.js'
import { byInput, type Int8Weights, paddedTo, wordsByInput } from './blocks.js'
import { PlanError } from './errors.js'
import { aligned } from './format.js'
import { floatWord } from './memory-plan.js'
import { Flag, Opcode } from './opcodes.js'
import { capacityOf, listBytes, type Ring } from './places.js'
import type { Source } from './precision.js'
import type { Scope } from './scope.js'
import type { Parts } from './sharing.js'

/** Addresses of a product's weights. */
interface Product {
  w: number
  scales: number
  bias: number
}

export class Products {
  /** Weights as the kernels want them, by name and part. */
  readonly #known = new Map<string, Product>()

  constructor(readonly scope: Scope) {}

  /** W x + b, where `input` gives the address of x as the precision wants it. */
  product(
    instruction: Instruction,
    parts: Parts,
    inputs: number,
    input: (source: Source | undefined) => number,
  ): void {
    const { outputs, weights, numbers } = instruction
    const y = this.scope.vector(outputs[0]!)
    const flags = (numbers.add ? Flag.Add : 0) | (numbers.relu ? Flag.Relu : 0)
    const data = this.scope.weight(weights[0]!)
    if (data.length !== inputs * y.size) {
      throw new PlanError({
        fact: `The weights ${weights[0]} do not fit their input and output.`,
        expected: `${y.size} x ${inputs} numbers`,
        got: `${data.length}`,
      })
    }
    const int8 = this.scope.lowering.scheme.products.get(instruction)
    const source = int8 && this.scope.lowering.scheme.sources.get(instruction.inputs[0]!)!
    if (source?.sparse && inputs > 0xffff) {
      throw new PlanError({
        fact: `The product with ${weights[0]} has more inputs than a list can count.`,
        expected: 'at most 65535',
        got: `${inputs}`,
      })
    }
    const [from, to] = parts[this.scope.thread.index] ?? [0, y.size]
    const key = `${instruction.inputs[0]} ${weights.join()} ${from} ${to}`
    const product =
      this.#known.get(key) ?? this.#weights(instruction, from, to, inputs, int8, source)
    this.#known.set(key, product)
    const { w, scales, bias } = product
    const { words } = this.scope.thread
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
    const add = (numbers: Float32Array) => this.scope.constants.add(paddedTo(numbers, outputs))
    const bias = add(this.scope.weight(weights[1]!).subarray(from, to))
    if (!int8 || !source) {
      const w = this.scope.weight(weights[0]!).subarray(from * inputs, to * inputs)
      return { w: this.scope.constants.add(byInput(w, outputs, inputs)), scales: 0, bias }
    }
    const w = int8.w.subarray(from * inputs, to * inputs)
    return {
      w: this.scope.constants.add(wordsByInput(w, outputs, inputs, source.sparse ? 1 : 2)),
      scales: add(int8.scales.subarray(from, to).map((scale) => scale / source.factor)),
      bias,
    }
  }

  /** The integers of a vector, made once after each change. */
  quantised(name: string, { factor, limit, sparse }: Source): number {
    const { integers, words } = this.scope.thread
    const known = integers.get(name)
    if (known !== undefined) return known
    const { at, size } = this.scope.vector(name)
    const y = this.scope.state.add(sparse ? listBytes(size) : 2 * aligned(size, 2))
    const common = [at, size, floatWord(factor), limit, y]
    if (sparse) words.add(Opcode.QuantiseSparse, ...common, capacityOf(size))
    else words.add(Opcode.QuantiseDense, ...common)
    integers.set(name, y)
    return y
  }

  push(x: string, { at, length, columnBytes, channels, source }: Ring): void {
    const ring = [at, length, columnBytes, this.scope.at(x)]
    if (!source) {
      this.scope.thread.words.add(Opcode.PushF32, ...ring)
      return
    }
    const { factor, limit, sparse } = source
    const rest = [channels, floatWord(factor), limit]
    if (sparse)
      this.scope.thread.words.add(Opcode.PushSparse, ...ring, ...rest, capacityOf(channels))
    else this.scope.thread.words.add(Opcode.PushDense, ...ring, ...rest)
  }

  /** The taps of a convolution one after the other. */
  gathered(ring: Ring, taps: number, dilation: number): number {
    const { at, length, columnBytes, channels, source } = ring
    if (length < (taps - 1) * dilation + 1) {
      throw new PlanError({
        fact: `The ring ${ring.name} is shorter than its convolution reaches.`,
        expected: `${(taps - 1) * dilation + 1} columns`,
        got: `${length}`,
      })
    }
    if (source?.sparse) {
      const y = this.scope.state.add(listBytes(taps * channels))
      const [one, all] = [capacityOf(channels), capacityOf(taps * channels)]
      const head = [at, length, columnBytes, channels, taps, dilation]
      this.scope.thread.words.add(Opcode.GatherSparse, ...head, one, y, all)
      return y
    }
    const tapBytes = channels * (source ? 2 : 4)
    const y = this.scope.state.add(aligned(taps * tapBytes, 4))
    this.scope.thread.words.add(Opcode.Gather, at, length, columnBytes, tapBytes, taps, dilation, y)
    return y
  }
}
