import type { Op } from '../op.js'
import type { DType, Graph, Shape, Tensor } from '../tensor.js'

/** A value fed at every run; its label is its name. */
const inputOp: Op<{ shape: Shape; dtype: DType }> = {
  name: 'input',
  shape: (_, attrs) => attrs.shape,
  dtype: (_, attrs) => attrs.dtype,
  lower: () => {
    throw new Error('inputs are named by the program that feeds them')
  },
}

/** A named input of the graph, of the graph's floating type unless `dtype` says otherwise. */
export function input(
  graph: Graph,
  name: string,
  shape: Shape,
  dtype: DType = graph.dtype,
): Tensor {
  return graph.add(inputOp as Op, [], { shape, dtype }, name)
}

interface ConstantAttrs {
  shape: Shape
  dtype: DType
  data: Float32Array | Float64Array | Int32Array
}

const constantOp: Op<ConstantAttrs> = {
  name: 'constant',
  shape: (_, attrs) => attrs.shape,
  dtype: (_, attrs) => attrs.dtype,
  lower: (to, _inputs, _node, attrs) => to.constant(attrs.data, attrs.shape),
}

/** A constant of the graph's floating type, or of int32 where an Int32Array is given. */
export function constant(
  graph: Graph,
  values: ArrayLike<number> | Int32Array,
  shape: Shape,
): Tensor {
  if (values instanceof Int32Array) {
    return graph.add(constantOp as Op, [], { shape, dtype: 'int32', data: values })
  }
  const data = graph.dtype === 'float64' ? Float64Array.from(values) : Float32Array.from(values)
  return graph.add(constantOp as Op, [], { shape, dtype: graph.dtype, data })
}
