import { sizeOf, type Tensor } from './tensor.js'

const BYTES = { float32: 4, float64: 8, int32: 4 } as const

/**
 * The most memory that intermediate results take at one time while `outputs` are computed in the order
 * of their graph, in bytes; inputs and constants are not counted, and nothing is kept that is not
 * needed any more. An estimate: an engine may fuse, reuse and round as it likes.
 */
export function peakBytes(outputs: readonly Tensor[]): number {
  const needed = new Set<Tensor>()
  const open = [...outputs]
  for (let node = open.pop(); node; node = open.pop()) {
    if (needed.has(node)) continue
    needed.add(node)
    open.push(...node.inputs)
  }
  const order = [...needed].sort((a, b) => a.id - b.id)
  const lastUse = new Map<Tensor, number>()
  for (const node of order) {
    for (const input of node.inputs) lastUse.set(ownerOf(input), node.id)
  }
  for (const output of outputs) lastUse.set(ownerOf(output), Number.POSITIVE_INFINITY)

  let live = 0
  let peak = 0
  const dying = new Map<number, number>()
  for (const node of order) {
    const bytes = ownerOf(node) === node ? bytesOf(node) : 0
    live += bytes
    peak = Math.max(peak, live)
    const end = lastUse.get(node)
    if (bytes > 0 && end !== undefined) dying.set(end, (dying.get(end) ?? 0) + bytes)
    live -= dying.get(node.id) ?? 0
  }
  return peak
}

/** The node whose memory a node is a view of. */
function ownerOf(node: Tensor): Tensor {
  return node.op.name === 'reshape' ? ownerOf(node.inputs[0]!) : node
}

function bytesOf({ op, shape, dtype }: Tensor): number {
  if (op.name === 'input' || op.name === 'constant') return 0
  return sizeOf(shape) * BYTES[dtype]
}
