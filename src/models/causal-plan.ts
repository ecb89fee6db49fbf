/** How segments are cut into stretches, and what a training step takes of memory. */
import { peakBytes, type Tensor } from '../graph/index.js'
import {
  buildCausal,
  type CausalNetwork,
  type CausalStretch,
  differentiateCausal,
} from './causal-network.js'
import type { Stage } from './model.js'
import { bytesOf, describeMemory, doesNotFit, ENGINE_BYTES, weightBytes } from './step-memory.js'

/** Samples of a stretch: enough for full speed of most networks. */
export const STRETCH = 8000

/** The longest stretch of a network: whole periods. */
export function longestStretch({ stretch = STRETCH, period = 1 }: CausalNetwork): number {
  return Math.max(1, Math.floor(stretch / period)) * period
}

/** `length` samples, or a few fewer, as `count` stretches of `time` samples, whole periods. */
export function stretches(
  length: number,
  bound = STRETCH,
  period = 1,
): { count: number; time: number } {
  const whole = Math.max(1, Math.floor(length / period))
  const count = Math.ceil(whole / Math.max(1, Math.floor(bound / period)))
  return { count, time: Math.floor(whole / count) * period }
}

export interface CausalPlan {
  /** Segments that are learned from at once. */
  batch: number
  count: number
  time: number
  stretch: CausalStretch
  /** Gradients by name: see `differentiateCausal`. */
  backward: Record<string, Tensor>
  memory: CausalMemory
}

/** Bytes of the parts of a step, estimated. */
export interface CausalMemory {
  /** What is remembered where each stretch begins. */
  states: number
  /** The programs of a stretch, and the gradients. */
  stretch: number
  engine: number
  total: number
}

/** For want of memory stretches get shorter, in these steps. */
const SHARES = [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16] as const

/**
 * The plan with the longest stretches within the stage's memory.
 *
 * @throws UsageError when no plan fits
 */
export function planCausal(
  network: CausalNetwork,
  { context, memory: budget = Number.POSITIVE_INFINITY, targetsPerStep = context }: Stage,
): CausalPlan {
  let least = Number.POSITIVE_INFINITY
  for (const share of SHARES) {
    const bound = longestStretch(network) * share
    const { count, time } = stretches(context, bound, network.period)
    const segment = count * time
    const batch = network.carries ? Math.max(1, Math.round(targetsPerStep / segment)) : 1
    const stretch = buildCausal(network, time, 'float32', batch)
    const backward = differentiateCausal(stretch)
    const parameters = bytesOf(Object.fromEntries(stretch.p.tensors)) / 4
    const forward = count > 1 ? peakBytes(Object.values(stretch.next)) : 0
    const peaks = forward + peakBytes(Object.values(backward))
    const memory = {
      states: bytesOf(stretch.states) * count,
      stretch: peaks + bytesOf(backward),
      engine: ENGINE_BYTES + weightBytes(parameters),
      total: 0,
    }
    memory.total = memory.states + memory.stretch + memory.engine
    if (memory.total <= budget) return { batch, count, time, stretch, backward, memory }
    least = Math.min(least, memory.total)
  }
  throw doesNotFit(context, least, budget)
}

/** The cut and its arithmetic, for a person, and the total in bytes. */
export function describeCausal({ batch, count, time, memory }: CausalPlan) {
  const streams = batch > 1 ? `${batch} streams of ` : ''
  const text = `${streams}${count} stretches of ${time} samples; ${describeMemory(memory)}`
  return { text, memory: memory.total }
}
