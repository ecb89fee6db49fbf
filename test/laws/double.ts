/** The product's own code in double precision, for laws that float32 is too coarse to hold. */
import { vi } from 'vitest'
import type { Engine } from '../../src/engine/index.js'
import { type DType, Graph, type Tensor } from '../../src/graph/index.js'

type Named = Readonly<Record<string, Tensor>>

/**
 * Runs `body` in float64, whatever it opens: arrays of float32 that are made meanwhile are of doubles,
 * and `engine` compiles every graph with all its float32 turned to float64. What is held to a law is
 * then the code that trains, drivers and all, and no copy of it.
 */
export async function inDouble(engine: Engine, body: () => Promise<void>): Promise<void> {
  const compile = engine.compile.bind(engine)
  const compiling = vi.spyOn(engine, 'compile').mockImplementation((outputs, feeds = {}) => {
    const copyOf = doubled(Object.values(outputs)[0]!.graph)
    const copies = (named: Named) =>
      Object.fromEntries(Object.entries(named).map(([name, tensor]) => [name, copyOf(tensor)]))
    return compile(copies(outputs), copies(feeds))
  })
  vi.stubGlobal('Float32Array', Float64Array)
  try {
    await body()
  } finally {
    vi.unstubAllGlobals()
    compiling.mockRestore()
  }
}

/** Copies a graph, node by node; gives the copy of each tensor. */
function doubled({ nodes }: Graph): (tensor: Tensor) => Tensor {
  const graph = new Graph('float64')
  const copies = new Map<Tensor, Tensor>()
  const copyOf = (tensor: Tensor) => copies.get(tensor)!
  for (const node of nodes) {
    copies.set(node, graph.add(node.op, node.inputs.map(copyOf), attrsOf(node), node.label))
  }
  return copyOf
}

/** Inputs and constants alone say what type they are of. */
function attrsOf({ op, attrs }: Tensor): unknown {
  if (op.name !== 'input' && op.name !== 'constant') return attrs
  const { dtype, data, ...rest } = attrs as { dtype: DType; data?: ArrayLike<number> }
  if (dtype === 'int32') return attrs
  return { ...rest, dtype: 'float64', ...(data && { data: Float64Array.from(data) }) }
}
