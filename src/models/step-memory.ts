/** What steps of any model take of memory, and how it is told. */
import { UsageError } from '../base/errors.js'
import { sizeOf, type Tensor } from '../graph/index.js'

/** The runtime, weights and their moments, and what the engine holds besides: measured, of a small model. */
export const ENGINE_BYTES = 0.6e9

/** What weights and their updates take beyond those of a small model, which are counted above: measured. */
export function weightBytes(parameters: number): number {
  return 64 * Math.max(0, parameters - 4e6)
}

/** Bytes of float32 arrays of these shapes. */
export function bytesOf(tensors: Readonly<Record<string, Tensor>>): number {
  return Object.values(tensors).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0)
}

const formatGB = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`

/** `states 0.10 GB + ... = 1.00 GB` */
export function describeMemory(memory: { total: number } & object): string {
  const { total, ...parts } = memory
  const each = Object.entries<number>(parts).map(([name, bytes]) => `${name} ${formatGB(bytes)}`)
  return `${each.join(' + ')} = ${formatGB(total)}`
}

/** @param least bytes of the most frugal plan */
export function doesNotFit(context: number, least: number, budget: number): UsageError {
  return new UsageError({
    fact: `A training step at a context of ${context} samples does not fit into the memory allowed.`,
    expected: `${formatGB(least)} or more`,
    got: formatGB(budget),
    hint: 'allow more with --memory, or train with a shorter --context',
  })
}
