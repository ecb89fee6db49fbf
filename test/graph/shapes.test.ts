import { describe, expect, it } from 'vitest'
import {
  add,
  apply,
  concat,
  constant,
  conv1d,
  crossEntropy,
  dilate,
  div,
  expand,
  GradientError,
  Graph,
  gradients,
  input,
  logSoftmax,
  matmul,
  mean,
  minimum,
  mul,
  oneHot,
  pad,
  reshape,
  type Shape,
  ShapeError,
  slice,
  softmax,
  sub,
  sum,
  type Tensor,
  take,
  transpose,
  turn,
} from '../../src/graph/index.js'
import { causalConv, linear } from '../../src/nn/layers.js'
import { Parameters } from '../../src/nn/parameters.js'

const graph = new Graph()
const t = (...shape: number[]) => input(graph, `x${shape}`, shape)
const ints = (...shape: number[]) => input(graph, `i${shape}`, shape, 'int32')

/** What `build` throws, built at a place with a label. */
function failureOf(build: () => Tensor): ShapeError {
  try {
    graph.scoped('decoder', () => graph.scoped('layer.3', build))
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(ShapeError)
    return thrown as ShapeError
  }
  throw new Error('no shape error was thrown')
}

describe('a shape error', () => {
  const wrong: [op: string, shapes: string[], build: () => Tensor][] = [
    ['add', ['[2, 3]', '[4]'], () => add(t(2, 3), t(4))],
    ['sub', ['[2, 3]', '[3, 3]'], () => sub(t(2, 3), t(3, 3))],
    ['mul', ['[5, 1, 2]', '[3]'], () => mul(t(5, 1, 2), t(3))],
    ['div', ['[2]', '[3]'], () => div(t(2), t(3))],
    ['matmul', ['[2, 3]', '[4, 5]'], () => matmul(t(2, 3), t(4, 5))],
    ['matmul', ['[3]', '[3, 2]'], () => matmul(t(3), t(3, 2))],
    ['matmul', ['[3] transposed', '[3]'], () => matmul(t(3), t(3), { transA: true })],
    [
      'matmul',
      ['[3, 2] transposed', '[2, 4] transposed'],
      () => matmul(t(3, 2), t(2, 4), { transA: true, transB: true }),
    ],
    ['matmul', ['[2, 3, 4]', '[3, 4, 5]'], () => matmul(t(2, 3, 4), t(3, 4, 5))],
    ['matmul', ['[5]', '[4]'], () => matmul(t(2, 3), t(3, 5), { bias: t(4) })],
    ['conv1d', ['[1, 2, 9]', '[4, 3, 2]'], () => conv1d(t(1, 2, 9), t(4, 3, 2))],
    ['conv1d', ['[1, 2, 4]', '[4, 2, 3]'], () => conv1d(t(1, 2, 4), t(4, 2, 3), { dilation: 2 })],
    ['conv1d', ['[2, 9]', '[4, 2, 3]'], () => conv1d(t(2, 9), t(4, 2, 3))],
    ['concat', ['[2, 3]', '[2, 4]'], () => concat([t(2, 3), t(2, 4)], 0)],
    ['concat', ['[2, 3]', '[2, 3, 1]'], () => concat([t(2, 3), t(2, 3, 1)], 0)],
    ['reshape', ['[2, 3]', '[5]'], () => reshape(t(2, 3), [5])],
    ['slice', ['[2, 3]', '1..4'], () => slice(t(2, 3), 1, 1, 4)],
    ['slice', ['[2, 3]', '2..2'], () => slice(t(2, 3), 1, 2, 2)],
    ['slice', ['[2, 3]', '0..1'], () => slice(t(2, 3), 2, 0, 1)],
    ['take', ['[2, 3, 4]', '[5]'], () => take(t(2, 3, 4), ints(5), 0)],
    ['take', ['[2, 3]', '[5, 1]'], () => take(t(2, 3), ints(5, 1), 1)],
    ['crossEntropy', ['[2, 3, 4]', '[2]'], () => crossEntropy(t(2, 3, 4), ints(2))],
    ['crossEntropy', ['[2, 3]', '[2, 1]'], () => crossEntropy(t(2, 3), ints(2, 1))],
    ['crossEntropy', ['[2, 3]', '[4]'], () => crossEntropy(t(2, 3), ints(4))],
  ]
  it.each(wrong)('of %s names the op, %j and the label', (op, shapes, build) => {
    const error = failureOf(build)
    expect(error.failure.fact).toContain(`${op} at decoder.layer.3`)
    for (const shape of shapes) expect(error.describe()).toContain(shape)
    expect(error.failure.expected).toBeTruthy()
    expect(error.exitCode).toBe(70)
  })

  it('of transpose shows the order', () => {
    const error = failureOf(() => transpose(t(2, 3, 4), [0, 2, 2]))
    expect(error.failure.fact).toContain('transpose at decoder.layer.3')
    expect(error.failure.got).toBe('0,2,2')
  })

  it('names the op alone where nothing is labelled', () => {
    expect(() => add(t(2), t(3))).toThrow(/^add: /)
  })

  it('names the layer, and no layer that was left', () => {
    const p = new Parameters(graph)
    const layer = causalConv('encoder.2', { channels: 3, filters: 1, taps: 2 })
    const run = () => layer.forward(p, t(1, 4, 10), t(1, 4, 1)).y
    expect(run).toThrow(/conv1d at encoder\.2/)
    expect(() => linear(p, 'head', add(t(2), t(3)), 4)).toThrow(/^add: /)
    expect(graph.place).toBe('')
  })

  it('names the forward place when a gradient does not fit', () => {
    const product = graph.scoped('readout', () => matmul(t(2, 3), t(3, 4)))
    const build = () => gradients([[product, t(9, 9)]], [product.inputs[0]!])
    expect(build).toThrow(/at gradient of readout/)
  })

  it('tells apart tensors of two graphs', () => {
    const other = new Graph()
    expect(() => add(t(2), input(other, 'y', [2]))).toThrow(
      /add: an input belongs to another graph/,
    )
  })

  it('is thrown for an op without inputs', () => {
    expect(() => concat([], 0)).toThrow()
    expect(() => apply(t(1).op, [], undefined)).toThrow(ShapeError)
  })
})

describe('shapes', () => {
  const right: [string, Shape, Tensor][] = [
    ['add broadcasts', [4, 2, 3], add(t(4, 1, 3), t(2, 1))],
    ['matmul', [2, 5], matmul(t(2, 3), t(3, 5))],
    ['matmul transposed', [3, 4], matmul(t(2, 3), t(4, 2), { transA: true, transB: true })],
    ['matmul in batches', [6, 2, 5], matmul(t(6, 2, 3), t(6, 3, 5))],
    ['matmul of a batch with one matrix', [6, 2, 5], matmul(t(6, 2, 3), t(3, 5), { bias: t(5) })],
    ['conv1d', [2, 4, 3], conv1d(t(2, 3, 10), t(4, 3, 3), { stride: 2, dilation: 2 })],
    ['concat', [2, 8], concat([t(2, 3), t(2, 1), t(2, 4)], 1)],
    ['slice with a step', [2, 3], slice(t(2, 9), 1, 1, 8, 3)],
    ['pad', [2, 9], pad(t(2, 3), 1, 4, 2)],
    ['dilate', [2, 9], dilate(t(2, 3), 1, 3)],
    ['expand', [4, 3], expand(t(1, 3), [4, 3])],
    ['transpose reverses', [4, 3, 2], transpose(t(2, 3, 4))],
    ['turn', [2, 4, 3], turn(t(2, 3, 4))],
    ['sum', [1, 3], sum(t(2, 3), [0])],
    ['sum from the end', [2, 1], sum(t(2, 3), [-1])],
    ['mean of all', [1, 1], mean(t(2, 3))],
    ['take rows', [5, 3], take(t(2, 3), ints(5), 0)],
    ['take columns', [2, 5], take(t(2, 3), ints(5), 1)],
    ['oneHot', [5, 7], oneHot(ints(5), 7)],
    ['softmax', [2, 3], softmax(t(2, 3))],
    ['logSoftmax', [2, 3], logSoftmax(t(2, 3))],
    ['crossEntropy', [2], crossEntropy(t(2, 3), ints(2))],
  ]
  it.each(right)('%s to %j', (_, shape, tensor) => {
    expect(tensor.shape).toEqual(shape)
    expect(tensor.dtype).toBe('float32')
  })

  it('add no node where nothing changes', () => {
    const x = t(2, 3)
    const nodes = graph.nodes.length
    const same = [reshape(x, [2, 3]), slice(x, 1, 0, 3), pad(x, 0, 0, 0), concat([x], 1)]
    for (const y of [...same, expand(x, [2, 3]), dilate(x, 0, 1)]) expect(y).toBe(x)
    expect(graph.nodes.length).toBe(nodes)
  })

  it('take the floating type of the graph, and int32 where it is given', () => {
    const double = new Graph('float64')
    expect(input(double, 'x', [1]).dtype).toBe('float64')
    expect(constant(double, [1, 2], [2]).dtype).toBe('float64')
    expect(constant(double, Int32Array.of(1), [1]).dtype).toBe('int32')
    expect(oneHot(input(double, 'i', [2], 'int32'), 3).dtype).toBe('float64')
  })
})

describe('gradients', () => {
  it('of more than one number need the gradient that comes from beyond', () => {
    const x = t(2, 3)
    expect(() => gradients([x], [x])).toThrow(GradientError)
    try {
      gradients([softmax(x)], [x])
    } catch (thrown) {
      expect((thrown as GradientError).failure.got).toBe('softmax of shape [2, 3]')
    }
  })

  it('do not exist for ops without a rule, and the error names the op', () => {
    const x = t(1)
    expect(() => gradients([minimum(x, 1)], [x])).toThrow(/No gradient rule for minimum/)
  })

  it('are zeros of the right shape where nothing depends', () => {
    const [dx] = gradients([sum(t(2))], [t(4, 5)])
    expect(dx!.shape).toEqual([4, 5])
    expect((dx!.attrs as { data: Float32Array }).data).toEqual(new Float32Array(20))
  })
})
