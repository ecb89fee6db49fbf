import { LongwaveError } from '../base/errors.js'
import { add } from './ops/elementwise.js'
import { constant } from './ops/input.js'
import { showShape, sizeOf, type Tensor } from './tensor.js'

/** A gradient was asked for that does not exist. Exit 70. */
export class GradientError extends LongwaveError {
  override name = 'GradientError'
  override readonly exitCode = 70
}

/**
 * Adds to the graph the gradients of a weighted sum of `outputs` with respect to `wrt`
 * (reverse-mode differentiation).
 *
 * @param outputs pairs of an output and the gradient that comes from beyond it, of the same shape;
 *   for a scalar loss the gradient may be left out: it is 1
 * @param wrt tensors of the graph, inputs or not
 * @returns one tensor of the shape of each of `wrt`; zeros where the outputs do not depend on it
 */
export function gradients(
  outputs: readonly (Tensor | readonly [output: Tensor, dy: Tensor])[],
  wrt: readonly Tensor[],
): Tensor[] {
  const parts = new Map<Tensor, Tensor>()
  const accumulate = (tensor: Tensor, part: Tensor) => {
    const known = parts.get(tensor)
    parts.set(tensor, known ? add(known, part) : part)
  }

  const roots: Tensor[] = []
  for (const entry of outputs) {
    const [output, dy] = 'graph' in entry ? [entry, undefined] : entry
    if (!dy && sizeOf(output.shape) !== 1) {
      throw new GradientError({
        fact: 'Only a single number has a gradient of its own.',
        expected: 'a loss of one element, or a pair [output, dy]',
        got: `${output.op.name} of shape ${showShape(output.shape)}`,
      })
    }
    roots.push(output)
    accumulate(output, dy ?? constant(output.graph, [1], output.shape))
  }

  const wanted = new Set(wrt)
  for (const node of between(roots, wanted)) {
    const dy = parts.get(node)
    if (!dy || node.inputs.length === 0) continue
    if (!node.op.vjp) {
      throw new GradientError({
        fact: `No gradient rule for ${node.op.name}.`,
        hint: `add a vjp to the op, or keep ${node.op.name} out of the loss`,
      })
    }
    const place = node.label === '' ? 'gradient' : `gradient of ${node.label}`
    const dInputs = node.graph.scoped(place, () => node.op.vjp!(dy, node, node.attrs))
    for (const [i, input] of node.inputs.entries()) {
      const part = dInputs[i]
      if (part) accumulate(input, part)
    }
    // an inner gradient that nobody asked for is not needed any more
    if (!wanted.has(node)) parts.delete(node)
  }

  return wrt.map((tensor) => {
    const found = parts.get(tensor)
    if (found) return found
    return constant(tensor.graph, new Float64Array(sizeOf(tensor.shape)), tensor.shape)
  })
}

/** Nodes on a path from `wanted` to `roots`, latest first. */
function between(roots: readonly Tensor[], wanted: ReadonlySet<Tensor>): Tensor[] {
  const depends = new Map<Tensor, boolean>()
  const order: Tensor[] = []
  const stack: [Tensor, number][] = roots.map((root) => [root, 0])
  // depth first with an explicit stack: unrolled recurrent graphs are deep
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const [node, next] = top
    if (next === 0 && depends.has(node)) {
      stack.pop()
      continue
    }
    const input = node.inputs[next]
    if (input) {
      top[1]++
      if (!depends.has(input)) stack.push([input, 0])
      continue
    }
    stack.pop()
    const isNeeded = wanted.has(node) || node.inputs.some((i) => depends.get(i))
    if (!depends.has(node) && isNeeded) order.push(node)
    depends.set(node, isNeeded)
  }
  return order.sort((a, b) => b.id - a.id)
}
