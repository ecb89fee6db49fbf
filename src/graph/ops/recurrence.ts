import type { Lowering } from '../onnx.js'
import { apply, misfit, type Op } from '../op.js'
import { sameShape, showShape, type Tensor } from '../tensor.js'
import { mul, sub } from './elementwise.js'
import { constant } from './input.js'
import { sum } from './reduce.js'
import { concat, reshape, slice } from './shape.js'

/** Real and imaginary parts of the same shape, by name. */
interface Complex {
  re: string
  im: string
}

/** Rows up to which one step after another is fastest. */
const FEW = 12

const recurrenceOp: Op<{ reverse: boolean }> = {
  name: 'recurrence',
  shape([x, a], _, place) {
    const [batch, rows, width] = x!.shape
    const fits = x!.shape.length === 3 && width! % 2 === 0 && rows! > 0
    if (!fits || !sameShape(a!.shape, [batch!, width!])) {
      throw misfit(
        place,
        'the rows and the factors do not fit.',
        '[batch, rows, 2 n] and [batch, 2 n]',
        `${showShape(x!.shape)} and ${showShape(a!.shape)}`,
      )
    }
    return x!.shape
  },
  lower(to, [x, a], node, { reverse }) {
    const [batch, rows, width] = node.shape as [number, number, number]
    const n = width / 2
    const halves = (name: string, axis: number): Complex => ({
      re: cut(to, name, axis, 0, n),
      im: cut(to, name, axis, n, width),
    })
    const factor = map(halves(a!, 1), (part) =>
      to.emit('Reshape', [part, to.ints([batch, 1, 1, n])]),
    )
    // groups of rows take their steps side by side
    const length = rows <= FEW ? rows : 2 ** Math.round(Math.log2(rows) / 2)
    const groups = Math.ceil(rows / length)
    const whole = groups * length
    const padded =
      whole === rows ? x! : to.emit('Pad', [x!, to.ints([0, 0, 0, 0, whole - rows, 0])])
    const grouped = map(halves(padded, 2), (part) =>
      to.emit('Reshape', [part, to.ints([batch, groups, length, n])]),
    )
    const inner = steps(to, grouped, factor, { axis: 2, count: length, reverse })
    const all = groups > 1 ? joined(to, inner, factor, { groups, length, reverse }) : inner
    const rowsOf = (part: string) => {
      const flat = to.emit('Reshape', [part, to.ints([batch, whole, n])])
      return whole === rows ? flat : cut(to, flat, 1, 0, rows)
    }
    return to.emit('Concat', [rowsOf(all.re), rowsOf(all.im)], { axis: 2 })
  },
  // the gradient runs the other way: g[k] = dy[k] + conj(a) g[k + 1]; dx = g, da = sum g[k] conj(y[k - 1])
  vjp(dy, node, { reverse }) {
    const [, a] = node.inputs as [Tensor, Tensor]
    const [batch, rows, width] = node.shape as [number, number, number]
    const n = width / 2
    const sign = Float32Array.from({ length: width }, (_, i) => (i < n ? 1 : -1))
    const conjugate = mul(a, constant(node.graph, sign, [1, width]))
    const g = recurrence(dy, conjugate, { reverse: !reverse })
    if (rows === 1) return [g, undefined]
    const [from, to] = reverse ? [0, 1] : [1, 0]
    const later = slice(g, 1, from, from + rows - 1)
    const sooner = slice(node, 1, to, to + rows - 1)
    const parts = (t: Tensor) => [slice(t, 2, 0, n), slice(t, 2, n, width)] as const
    const [gr, gi] = parts(later)
    const [yr, yi] = parts(sooner)
    const total = (t: Tensor) => reshape(sum(t, [1]), [batch, n])
    const re = mul(later, sooner)
    const im = sub(mul(gi, yr), mul(gr, yi))
    const both = total2(re, batch, n)
    return [g, concat([both, total(im)], 1)]
  },
}

/** The sum over rows and over the two halves of [batch, rows, 2 n], [batch, n]. */
function total2(t: Tensor, batch: number, n: number): Tensor {
  const rows = t.shape[1]!
  return reshape(sum(reshape(t, [batch, 2 * rows, n]), [1]), [batch, n])
}

const map = ({ re, im }: Complex, f: (part: string) => string): Complex => ({
  re: f(re),
  im: f(im),
})

function cut(to: Lowering, x: string, axis: number, start: number, stop: number): string {
  return to.emit('Slice', [x, to.ints([start]), to.ints([stop]), to.ints([axis])])
}

function times(to: Lowering, a: Complex, b: Complex): Complex {
  const mul = (x: string, y: string) => to.emit('Mul', [x, y])
  return {
    re: to.emit('Sub', [mul(a.re, b.re), mul(a.im, b.im)]),
    im: to.emit('Add', [mul(a.re, b.im), mul(a.im, b.re)]),
  }
}

const plus = (to: Lowering, a: Complex, b: Complex): Complex => ({
  re: to.emit('Add', [a.re, b.re]),
  im: to.emit('Add', [a.im, b.im]),
})

/** y[k] = x[k] + a y[k - 1] along one axis, one step after another. */
function steps(
  to: Lowering,
  x: Complex,
  a: Complex,
  { axis, count, reverse }: { axis: number; count: number; reverse: boolean },
): Complex {
  const found: Complex[] = []
  for (let i = 0; i < count; i++) {
    const k = reverse ? count - 1 - i : i
    const here = map(x, (part) => (count === 1 ? part : cut(to, part, axis, k, k + 1)))
    const last = found.at(-1)
    found.push(last ? plus(to, here, times(to, a, last)) : here)
  }
  if (reverse) found.reverse()
  return side(to, found, axis)
}

function side(to: Lowering, parts: readonly Complex[], axis: number): Complex {
  if (parts.length === 1) return parts[0]!
  const join = (names: string[]) => to.emit('Concat', names, { axis })
  return { re: join(parts.map(({ re }) => re)), im: join(parts.map(({ im }) => im)) }
}

/** Adds to the rows of every group what the groups before it leave behind. */
function joined(
  to: Lowering,
  inner: Complex,
  a: Complex,
  { groups, length, reverse }: { groups: number; length: number; reverse: boolean },
): Complex {
  // a, a^2, ... a^length by doubling
  let powers = a
  for (let known = 1; known < length; known *= 2) {
    const top = map(powers, (part) => cut(to, part, 2, known - 1, known))
    powers = side(to, [powers, times(to, powers, top)], 2)
  }
  const whole = map(powers, (part) => cut(to, part, 2, length - 1, length))
  const end = reverse ? 0 : length - 1
  const ends = map(inner, (part) => cut(to, part, 2, end, end + 1)) // [batch, groups, 1, n]
  const carried = steps(to, ends, whole, { axis: 1, count: groups, reverse })
  // a group takes what the one before it carries; nothing comes to the first
  const pads = [0, reverse ? 0 : 1, 0, 0, 0, reverse ? 1 : 0, 0, 0]
  const [from, past] = reverse ? [1, groups] : [0, groups - 1]
  const before = map(carried, (part) =>
    to.emit('Pad', [cut(to, part, 1, from, past), to.ints(pads)]),
  )
  const reach = reverse ? map(powers, (part) => backwards(to, part, length)) : powers
  return plus(to, inner, times(to, reach, before))
}

function backwards(to: Lowering, x: string, length: number): string {
  const ends = [to.ints([length - 1]), to.ints([-length - 1]), to.ints([2]), to.ints([-1])]
  return to.emit('Slice', [x, ...ends])
}

/**
 * The linear recurrence y[k] = x[k] + a y[k - 1] of complex numbers, element by element.
 *
 * @param x [batch, rows, 2 n]: n real parts, then n imaginary parts
 * @param a [batch, 2 n], the same
 * @param reverse from the last row to the first: y[k] = x[k] + a y[k + 1]
 * @returns [batch, rows, 2 n]
 */
export function recurrence(x: Tensor, a: Tensor, { reverse = false } = {}): Tensor {
  return apply(recurrenceOp, [x, a], { reverse })
}
