import type { Lowering } from '../onnx.js'
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

/** y = sin x */
export const sin = unary('sin', 'Sin', (dy, x) => mul(dy, cos(x)))

/** y = cos x */
export const cos = unary('cos', 'Cos', (dy, x) => scale(mul(dy, sin(x)), -1))

/** The error function; ONNX Runtime has it in float32 alone. */
function lowerErf(to: Lowering, x: string, { dtype, shape }: Tensor): string {
  if (dtype === 'float32') return to.emit('Erf', [x])
  // erf x = 2/pi int_0^inf e^-u^2 sin(2 x u) / u du by the trapezoidal rule, steps of h: exact to
  // float64 for |x| <= 6, beyond which it is 1
  const [h, terms] = [0.2, 32]
  const orders = Array.from({ length: terms }, (_, i) => i + 1)
  const bounded = to.emit('Clip', [x, to.scalar(-6, dtype), to.scalar(6, dtype)])
  const column = to.emit('Unsqueeze', [bounded, to.ints([shape.length])])
  const angles = to.constant(
    Float64Array.from(orders, (n) => 2 * n * h),
    [terms],
  )
  const weights = to.constant(
    Float64Array.from(orders, (n) => (2 / Math.PI / n) * Math.exp(-((n * h) ** 2))),
    [terms, 1],
  )
  const waves = to.emit('MatMul', [to.emit('Sin', [to.emit('Mul', [column, angles])]), weights])
  const line = to.emit('Mul', [bounded, to.scalar((2 * h) / Math.PI, dtype)])
  return to.emit('Add', [line, to.emit('Squeeze', [waves, to.ints([shape.length])])])
}

const geluOp: Op<undefined> = {
  name: 'gelu',
  shape: ([x]) => x!.shape,
  lower(to, [x], node) {
    const { dtype } = node
    if (dtype === 'float32') return to.emit('Gelu', [x!])
    const erf = lowerErf(to, to.emit('Mul', [x!, to.scalar(Math.SQRT1_2, dtype)]), node)
    const half = to.emit('Mul', [x!, to.scalar(0.5, dtype)])
    return to.emit('Add', [half, to.emit('Mul', [half, erf])])
  },
  vjp: (dy, node) => [apply(geluGradientOp, [dy, node.inputs[0]!], undefined)],
}

/** dx = dy (Phi(x) + x phi(x)) in one chain, whose results nobody else needs. */
const geluGradientOp: Op<undefined> = {
  name: 'geluGradient',
  shape: ([dy]) => dy!.shape,
  lower(to, [dy, x], node) {
    const number = (value: number) => to.scalar(value, node.dtype)
    // 2 dx / dy = 1 + erf z + z e^(ln(2 / sqrt pi) - z^2) with z = x / sqrt 2
    const z = to.emit('Mul', [x!, number(Math.SQRT1_2)])
    const power = to.emit('Sub', [number(Math.log(2 / Math.sqrt(Math.PI))), to.emit('Mul', [z, z])])
    const bell = to.emit('Mul', [z, to.emit('Exp', [power])])
    const slope = to.emit('Add', [lowerErf(to, z, node), bell])
    const half = to.emit('Mul', [dy!, number(0.5)])
    return to.emit('Add', [half, to.emit('Mul', [half, slope])])
  },
}

/** y = x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016, exact form). */
export function gelu(x: Tensor): Tensor {
  return apply(geluOp, [x], undefined)
}

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
