import { apply, misfit, type Op } from '../op.js'
import { sameShape, showShape, type Tensor } from '../tensor.js'
import { sumTo } from './reduce.js'
import { reshape, transpose } from './shape.js'

interface Transposed {
  a: boolean
  b: boolean
}

const matmulOp: Op<Transposed> = {
  name: 'matmul',
  shape([a, b, bias], turned, place) {
    const [m, k] = ends(a!, turned.a)
    const [l, n] = ends(b!, turned.b)
    const batchFits = sameShape(a!.shape.slice(0, -2), b!.shape.slice(0, -2))
    if (k !== l || m === undefined || k === undefined || n === undefined || !batchFits) {
      const t = (turnedSide: boolean) => (turnedSide ? ' transposed' : '')
      throw misfit(
        place,
        'the matrices do not fit.',
        '[..., m, k] and [..., k, n] of equal batch',
        `${showShape(a!.shape)}${t(turned.a)} and ${showShape(b!.shape)}${t(turned.b)}`,
      )
    }
    if (bias && (a!.shape.length !== 2 || !sameShape(bias.shape, [n]))) {
      throw misfit(
        place,
        'the bias does not fit.',
        `[${n}], of plain matrices`,
        showShape(bias.shape),
      )
    }
    return [...a!.shape.slice(0, -2), m, n]
  },
  lower(to, [a, b, bias], node, turned) {
    const rank = node.shape.length
    // Gemm transposes while packing; for batches a plain Transpose was measured faster than a
    // fused one (58 against 97 GFLOP/s for attention scores, ORT 1.30)
    if (rank === 2 && (turned.a || turned.b || bias)) {
      return to.emit('Gemm', bias ? [a!, b!, bias] : [a!, b!], {
        transA: +turned.a,
        transB: +turned.b,
      })
    }
    const perm = [...Array(rank - 2).keys(), rank - 1, rank - 2]
    const side = (name: string, isTurned: boolean) =>
      isTurned ? to.emit('Transpose', [name], { perm }) : name
    return to.emit('MatMul', [side(a!, turned.a), side(b!, turned.b)])
  },
  // y = A B: dA = dy B^T, dB = A^T dy; a transposed operand gets the transposed gradient
  vjp(dy, node, turned) {
    const [a, b, bias] = node.inputs as [Tensor, Tensor, Tensor | undefined]
    const da = turned.a
      ? matmul(b, dy, { transA: turned.b, transB: true })
      : matmul(dy, b, { transB: !turned.b })
    const db = turned.b
      ? matmul(dy, a, { transA: true, transB: turned.a })
      : matmul(a, dy, { transA: !turned.a })
    return bias ? [da, db, sumTo(dy, bias.shape)] : [da, db]
  },
}

function ends(x: Tensor, turned: boolean): [number | undefined, number | undefined] {
  const [m, k] = [x.shape.at(-2), x.shape.at(-1)]
  return turned ? [k, m] : [m, k]
}

/**
 * The matrix product over the last two axes: [..., m, k] x [..., k, n] -> [..., m, n]. Both have the
 * same batch axes, or `b` is a plain matrix that serves every batch of `a`; only then may there be a
 * `bias` [n], added to every row.
 */
export function matmul(
  a: Tensor,
  b: Tensor,
  {
    transA = false,
    transB = false,
    bias,
  }: { transA?: boolean; transB?: boolean; bias?: Tensor } = {},
): Tensor {
  const turned = { a: transA, b: transB }
  if (b.shape.length === 2 && a.shape.length > 2 && !transA) {
    // one large product instead of many small ones
    const rows = a.shape.slice(0, -1)
    const flat = reshape(a, [rows.reduce((m, n) => m * n, 1), a.shape.at(-1)!])
    const product = matmul(flat, b, { transB, ...(bias && { bias }) })
    return reshape(product, [...rows, product.shape[1]!])
  }
  return apply(matmulOp, bias ? [a, b, bias] : [a, b], turned)
}

/** Swaps the last two axes. */
export function turn(x: Tensor): Tensor {
  const rank = x.shape.length
  return transpose(x, [...Array(rank - 2).keys(), rank - 1, rank - 2])
}
