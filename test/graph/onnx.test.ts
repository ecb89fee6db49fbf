import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { PbfReader } from 'pbf'
import { describe, expect, it } from 'vitest'
import { gradients } from '../../src/graph/gradients.js'
import {
  add,
  constant,
  conv1d,
  countMacs,
  describeTensor,
  exp,
  Graph,
  input,
  lower,
  matmul,
  mul,
  relu,
  scale,
  sum,
  tanh,
} from '../../src/graph/index.js'

interface Decoded {
  irVersion: number
  opset: number
  nodes: { type: string; inputs: string[]; outputs: string[] }[]
  initializers: { name: string; type: number; dims: number[]; bytes: Uint8Array }[]
  inputs: { name: string; type: number; dims: number[] }[]
  outputs: { name: string; type: number; dims: number[] }[]
}

type Field = (tag: number, pbf: PbfReader) => void
const read = (pbf: PbfReader, field: Field) => pbf.readMessage((tag, _, at) => field(tag, at), null)

/** The parts of an ONNX model by the field numbers of onnx.proto3, written anew from its text. */
function decode(bytes: Uint8Array): Decoded {
  const model: Decoded = {
    irVersion: 0,
    opset: 0,
    nodes: [],
    initializers: [],
    inputs: [],
    outputs: [],
  }
  const valueInfo = (pbf: PbfReader) => {
    const value = { name: '', type: 0, dims: [] as number[] }
    read(pbf, (tag, info) => {
      if (tag === 1) value.name = info.readString()
      if (tag !== 2) return
      read(info, (kind, type) => {
        if (kind !== 1) return
        read(type, (field, tensor) => {
          if (field === 1) value.type = tensor.readVarint()
          if (field !== 2) return
          read(tensor, (_, shape) =>
            read(shape, (size, dim) => {
              if (size === 1) value.dims.push(dim.readVarint())
            }),
          )
        })
      })
    })
    return value
  }
  const graph: Field = (tag, pbf) => {
    if (tag === 1) {
      const node = { type: '', inputs: [] as string[], outputs: [] as string[] }
      read(pbf, (field, at) => {
        if (field === 1) node.inputs.push(at.readString())
        if (field === 2) node.outputs.push(at.readString())
        if (field === 4) node.type = at.readString()
      })
      model.nodes.push(node)
    } else if (tag === 5) {
      const init = { name: '', type: 0, dims: [] as number[], bytes: new Uint8Array() }
      read(pbf, (field, at) => {
        if (field === 1) init.dims.push(at.readVarint())
        if (field === 2) init.type = at.readVarint()
        if (field === 8) init.name = at.readString()
        if (field === 9) init.bytes = at.readBytes().slice()
      })
      model.initializers.push(init)
    } else if (tag === 11) model.inputs.push(valueInfo(pbf))
    else if (tag === 12) model.outputs.push(valueInfo(pbf))
  }
  new PbfReader(bytes).readFields((tag, _, pbf) => {
    if (tag === 1) model.irVersion = pbf.readVarint()
    if (tag === 7) read(pbf, graph)
    if (tag === 8) {
      read(pbf, (field, opset) => {
        if (field === 2) model.opset = opset.readVarint()
      })
    }
  }, null)
  return model
}

const typesOf = ({ nodes }: Decoded) => nodes.map(({ type }) => type).sort()
const namesOf = (values: readonly { name: string }[]) => values.map(({ name }) => name).sort()

/** y = relu(x w) + b, and beside it what nobody asks for. */
function small() {
  const graph = new Graph()
  const x = input(graph, 'x', [2, 3])
  const w = input(graph, 'w', [3, 4])
  const b = input(graph, 'b', [4])
  const product = matmul(x, w)
  const rectified = relu(product)
  const unused = tanh(input(graph, 'unused', [7]))
  const y = add(rectified, b)
  return { graph, x, w, b, product, rectified, unused, y }
}

const FEEDS = {
  x: Float32Array.of(1, 2, 3, -1, -2, -3),
  w: Float32Array.from({ length: 12 }, (_, i) => i - 5),
  b: Float32Array.of(1, 2, 3, 4),
}
/** y for FEEDS. */
const Y = [2 + 1, 8 + 2, 14 + 3, 20 + 4, 1, 2, 3, 4]

async function runOrt(bytes: Uint8Array, feeds: Record<string, [Float32Array, number[]]>) {
  const session = await InferenceSession.create(bytes)
  const tensors = Object.entries(feeds).map(([name, [data, dims]]) => {
    return [name, new OrtTensor('float32', data, dims)] as const
  })
  const found = await session.run(Object.fromEntries(tensors))
  return Object.fromEntries(Object.entries(found).map(([name, tensor]) => [name, tensor.data]))
}

describe('lower', () => {
  it('keeps what the outputs need and nothing else', () => {
    const { x, w, b, y } = small()
    const program = lower({ y })
    const model = decode(program.bytes)
    expect(typesOf(model)).toEqual(['Add', 'Identity', 'MatMul', 'Relu'])
    expect(namesOf(model.inputs)).toEqual(['b', 'w', 'x'])
    expect(program.inputs).toEqual(new Map(Object.entries({ x, w, b })))
    expect(program.outputs).toEqual(new Map([['y', y]]))
  })

  it('orders nodes so that each comes after what it reads', () => {
    const { y, w, graph } = small()
    const model = decode(lower({ y, dw: gradients([sum(y)], [w])[0]! }).bytes)
    const known = new Set([...namesOf(model.inputs), ...namesOf(model.initializers)])
    for (const { inputs, outputs } of model.nodes) {
      for (const name of inputs) expect(known).toContain(name)
      for (const name of outputs) known.add(name)
    }
    for (const name of ['y', 'dw']) expect(known).toContain(name)
    expect(new Set(graph.nodes.map(({ id }) => id)).size).toBe(graph.nodes.length)
  })

  it('writes versions, types and shapes', () => {
    const graph = new Graph('float64')
    const x = input(graph, 'x', [2, 1, 5])
    const codes = input(graph, 'codes', [3], 'int32')
    const model = decode(lower({ y: exp(x), codes }).bytes)
    expect(model).toMatchObject({ irVersion: 9, opset: 20 })
    expect(model.inputs).toEqual(
      [
        { name: 'codes', type: 6, dims: [3] },
        { name: 'x', type: 11, dims: [2, 1, 5] },
      ].reverse(),
    )
    expect(model.outputs).toEqual([
      { name: 'y', type: 11, dims: [2, 1, 5] },
      { name: 'codes', type: 6, dims: [3] },
    ])
    expect(describeTensor(x)).toBe('float64 [2, 1, 5]')
  })

  it('cuts the graph at feeds: what lies behind them is not computed', () => {
    const { y, product } = small()
    const program = lower({ y }, { product })
    const model = decode(program.bytes)
    expect(typesOf(model)).toEqual(['Add', 'Identity', 'Relu'])
    expect(namesOf(model.inputs)).toEqual(['b', 'product'])
    expect(program.inputs.get('product')).toBe(product)
  })

  it('lets an output be a feed or an input', async () => {
    const { x, product, rectified } = small()
    const { bytes } = lower({ again: product, x2: x, rectified }, { product })
    const model = decode(bytes)
    expect(namesOf(model.inputs)).toEqual(['product', 'x'])
    const found = await runOrt(bytes, {
      product: [Float32Array.of(-1, 2, -3, 4, -5, 6, -7, 8), [2, 4]],
      x: [FEEDS.x, [2, 3]],
    })
    expect(found.again).toEqual(Float32Array.of(-1, 2, -3, 4, -5, 6, -7, 8))
    expect(found.rectified).toEqual(Float32Array.of(0, 2, 0, 4, 0, 6, 0, 8))
    expect(found.x2).toEqual(FEEDS.x)
  })

  it('builds constants in', () => {
    const { y } = small()
    const model = decode(lower({ y }, {}, { w: FEEDS.w, b: FEEDS.b, nobody: FEEDS.b }).bytes)
    expect(namesOf(model.inputs)).toEqual(['x'])
    expect(model.initializers).toHaveLength(2)
    const [w] = model.initializers.filter(({ dims }) => dims.length === 2)
    expect(w).toMatchObject({ type: 1, dims: [3, 4] })
    expect(new Float32Array(w!.bytes.buffer)).toEqual(FEEDS.w)
  })

  it('writes constants from views with an offset', () => {
    const { y } = small()
    const whole = Float32Array.of(9, ...FEEDS.b, 9)
    const model = decode(lower({ y }, {}, { b: whole.subarray(1, 5) }).bytes)
    expect(new Float32Array(model.initializers[0]!.bytes.buffer)).toEqual(FEEDS.b)
  })

  it('shares equal small constants', () => {
    const x = input(new Graph(), 'x', [2, 3])
    const model = decode(lower({ y: sum(scale(scale(x, 2), 2), [1]), z: sum(x, [1]) }).bytes)
    expect(model.initializers).toHaveLength(2)
  })

  it('gives bytes that ONNX Runtime loads and runs', async () => {
    const { y } = small()
    const whole = await runOrt(lower({ y }).bytes, {
      x: [FEEDS.x, [2, 3]],
      w: [FEEDS.w, [3, 4]],
      b: [FEEDS.b, [4]],
    })
    expect([...(whole.y as Float32Array)]).toEqual(Y)
    const builtIn = lower({ y }, {}, { w: FEEDS.w, b: FEEDS.b })
    const same = await runOrt(builtIn.bytes, { x: [FEEDS.x, [2, 3]] })
    expect(same.y).toEqual(whole.y)
  })

  it('gives the same bytes for the same graph', () => {
    expect(lower({ y: small().y }).bytes).toEqual(lower({ y: small().y }).bytes)
  })
})

describe('a backward program cut from its forward program', () => {
  it('needs the activations and not what made them, and gives the same gradients', async () => {
    const { x, w, b, product, rectified, y } = small()
    const [dw] = gradients([sum(mul(y, y))], [w])
    const whole = lower({ dw: dw! })
    const cut = lower({ dw: dw! }, { rectified })
    expect(typesOf(decode(whole.bytes))).toContain('MatMul')
    expect(typesOf(decode(cut.bytes))).not.toContain('Relu')
    expect([...cut.inputs.keys()].sort()).toEqual(['b', 'rectified', 'x'])
    expect(cut.inputs.get('x')).toBe(x)
    expect(cut.inputs.get('b')).toBe(b)
    expect([...cut.inputs.values()]).not.toContain(product)

    const feeds = Object.fromEntries(
      ([x, w, b] as const).map((tensor) => {
        const data = FEEDS[tensor.label as keyof typeof FEEDS]
        return [tensor.label, [data, [...tensor.shape]] as [Float32Array, number[]]]
      }),
    )
    const { dw: expected } = await runOrt(whole.bytes, feeds)
    const map = Float32Array.of(2, 8, 14, 20, 0, 0, 0, 0)
    const { w: _, ...rest } = feeds
    const { dw: found } = await runOrt(cut.bytes, { ...rest, rectified: [map, [2, 4]] })
    expect(found).toEqual(expected)
    // dw = x^T d, where d is 2 y under a positive product and else 0
    const d = [2 * 3, 2 * 10, 2 * 17, 2 * 24]
    expect([...(found as Float32Array)]).toEqual([1, 2, 3].flatMap((v) => d.map((g) => v * g)))
  })
})

describe('countMacs', () => {
  it('counts products and convolutions that are needed, each once', () => {
    const graph = new Graph()
    const x = input(graph, 'x', [1, 2, 10])
    const w = input(graph, 'w', [3, 2, 4])
    const y = conv1d(x, w, { stride: 2 }) // [1, 3, 4]
    expect(countMacs([y])).toBe(3 * 4 * 2 * 4)
    const a = input(graph, 'a', [5, 6])
    const product = matmul(a, input(graph, 'b', [6, 7]))
    const turned = matmul(a, input(graph, 'c', [5, 8]), { transA: true })
    expect(countMacs([product])).toBe(5 * 6 * 7)
    expect(countMacs([turned])).toBe(6 * 5 * 8)
    expect(countMacs([add(product, product), product])).toBe(5 * 6 * 7)
    const batches = matmul(input(graph, 'd', [4, 5, 6]), input(graph, 'e', [4, 6, 7]))
    expect(countMacs([batches, y])).toBe(4 * 5 * 6 * 7 + 3 * 4 * 2 * 4)
    expect(countMacs([constant(graph, [1], [1])])).toBe(0)
  })
})
