import { LongwaveError } from '../base/errors.js'
import type { Op } from './op.js'

export type DType = 'float32' | 'float64' | 'int32'
export type Shape = readonly number[]

/** Two shapes do not fit an operation, or a tensor is used where it makes no sense. Exit 70. */
export class ShapeError extends LongwaveError {
  override name = 'ShapeError'
  override readonly exitCode = 70
}

/** A value in a graph: a handle with a static shape and type, produced by one node. */
export interface Tensor {
  readonly graph: Graph
  readonly id: number
  readonly dtype: DType
  readonly shape: Shape
  readonly op: Op
  readonly inputs: readonly Tensor[]
  readonly attrs: unknown
  /** Name of an input; where the node was made, for every other. */
  readonly label: string
}

/** A graph of tensors in static single assignment form; the order of `nodes` is a valid schedule. */
export class Graph {
  readonly nodes: Tensor[] = []
  #scope: string[] = []

  /** @param dtype the floating type of all real values: float64 only for checking gradients */
  constructor(readonly dtype: 'float32' | 'float64' = 'float32') {}

  /** Runs `build` with `label` added to the place that shape errors name. */
  scoped<T>(label: string, build: () => T): T {
    this.#scope.push(label)
    try {
      return build()
    } finally {
      this.#scope.pop()
    }
  }

  get place(): string {
    return this.#scope.join('.')
  }

  add(op: Op, inputs: readonly Tensor[], attrs: unknown, label = this.place): Tensor {
    const place = label === '' ? op.name : `${op.name} at ${label}`
    for (const input of inputs) {
      if (input.graph !== this) {
        throw new ShapeError({ fact: `${place}: an input belongs to another graph.` })
      }
    }
    const shape = op.shape(inputs, attrs, place)
    const dtype = op.dtype?.(inputs, attrs) ?? inputs[0]?.dtype ?? this.dtype
    const id = this.nodes.length
    const node: Tensor = { graph: this, id, dtype, shape, op, inputs, attrs, label }
    this.nodes.push(node)
    return node
  }
}

/** Number of elements of a shape. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, dim) => product * dim, 1)
}

export function showShape(shape: Shape): string {
  return `[${shape.join(', ')}]`
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i])
}
