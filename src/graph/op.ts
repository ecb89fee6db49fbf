import type { Lowering } from './onnx.js'
import { type DType, type Shape, ShapeError, type Tensor } from './tensor.js'

/**
 * One operation: its shape rule, its ONNX lowering and its gradient, in one place.
 * `A` is the type of its static attributes.
 */
export interface Op<A = unknown> {
  readonly name: string
  /** The shape of the result. Throws a ShapeError that opens with `place`. */
  shape(inputs: readonly Tensor[], attrs: A, place: string): Shape
  /** The type of the result; that of the first input where this is absent. */
  dtype?(inputs: readonly Tensor[], attrs: A): DType
  /** Emits ONNX nodes and returns the name of the result. */
  lower(to: Lowering, inputs: readonly string[], node: Tensor, attrs: A): string
  /**
   * The vector-Jacobian product: gradients of the loss with respect to each input, given `dy`, that
   * with respect to the result. `undefined` where an input gets none (integers).
   */
  vjp?(dy: Tensor, node: Tensor, attrs: A): readonly (Tensor | undefined)[]
}

/** Adds a node to the graph of its inputs. */
export function apply<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor {
  const first = inputs[0]
  if (!first) throw new ShapeError({ fact: `${op.name} needs at least one input.` })
  return first.graph.add(op as Op, inputs, attrs)
}

/** The ShapeError of an op: what does not fit, what was expected and what was found. */
export function misfit(place: string, fact: string, expected: string, got: string): ShapeError {
  return new ShapeError({ fact: `${place}: ${fact}`, expected, got })
}
