import { apply, misfit, type Op } from '../op.js'
import { type Shape, showShape, type Tensor } from '../tensor.js'
import { sumTo } from './reduce.js'

/** The common shape of two operands under NumPy's broadcasting. */
function broadcast(a: Shape, b: Shape, place: string): Shape {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const m = a[i - rank + a.length] ?? 1
    const n = b[i - rank + b.length] ?? 1
    if (m !== n && m !== 1 && n !== 1) {
      throw misfit(
        place,
        'the shapes do not broadcast.',
        'equal dimensions, or 1',
        `${showShape(a)} and ${showShape(b)}`,
      )
    }
    return m === 1 ? n : m
  })
}

type BinaryVjp = (dy: Tensor, a: Tensor, b: Tensor, y: Tensor) => [Tensor, Tensor]

function binary(name: string, onnx: string, vjp: BinaryVjp): (a: Tensor, b: Tensor) => Tensor {
  const op: Op<undefined> = {
    name,
    shape: ([a, b], _, place) => broadcast(a!.shape, b!.shape, place),
    lower: (to, [a, b]) => to.emit(onnx, [a!, b!]),
    vjp(dy, node) {
      const [a, b] = node.inputs as [Tensor, Tensor]
      const [da, db] = vjp(dy, a, b, node)
      return [sumTo(da, a.shape), sumTo(db, b.shape)]
    },
  }
  return (a, b) => apply(op, [a, b], undefined)
}

/** y = a + b */
export const add = binary('add', 'Add', (dy) => [dy, dy])

/** y = a - b */
export const sub = binary('sub', 'Sub', (dy) => [dy, scale(dy, -1)])

/** y = a b */
export const mul = binary('mul', 'Mul', (dy, a, b) => [mul(dy, b), mul(dy, a)])

/** y = a / b: da = dy / b, db = -dy y / b */
export const div = binary('div', 'Div', (dy, _a, b, y) => {
  const da = div(dy, b)
  return [da, scale(mul(da, y), -1)]
})

type UnaryVjp = (dy: Tensor, x: Tensor, y: Tensor) => Tensor

function unary(name: string, onnx: string, vjp: UnaryVjp): (x: Tensor) => Tensor {
  const op: Op<undefined> = {
    name,
    shape: ([x]) => x!.shape,
    lower: (to, [x]) => to.emit(onnx, [x!]),
    vjp: (dy, node) => [vjp(dy, node.inputs[0]!, node)],
  }
  return (x) => apply(op, [x], undefined)
}

/** y = e^x */
export const exp = unary('exp', 'Exp', (dy, _, y) => mul(dy, y))

/** y = ln x */
export const log = unary('log', 'Log', (dy, x) => div(dy, x))

/** y = sqrt x: dx = dy / 2y */
export const sqrt = unary('sqrt', 'Sqrt', (dy, _, y) => scale(div(dy, y), 0.5))

/** y = tanh x: dx = dy (1 - y^2) */
export const tanh = unary('tanh', 'Tanh', (dy, _, y) => sub(dy, mul(dy, mul(y, y))))

/** y = 1 / (1 + e^-x): dx = dy y (1 - y) */
export const sigmoid = unary('sigmoid', 'Sigmoid', (dy, _, y) => mul(dy, sub(y, mul(y, y))))

const nonzeroOp: Op<undefined> = {
  name: 'nonzero',
  shape: ([x]) => x!.shape,
  // through bool and back: three times as fast as Sign (ORT 1.30)
  lower(to, [x], node) {
    const mask = to.emit('Cast', [x!], { to: 9 })
    return to.emit('Cast', [mask], { to: node.dtype === 'float64' ? 11 : 1 })
  },
  vjp: () => [undefined],
}

/** 1 where x is not zero, else 0. */
function nonzero(x: Tensor): Tensor {
  return apply(nonzeroOp, [x], undefined)
}

/** y = max(x, 0): dx = dy where y > 0; y is never negative. */
export const relu = unary('relu', 'Relu', (dy, _, y) => mul(dy, nonzero(y)))

const scaleOp: Op<number> = {
  name: 'scale',
  shape: ([x]) => x!.shape,
  lower: (to, [x], node, factor) => to.emit('Mul', [x!, to.scalar(factor, node.dtype)]),
  vjp: (dy, _, factor) => [scale(dy, factor)],
}

/** y = factor x */
export function scale(x: Tensor, factor: number): Tensor {
  return apply(scaleOp, [x], factor)
}

const shiftOp: Op<number> = {
  name: 'shift',
  shape: ([x]) => x!.shape,
  lower: (to, [x], node, offset) => to.emit('Add', [x!, to.scalar(offset, node.dtype)]),
  vjp: (dy) => [dy],
}

/** y = x + offset */
export function shift(x: Tensor, offset: number): Tensor {
  return apply(shiftOp, [x], offset)
}

const minimumOp: Op<number> = {
  name: 'minimum',
  shape: ([x]) => x!.shape,
  lower: (to, [x], node, bound) => to.emit('Min', [x!, to.scalar(bound, node.dtype)]),
}

/** y = min(x, bound); without a gradient, for gradient clipping. */
export function minimum(x: Tensor, bound: number): Tensor {
  return apply(minimumOp, [x], bound)
}
