import { gruMacs } from './ops/gru.js'
import { sizeOf, type Tensor } from './tensor.js'

/** Multiply-accumulate operations of the products and convolutions that `outputs` need. */
export function countMacs(outputs: readonly Tensor[]): number {
  const seen = new Set<Tensor>()
  const open = [...outputs]
  let total = 0
  for (let node = open.pop(); node; node = open.pop()) {
    if (seen.has(node)) continue
    seen.add(node)
    open.push(...node.inputs)
    const [a, b] = node.inputs
    if (node.op.name === 'matmul') {
      const inner = sizeOf(a!.shape) / (sizeOf(node.shape) / node.shape.at(-1)!)
      total += sizeOf(node.shape) * inner
    } else if (node.op.name === 'gru') {
      total += gruMacs(node)
    } else if (node.op.name === 'conv1d') {
      total += sizeOf(node.shape) * b!.shape[1]! * b!.shape[2]!
    }
  }
  return total
}
