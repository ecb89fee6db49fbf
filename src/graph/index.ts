export { countMacs } from './cost.js'
export { GradientError, gradients } from './gradients.js'
export { peakBytes } from './memory.js'
export { describeTensor, lower, type OnnxProgram } from './onnx.js'
export { apply, type Op } from './op.js'
export { conv1d } from './ops/conv.js'
export {
  add,
  cos,
  div,
  exp,
  gelu,
  log,
  minimum,
  mul,
  relu,
  scale,
  shift,
  sigmoid,
  sin,
  sqrt,
  sub,
  tanh,
} from './ops/elementwise.js'
export { bag, oneHot, reverse, take, toInt } from './ops/gather.js'
export { gru } from './ops/gru.js'
export { constant, input } from './ops/input.js'
export { matmul, turn } from './ops/matmul.js'
export { normalise } from './ops/normalise.js'
export { recurrence } from './ops/recurrence.js'
export { mean, sum, sumTo } from './ops/reduce.js'
export { concat, dilate, expand, pad, reshape, slice, transpose } from './ops/shape.js'
export { crossEntropy, logSoftmax, softmax } from './ops/softmax.js'
export {
  type DType,
  Graph,
  type Shape,
  ShapeError,
  sameShape,
  showShape,
  sizeOf,
  type Tensor,
} from './tensor.js'
