import { PbfWriter } from 'pbf'
import type { DType, Tensor } from './tensor.js'
import { showShape } from './tensor.js'

/** Opset 20 of the default domain: the first with Gelu, and what ONNX Runtime 1.17 and later run. */
const OPSET = 20
const IR_VERSION = 9

/** onnx.proto3, TensorProto.DataType */
const ONNX_TYPE: Record<DType | 'int64', number> = { float32: 1, int32: 6, int64: 7, float64: 11 }

export type Attribute = number | readonly number[] | { readonly float: number }

interface OnnxNode {
  opType: string
  inputs: readonly string[]
  outputs: readonly string[]
  attrs: Readonly<Record<string, Attribute>>
}

interface Initializer {
  name: string
  dtype: DType | 'int64'
  dims: readonly number[]
  bytes: Uint8Array
}

/** Collects the ONNX nodes of a program while ops lower themselves. */
export class Lowering {
  readonly nodes: OnnxNode[] = []
  readonly initializers: Initializer[] = []
  #names = 0
  #constants = new Map<string, string>()

  /** Adds one ONNX node of one output and returns the output's name. */
  emit(
    opType: string,
    inputs: readonly string[],
    attrs: Readonly<Record<string, Attribute>> = {},
  ): string {
    return this.emitAll(opType, inputs, 1, attrs)[0]!
  }

  /** Adds one ONNX node of `count` outputs and returns their names. */
  emitAll(
    opType: string,
    inputs: readonly string[],
    count: number,
    attrs: Readonly<Record<string, Attribute>> = {},
  ): string[] {
    const outputs = Array.from({ length: count }, () => `v${this.#names++}`)
    this.nodes.push({ opType, inputs, outputs, attrs })
    return outputs
  }

  /** A one-dimensional int64 constant, as axes and shapes are given to ONNX ops. */
  ints(values: readonly number[]): string {
    const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
    return this.#constant(`i:${values.join()}`, 'int64', [values.length], bytes)
  }

  /** A scalar constant of a floating type. */
  scalar(value: number, dtype: DType): string {
    const array = dtype === 'float64' ? Float64Array.of(value) : Float32Array.of(value)
    return this.#constant(`${dtype}:${value}`, dtype, [], new Uint8Array(array.buffer))
  }

  /** A constant tensor. */
  constant(data: Float32Array | Float64Array | Int32Array, shape: readonly number[]): string {
    const dtype =
      data instanceof Float64Array ? 'float64' : data instanceof Int32Array ? 'int32' : 'float32'
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    return this.#add(dtype, shape, bytes)
  }

  #constant(key: string, dtype: DType | 'int64', dims: readonly number[], bytes: Uint8Array) {
    const known = this.#constants.get(key)
    if (known !== undefined) return known
    const name = this.#add(dtype, dims, bytes)
    this.#constants.set(key, name)
    return name
  }

  #add(dtype: DType | 'int64', dims: readonly number[], bytes: Uint8Array): string {
    const name = `c${this.initializers.length}`
    this.initializers.push({ name, dtype, dims, bytes })
    return name
  }
}

/** A program: tensors that are fed, tensors that are fetched, and the ONNX model between them. */
export interface OnnxProgram {
  inputs: ReadonlyMap<string, Tensor>
  outputs: ReadonlyMap<string, Tensor>
  bytes: Uint8Array
}

/**
 * Lowers what `outputs` need to an ONNX model.
 *
 * @param feeds tensors taken as inputs of the program, by name. Besides the graph's inputs these may
 *   be any tensors: the graph is cut there, and what lies behind them is not computed. A forward and
 *   a backward program of one graph share activations in this way.
 * @param constants values of inputs that never change: they are built in, and the runtime may lay
 *   them out as it likes
 */
export function lower(
  outputs: Readonly<Record<string, Tensor>>,
  feeds: Readonly<Record<string, Tensor>> = {},
  constants: Readonly<Record<string, Float32Array>> = {},
): OnnxProgram {
  const names = new Map<Tensor, string>()
  const inputs = new Map<string, Tensor>()
  for (const [name, tensor] of Object.entries(feeds)) {
    names.set(tensor, name)
    inputs.set(name, tensor)
  }

  const to = new Lowering()
  for (const node of frugal(needed(Object.values(outputs), names))) {
    const value = node.op.name === 'input' ? constants[node.label] : undefined
    if (value) {
      names.set(node, to.constant(value, node.shape))
      continue
    }
    if (node.op.name === 'input') {
      names.set(node, node.label)
      inputs.set(node.label, node)
      continue
    }
    const from = node.inputs.map((input) => names.get(input)!)
    names.set(node, node.op.lower(to, from, node, node.attrs))
  }

  const fetched = new Map(Object.entries(outputs))
  for (const [name, tensor] of [...fetched].reverse()) {
    to.nodes.push({
      opType: 'Identity',
      inputs: [names.get(tensor)!],
      outputs: [name],
      attrs: {},
    })
  }
  return { inputs, outputs: fetched, bytes: encodeModel(to, inputs, fetched) }
}

/** The nodes that `roots` depend on, in schedule order, not looking behind `known`. */
function needed(roots: readonly Tensor[], known: ReadonlyMap<Tensor, string>): Tensor[] {
  const found = new Set<Tensor>()
  const open = [...roots]
  for (let node = open.pop(); node; node = open.pop()) {
    if (known.has(node) || found.has(node)) continue
    found.add(node)
    open.push(...node.inputs)
  }
  return [...found].sort((a, b) => a.id - b.id)
}

/**
 * The same with the nodes that nobody reads at the end, the last one first. ONNX Runtime 1.30 runs what
 * the last such node needs before it looks at the one before it: in the order of their making, the
 * gradient of the input would come first, and every other gradient's operands would be kept until then.
 */
function frugal(order: readonly Tensor[]): Tensor[] {
  const read = new Set(order.flatMap(({ inputs }) => inputs))
  const leaves = order.filter((node) => node.op.name !== 'input' && !read.has(node))
  const others = order.filter((node) => node.op.name === 'input' || read.has(node))
  return [...others, ...leaves.reverse()]
}

// Field numbers below are those of onnx.proto3.

function encodeModel(
  to: Lowering,
  inputs: ReadonlyMap<string, Tensor>,
  outputs: ReadonlyMap<string, Tensor>,
): Uint8Array {
  const pbf = new PbfWriter()
  pbf.writeVarintField(1, IR_VERSION)
  pbf.writeStringField(2, 'longwave')
  pbf.writeMessage(
    7,
    (_: null, graph: PbfWriter) => {
      for (const node of to.nodes) graph.writeMessage(1, writeNode, node)
      graph.writeStringField(2, 'longwave')
      for (const init of to.initializers) graph.writeMessage(5, writeInitializer, init)
      for (const input of inputs) graph.writeMessage(11, writeValueInfo, input)
      for (const output of outputs) graph.writeMessage(12, writeValueInfo, output)
    },
    null,
  )
  pbf.writeMessage(
    8,
    (_: null, opset: PbfWriter) => {
      opset.writeStringField(1, '')
      opset.writeVarintField(2, OPSET)
    },
    null,
  )
  return pbf.finish()
}

function writeNode(node: OnnxNode, pbf: PbfWriter): void {
  for (const input of node.inputs) pbf.writeStringField(1, input)
  for (const output of node.outputs) pbf.writeStringField(2, output)
  pbf.writeStringField(3, node.outputs[0]!)
  pbf.writeStringField(4, node.opType)
  for (const attr of Object.entries(node.attrs)) pbf.writeMessage(5, writeAttribute, attr)
}

function writeAttribute([name, value]: [string, Attribute], pbf: PbfWriter): void {
  pbf.writeStringField(1, name)
  if (typeof value === 'number') {
    pbf.writeVarintField(3, value)
    pbf.writeVarintField(20, 2) // INT
  } else if ('float' in value) {
    pbf.writeFloatField(2, value.float)
    pbf.writeVarintField(20, 1) // FLOAT
  } else {
    for (const int of value) pbf.writeVarintField(8, int)
    pbf.writeVarintField(20, 7) // INTS
  }
}

function writeInitializer(init: Initializer, pbf: PbfWriter): void {
  for (const dim of init.dims) pbf.writeVarintField(1, dim)
  pbf.writeVarintField(2, ONNX_TYPE[init.dtype])
  pbf.writeStringField(8, init.name)
  pbf.writeBytesField(9, init.bytes)
}

function writeValueInfo([name, tensor]: [string, Tensor], pbf: PbfWriter): void {
  pbf.writeStringField(1, name)
  pbf.writeMessage(
    2,
    (_: null, type: PbfWriter) => {
      type.writeMessage(1, writeTensorType, tensor)
    },
    null,
  )
}

function writeTensorType(tensor: Tensor, pbf: PbfWriter): void {
  pbf.writeVarintField(1, ONNX_TYPE[tensor.dtype])
  pbf.writeMessage(
    2,
    (_: null, shape: PbfWriter) => {
      for (const dim of tensor.shape) {
        shape.writeMessage(1, (size: number, d: PbfWriter) => d.writeVarintField(1, size), dim)
      }
    },
    null,
  )
}

/** A one-line picture of a tensor for messages. */
export function describeTensor(tensor: Tensor): string {
  return `${tensor.dtype} ${showShape(tensor.shape)}`
}
