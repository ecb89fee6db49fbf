import { apply, type Op } from '../op.js'
import { type Shape, sameShape, type Tensor } from '../tensor.js'
import { scale } from './elementwise.js'
import { expand, reshape } from './shape.js'

const sumOp: Op<readonly number[]> = {
  name: 'sum',
  shape: ([x], axes) => x!.shape.map((dim, i) => (axes.includes(i) ? 1 : dim)),
  lower: (to, [x], _, axes) => to.emit('ReduceSum', [x!, to.ints(axes)], { keepdims: 1 }),
  vjp: (dy, node) => [expand(dy, node.inputs[0]!.shape)],
}

/** The sum over `axes` (all of them by default); summed dimensions stay, with size 1. */
export function sum(x: Tensor, axes: readonly number[] = x.shape.map((_, i) => i)): Tensor {
  const positive = axes.map((axis) => (axis < 0 ? axis + x.shape.length : axis))
  return apply(sumOp, [x], positive)
}

/** The mean over `axes` (all by default); averaged dimensions stay, with size 1. */
export function mean(x: Tensor, axes: readonly number[] = x.shape.map((_, i) => i)): Tensor {
  const count = axes.reduce((n, axis) => n * x.shape.at(axis)!, 1)
  return scale(sum(x, axes), 1 / count)
}

/** Undoes broadcasting: sums `x` down to `shape`. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x
  const extra = x.shape.length - shape.length
  const axes = x.shape.flatMap((dim, i) => {
    const kept = i < extra ? 1 : shape[i - extra]!
    return dim !== kept || i < extra ? [i] : []
  })
  return reshape(axes.length > 0 ? sum(x, axes) : x, shape)
}
