import { apply, misfit, type Op } from '../op.js'
import { sameShape, showShape, type Tensor } from '../tensor.js'
import { exp, mul, sub } from './elementwise.js'
import { oneHot } from './gather.js'
import { sum } from './reduce.js'
import { reshape } from './shape.js'

const softmaxOp: Op<undefined> = {
  name: 'softmax',
  shape: ([x]) => x!.shape,
  lower: (to, [x]) => to.emit('Softmax', [x!], { axis: -1 }),
  // dx = y (dy - sum(dy y))
  vjp(dy, y) {
    const weighted = mul(dy, y)
    return [sub(weighted, mul(y, sum(weighted, [-1])))]
  },
}

/** e^x normalised over the last axis. */
export function softmax(x: Tensor): Tensor {
  return apply(softmaxOp, [x], undefined)
}

const logSoftmaxOp: Op<undefined> = {
  name: 'logSoftmax',
  shape: ([x]) => x!.shape,
  lower: (to, [x]) => to.emit('LogSoftmax', [x!], { axis: -1 }),
  // dx = dy - e^y sum(dy)
  vjp: (dy, y) => [sub(dy, mul(exp(y), sum(dy, [-1])))],
}

/** The logarithm of the softmax over the last axis. */
export function logSoftmax(x: Tensor): Tensor {
  return apply(logSoftmaxOp, [x], undefined)
}

const crossEntropyOp: Op<undefined> = {
  name: 'crossEntropy',
  shape([logits, targets], _, place) {
    const [n] = logits!.shape
    if (logits!.shape.length !== 2 || !sameShape(targets!.shape, [n!])) {
      throw misfit(
        place,
        'the logits and the targets do not fit.',
        '[n, levels] and [n]',
        `${showShape(logits!.shape)} and ${showShape(targets!.shape)}`,
      )
    }
    return targets!.shape
  },
  lower(to, [logits, targets]) {
    const logp = to.emit('LogSoftmax', [logits!], { axis: -1 })
    const column = to.emit('Unsqueeze', [targets!, to.ints([1])])
    const picked = to.emit('GatherElements', [logp, column], { axis: 1 })
    return to.emit('Neg', [to.emit('Squeeze', [picked, to.ints([1])])])
  },
  // d logits = (softmax - one-hot of the target) dy
  vjp(dy, node) {
    const [logits, targets] = node.inputs as [Tensor, Tensor]
    const error = sub(softmax(logits), oneHot(targets, logits.shape[1]!))
    return [mul(error, reshape(dy, [dy.shape[0]!, 1])), undefined]
  },
}

/** -ln p(target) in nats: logits [n, levels], int32 targets [n] -> [n]. */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  return apply(crossEntropyOp, [logits, targets], undefined)
}
