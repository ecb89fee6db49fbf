import { apply, misfit, type Op } from '../op.js'
import { showShape, type Tensor } from '../tensor.js'
import { matmul } from './matmul.js'

const toIntOp: Op<undefined> = {
  name: 'toInt',
  shape: ([x]) => x!.shape,
  dtype: () => 'int32',
  lower: (to, [x]) => to.emit('Cast', [x!], { to: 6 }),
  vjp: () => [undefined],
}

/** Whole numbers of a floating type as int32. */
export function toInt(x: Tensor): Tensor {
  return apply(toIntOp, [x], undefined)
}

const oneHotOp: Op<number> = {
  name: 'oneHot',
  shape: ([indices], levels) => [...indices!.shape, levels],
  dtype: ([indices]) => indices!.graph.dtype,
  lower(to, [indices], node, levels) {
    // OneHot has no float64; comparing with 0..levels-1 serves every type
    const column = to.emit('Unsqueeze', [indices!, to.ints([node.shape.length - 1])])
    const range = to.constant(
      Int32Array.from({ length: levels }, (_, i) => i),
      [levels],
    )
    const equal = to.emit('Equal', [column, range])
    return to.emit('Cast', [equal], { to: node.dtype === 'float64' ? 11 : 1 })
  },
  vjp: () => [undefined],
}

/** int32 indices [...] -> [..., levels], 1 at each index and 0 elsewhere. */
export function oneHot(indices: Tensor, levels: number): Tensor {
  return apply(oneHotOp, [indices], levels)
}

const takeOp: Op<0 | 1> = {
  name: 'take',
  shape([table, indices], axis, place) {
    if (table!.shape.length !== 2 || indices!.shape.length !== 1) {
      throw misfit(
        place,
        'the table and the indices do not fit.',
        '[rows, columns] and [n]',
        `${showShape(table!.shape)} and ${showShape(indices!.shape)}`,
      )
    }
    return table!.shape.with(axis, indices!.shape[0]!)
  },
  lower: (to, [table, indices], _, axis) => to.emit('Gather', [table!, indices!], { axis }),
  // a sum over equal indices is a product with their one-hot rows
  vjp(dy, node, axis) {
    const [table, indices] = node.inputs as [Tensor, Tensor]
    const hot = oneHot(indices, table.shape[axis]!) // [n, levels]
    return [axis === 0 ? matmul(hot, dy, { transA: true }) : matmul(dy, hot), undefined]
  },
}

/** Rows (axis 0) or columns (axis 1) of a matrix at int32 `indices` [n]. */
export function take(table: Tensor, indices: Tensor, axis: 0 | 1): Tensor {
  return apply(takeOp, [table, indices], axis)
}

const reverseOp: Op<number> = {
  name: 'reverse',
  shape: ([x]) => x!.shape,
  lower: (to, [x], node, axis) => {
    const size = node.shape[axis]!
    const ends = [to.ints([size - 1]), to.ints([-size - 1]), to.ints([axis]), to.ints([-1])]
    return to.emit('Slice', [x!, ...ends])
  },
  vjp: (dy, _, axis) => [reverse(dy, axis)],
}

/** The elements of one axis in reverse order. */
export function reverse(x: Tensor, axis: number): Tensor {
  return x.shape[axis] === 1 ? x : apply(reverseOp, [x], axis)
}
