/** What a training step of the dense flagship needs of memory, and how to cut it to fit a budget. */
import { peakBytes, type Tensor } from '../graph/index.js'
import type { FlagshipConfig } from './flagship.js'
import { type Cut, cut, ROWS } from './flagship-layout.js'
import {
  type Block,
  buildBlock,
  buildStretch,
  differentiateBlock,
  differentiateStretch,
  type Stretch,
} from './flagship-programs.js'
import { FORECAST_WIDTH } from './forecast.js'
import type { Stage } from './model.js'
import { bytesOf, describeMemory, doesNotFit, ENGINE_BYTES } from './step-memory.js'

/** The graphs of one step, and how the segment is cut for them. */
export interface StepPlan {
  sizes: Cut
  stretch: Stretch
  block: Block
  /** Gradients, by name: see `differentiateStretch` and `differentiateBlock`. */
  backward: Record<string, Tensor>
  lossAndBack: Record<string, Tensor>
  /** Whether maps of all stretches are kept, or made again for the backward pass. */
  keepsMaps: boolean
  memory: StepMemory
}

/** Bytes of the parts of a step, estimated. */
export interface StepMemory {
  /** What the stretches hand to the blocks and back, for the whole segment. */
  features: number
  /** What the causal layers remember where each stretch begins. */
  states: number
  /** Maps between forward and backward, of all stretches or of one. */
  maps: number
  /** The stretch programs, forward and backward. */
  stretch: number
  /** The block programs, with and without gradients. */
  block: number
  /** The runtime, weights and their moments, and what the engine holds besides. */
  engine: number
  total: number
}

/**
 * What programs take beyond the results that live at one time, whose places in memory do not fit into
 * each other: measured, of blocks of 64 and of 500 tokens.
 */
const SCATTERED = 1.7

/** Where blocks get smaller for want of memory, they do so in these steps. */
const SHARES = [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16] as const

/**
 * The fastest plan within `budget` bytes: first the maps of the stretches are given up, which costs a
 * second forward pass through the causal layers, then blocks get smaller.
 *
 * @throws UsageError when no plan fits
 */
export function planStep(
  config: FlagshipConfig,
  { context, part, memory: budget = Number.POSITIVE_INFINITY }: Stage,
): StepPlan {
  let least = Number.POSITIVE_INFINITY
  for (const share of SHARES) {
    const sizes = cut(config, context, ROWS * share)
    const stretch = buildStretch(config, sizes.time, part)
    const block = buildBlock(config, sizes, part)
    const backward = differentiateStretch(stretch)
    const lossAndBack = differentiateBlock(block)
    const graphs = { sizes, stretch, block, backward, lossAndBack }
    for (const keepsMaps of [true, false]) {
      const memory = memoryOf(config, graphs, keepsMaps)
      if (memory.total <= budget) return { ...graphs, keepsMaps, memory }
      least = Math.min(least, memory.total)
    }
  }
  throw doesNotFit(context, least, budget)
}

function memoryOf(
  config: FlagshipConfig,
  graphs: Omit<StepPlan, 'keepsMaps' | 'memory'>,
  keepsMaps: boolean,
): StepMemory {
  const { sizes, stretch, block, backward, lossAndBack } = graphs
  const stretches = sizes.segment / sizes.time
  const widths = Object.values(stretch.features).reduce((sum, { shape }) => sum + shape[1]!, 0)
  const perSample = widths + (config.forecast ? FORECAST_WIDTH : 0)
  const forward = [stretch.features, stretch.next, stretch.maps].flatMap(Object.values)
  const memory = {
    features: 4 * perSample * (sizes.segment + sizes.tokens * sizes.phases),
    states: bytesOf(stretch.states) * stretches,
    maps: bytesOf(stretch.maps) * (keepsMaps ? stretches : 1),
    // each program keeps what it once took
    stretch: SCATTERED * (peakBytes(forward as Tensor[]) + peakBytes(Object.values(backward))),
    block: SCATTERED * (peakBytes(Object.values(lossAndBack)) + peakBytes([block.nats])),
    engine: ENGINE_BYTES,
  }
  return { ...memory, total: Object.values(memory).reduce((sum, bytes) => sum + bytes, 0) }
}

/** The cut and its arithmetic, for a person, and the total in bytes. */
export function describeStep({ sizes, keepsMaps, memory }: StepPlan): {
  text: string
  memory: number
} {
  const { segment, time, tokens, phases, chunk } = sizes
  const text =
    `${segment / time} stretches of ${time} samples, ${chunk / phases} blocks of ${tokens} tokens x ` +
    `${phases} phases, maps ${keepsMaps ? 'kept' : 'made twice'}; ${describeMemory(memory)}`
  return { text, memory: memory.total }
}
