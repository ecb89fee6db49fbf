import { apply, type Op } from '../op.js'
import type { Tensor } from '../tensor.js'
import { div, mul, shift, sqrt, sub } from './elementwise.js'
import { mean } from './reduce.js'

const centreOp: Op<number> = {
  name: 'centre',
  shape: ([x]) => x!.shape,
  lower(to, [x], _, axis) {
    const middle = to.emit('ReduceMean', [x!, to.ints([axis])], { keepdims: 1 })
    return to.emit('Sub', [x!, middle])
  },
  vjp: (dy, _, axis) => [apply(centreOp, [dy], axis)],
}

const unitOp: Op<number> = {
  name: 'unit',
  shape: ([c]) => c!.shape,
  lower: (to, [c, s]) => to.emit('Div', [c!, s!]),
  // y = c / s with s = (mean c^2 + epsilon)^1/2: dc = (dy - y mean(dy y)) / s, that of s among it
  vjp(dy, y, axis) {
    const along = mean(mul(dy, y), [axis])
    return [div(sub(dy, mul(y, along)), y.inputs[1]!), undefined]
  },
}

/** Zero mean and unit variance over one axis; its gradient takes half the passes of the parts' own. */
export function normalise(x: Tensor, axis: number, epsilon: number): Tensor {
  const at = axis < 0 ? axis + x.shape.length : axis
  const c = apply(centreOp, [x], at)
  const deviation = sqrt(shift(mean(mul(c, c), [at]), epsilon))
  return apply(unitOp, [c, deviation], at)
}
