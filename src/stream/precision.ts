/**
 * The scheme of `int8`: weights int8 with a scale per output channel; activations int16 with one fixed
 * scale per vector or ring, set so that `HEADROOM` times what calibration saw still fits and sums
 * stay within int32; products exact in integers. Small products stay float32. A cache of int8 has
 * a scale per dim.
 */
import type { Instruction, StepPlan } from '../nn/step-plan.js'
import { type Int8Weights, toInt8 } from './blocks.js'

/** The largest absolute numbers that calibration saw. */
export interface Ranges {
  /** Per vector. */
  vectors: Readonly<Record<string, number>>
  /** Per cache and dim, [groups width]. */
  caches: Readonly<Record<string, Float32Array>>
}

/** How a product's input becomes integers. */
export interface Source {
  /** Numbers times this are int16. */
  factor: number
  /** Bound of the integers. */
  limit: number
  /** Only what is not zero is kept and visited: it comes out of a rectifier. */
  sparse: boolean
}

/** What `lower` needs to know about precision. */
export interface Scheme {
  /** Products in integers. */
  products: ReadonlyMap<Instruction, Int8Weights>
  /** By the name of the vector or ring that products in integers read. */
  sources: ReadonlyMap<string, Source>
}

/** Products with fewer inputs or outputs than these cost nothing and stay float32. */
const LEAST_INPUTS = 32
const LEAST_OUTPUTS = 16
/** Activations may become this much larger than any that calibration saw. */
const HEADROOM = 4

export const isProduct = ({ kernel }: Instruction) => kernel === 'affine' || kernel === 'convolve'

export const FLOAT32: Scheme = { products: new Map(), sources: new Map() }

export function int8Scheme(plan: StepPlan, ranges: Ranges): Scheme {
  const consumers = new Map<string, Instruction[]>()
  for (const step of plan.instructions.filter(isProduct)) {
    const from = step.inputs[0]!
    consumers.set(from, [...(consumers.get(from) ?? []), step])
  }
  const rectified = rectifiedVectors(plan)
  const pushed = new Map(
    plan.instructions
      .filter(({ kernel }) => kernel === 'push')
      .map(({ inputs, outputs }) => [outputs[0]!, inputs[0]!]),
  )
  const products = new Map<Instruction, Int8Weights>()
  const sources = new Map<string, Source>()
  for (const [from, steps] of consumers) {
    // whoever reads a ring reads the same integers
    const large = steps.filter((step) => isLarge(plan, step))
    if (large.length === 0 || (pushed.has(from) && large.length < steps.length)) continue
    let most = 1
    for (const step of large) {
      const { data, shape } = plan.weights[step.weights[0]!]!
      const weights = toInt8(data, shape[0]!)
      products.set(step, weights)
      most = Math.max(most, weights.most)
    }
    const vector = pushed.get(from) ?? from
    const limit = Math.min(32767, Math.floor(0x7fffffff / most))
    const range = ranges.vectors[vector] || 1
    sources.set(from, {
      factor: limit / (HEADROOM * range),
      limit,
      sparse: rectified.has(vector),
    })
  }
  return { products, sources }
}

function isLarge(plan: StepPlan, { weights }: Instruction): boolean {
  const { data, shape } = plan.weights[weights[0]!]!
  return shape[0]! >= LEAST_OUTPUTS && data.length / shape[0]! >= LEAST_INPUTS
}

/** Vectors whose every writer rectifies. */
function rectifiedVectors(plan: StepPlan): Set<string> {
  const found = new Set<string>()
  const others = new Set<string>()
  for (const { kernel, numbers, outputs } of plan.instructions) {
    const list = kernel === 'relu' || numbers.relu ? found : others
    list.add(outputs[0]!)
  }
  for (const name of others) found.delete(name)
  return found
}
