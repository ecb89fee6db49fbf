import { apply, misfit, type Op } from '../op.js'
import { type Shape, sameShape, showShape, sizeOf, type Tensor } from '../tensor.js'
import { sumTo } from './reduce.js'

const reshapeOp: Op<Shape> = {
  name: 'reshape',
  shape([x], shape, place) {
    if (sizeOf(x!.shape) !== sizeOf(shape)) {
      throw misfit(place, 'the sizes differ.', showShape(x!.shape), showShape(shape))
    }
    return shape
  },
  lower: (to, [x], _, shape) => to.emit('Reshape', [x!, to.ints(shape)]),
  vjp: (dy, node) => [reshape(dy, node.inputs[0]!.shape)],
}

/** The same elements in the same order under another shape. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : apply(reshapeOp, [x], shape)
}

const transposeOp: Op<readonly number[]> = {
  name: 'transpose',
  shape([x], order, place) {
    const sorted = [...order].sort((a, b) => a - b)
    if (!sameShape(sorted, [...x!.shape.keys()])) {
      throw misfit(place, 'the order is no permutation.', `of ${x!.shape.length}`, `${order}`)
    }
    return order.map((axis) => x!.shape[axis]!)
  },
  lower: (to, [x], _, order) => to.emit('Transpose', [x!], { perm: order }),
  vjp: (dy, _, order) => [
    transpose(
      dy,
      order.map((_, i) => order.indexOf(i)),
    ),
  ],
}

/** Reorders axes: axis i of the result is axis `order[i]` of `x`; reversed by default. */
export function transpose(
  x: Tensor,
  order: readonly number[] = x.shape.map((_, i) => x.shape.length - 1 - i),
): Tensor {
  return apply(transposeOp, [x], order)
}

const expandOp: Op<Shape> = {
  name: 'expand',
  shape: (_, shape) => shape,
  lower: (to, [x], _, shape) => to.emit('Expand', [x!, to.ints(shape)]),
  vjp: (dy, node) => [sumTo(dy, node.inputs[0]!.shape)],
}

/** Repeats dimensions of size 1 up to `shape`. */
export function expand(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : apply(expandOp, [x], shape)
}

interface Range {
  axis: number
  start: number
  stop: number
  step: number
}

const sliceOp: Op<Range> = {
  name: 'slice',
  shape([x], { axis, start, stop, step }, place) {
    const dim = x!.shape[axis]
    if (dim === undefined || start < 0 || stop > dim || start >= stop || step < 1) {
      throw misfit(
        place,
        'the range does not fit.',
        `within 0..${dim} of axis ${axis} of ${showShape(x!.shape)}`,
        `${start}..${stop} step ${step}`,
      )
    }
    return x!.shape.map((d, i) => (i === axis ? Math.ceil((stop - start) / step) : d))
  },
  lower: (to, [x], _, { axis, start, stop, step }) =>
    to.emit('Slice', [x!, to.ints([start]), to.ints([stop]), to.ints([axis]), to.ints([step])]),
  vjp(dy, node, { axis, start, step }) {
    const size = node.inputs[0]!.shape[axis]!
    const spread = dilate(dy, axis, step)
    const after = size - start - spread.shape[axis]!
    return [
      after < 0
        ? slice(pad(spread, axis, start, 0), axis, 0, size)
        : pad(spread, axis, start, after),
    ]
  },
}

/** Elements `start`, `start + step`, ... below `stop` of one axis. */
export function slice(x: Tensor, axis: number, start: number, stop: number, step = 1): Tensor {
  if (start === 0 && stop === x.shape[axis] && step === 1) return x
  return apply(sliceOp, [x], { axis, start, stop, step })
}

const padOp: Op<{ axis: number; before: number; after: number }> = {
  name: 'pad',
  shape: ([x], { axis, before, after }) =>
    x!.shape.map((dim, i) => (i === axis ? before + dim + after : dim)),
  lower(to, [x], node, { axis, before, after }) {
    const zeros = node.shape.map(() => 0)
    const pads = [...zeros.with(axis, before), ...zeros.with(axis, after)]
    return to.emit('Pad', [x!, to.ints(pads)])
  },
  vjp: (dy, node, { axis, before }) => [
    slice(dy, axis, before, before + node.inputs[0]!.shape[axis]!),
  ],
}

/** Zeros before and after the elements of one axis. */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  return before === 0 && after === 0 ? x : apply(padOp, [x], { axis, before, after })
}

/** `step - 1` zeros between and after the elements of one axis. */
export function dilate(x: Tensor, axis: number, step: number): Tensor {
  if (step === 1) return x
  const apart = reshape(x, [...x.shape.slice(0, axis + 1), 1, ...x.shape.slice(axis + 1)])
  const spread = pad(apart, axis + 1, 0, step - 1)
  return reshape(
    spread,
    x.shape.map((dim, i) => (i === axis ? dim * step : dim)),
  )
}

const concatOp: Op<number> = {
  name: 'concat',
  shape(inputs, axis, place) {
    const first = inputs[0]!.shape
    for (const { shape } of inputs) {
      if (!sameShape(shape.with(axis, 0), first.with(axis, 0))) {
        throw misfit(
          place,
          `the shapes differ outside axis ${axis}.`,
          showShape(first),
          showShape(shape),
        )
      }
    }
    return first.with(
      axis,
      inputs.reduce((total, { shape }) => total + shape[axis]!, 0),
    )
  },
  lower: (to, inputs, _, axis) => to.emit('Concat', inputs, { axis }),
  vjp(dy, node, axis) {
    let start = 0
    return node.inputs.map((input) => {
      const stop = start + input.shape[axis]!
      const part = slice(dy, axis, start, stop)
      start = stop
      return part
    })
  },
}

/** Joins tensors along one axis. */
export function concat(inputs: readonly Tensor[], axis: number): Tensor {
  return inputs.length === 1 ? inputs[0]! : apply(concatOp, inputs, axis)
}
