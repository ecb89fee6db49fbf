import { apply, misfit, type Op } from '../op.js'
import { showShape, type Tensor } from '../tensor.js'
import { matmul } from './matmul.js'
import { reshape } from './shape.js'

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

const bagOp: Op<number> = {
  name: 'bag',
  shape([table, at], levels, place) {
    const [rows, width] = table!.shape as [number, number]
    const [n, taps] = at!.shape as [number, number]
    if (table!.shape.length !== 2 || at!.shape.length !== 2 || rows !== taps * levels) {
      const got = `${showShape(table!.shape)} and ${showShape(at!.shape)}`
      throw misfit(
        place,
        'the tables and the indices do not fit.',
        '[taps levels, n], [..., taps]',
        got,
      )
    }
    return [n, width]
  },
  lower(to, [table, at], node) {
    const taps = node.inputs[1]!.shape[1]!
    const tables = to.emitAll('Split', [table!], taps, { axis: 0, num_outputs: taps })
    const columns = to.emitAll('Split', [at!], taps, { axis: 1, num_outputs: taps })
    const flat = to.ints([node.shape[0]!])
    const rows = columns.map((column, k) => {
      return to.emit('Gather', [tables[k]!, to.emit('Reshape', [column, flat])], { axis: 0 })
    })
    return rows.reduce((sum, row) => to.emit('Add', [sum, row]))
  },
  // as of `take`, all tables in one product
  vjp(dy, node, levels) {
    const [table, at] = node.inputs as [Tensor, Tensor]
    const hot = reshape(oneHot(at, levels), [at.shape[0]!, table.shape[0]!]) // [n, taps levels]
    return [matmul(hot, dy, { transA: true }), undefined]
  },
}

/** Sums of rows of tables under each other [taps levels, width], one of each at int32 [n, taps]: [n, width]. */
export function bag(tables: Tensor, at: Tensor, levels: number): Tensor {
  return apply(bagOp, [tables, at], levels)
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
