import { z } from 'zod'
import type { SegmentCursor, StreamCursor } from '../data/index.js'
import type { AdamWConstants, LearningRate } from '../nn/index.js'
import { ContradictionError } from './errors.js'
import type { StepMetrics } from './metrics.js'

/** One entry of a curriculum. */
export interface TrainStage {
  /** Samples of history that the longest-sighted target of a segment sees. */
  context: number
  part: 'all' | 'local'
  /** Targets after which the stage ends. */
  targets: number
}

/** What the course of a run depends on. A run goes on with the same, or not at all. */
export interface Recipe {
  seed: number
  stages: readonly TrainStage[]
  targetsPerStep: number
  /** Bytes that a step may take, about, or null: what is cut smaller sums in another order. */
  memory: number | null
  learningRate: LearningRate
  /** Factors of the learning rate, and so of the decay, by prefix of a name; the first that fits counts. */
  rates: Readonly<Record<string, number>>
  weightDecay: number
  clip: number
  /** Share of the old moving average of the weights kept at every step; 0 for none. */
  average: number
  adamW: AdamWConstants
  evalEvery: number
  evalTargets: number
  /** What the data are told apart by; any JSON. */
  data: unknown
  /** What the initial weights are told apart by: the checkpoint they came from. */
  init: string | null
}

const count = z.number().int().nonnegative()

const stateSchema = z.object({
  version: z.literal(1),
  /** What a saved model is opened again by. */
  config: z.object({ family: z.string(), config: z.unknown() }),
  recipe: z.record(z.string(), z.unknown()),
  step: count,
  targets: count,
  /** The stage that the next step is of; as many as there are when the run has ended. */
  stage: count,
  /** Targets seen in this stage. */
  stageTargets: count,
  /** Where the loader stands; its random numbers are part of it. */
  cursor: z.custom<SegmentCursor | StreamCursor>((value) => typeof value === 'object').nullable(),
  updates: z.record(z.string(), count),
  /** The last step, where the run was stopped before the held-out segments were scored. */
  unscored: z.custom<StepMetrics>((value) => typeof value === 'object').nullable(),
  heldOutBits: z.number().nullable(),
  /** Of the stage that was scored last. */
  best: z.object({ step: count, targets: count, stage: count, bits: z.number() }).nullable(),
})

/** state.json of a checkpoint. */
export type RunState = z.infer<typeof stateSchema>

/** Checks what was read from state.json. */
export const parseState = (value: unknown) => stateSchema.safeParse(value)

/** @throws ContradictionError naming every entry of two JSON values that differs */
export function checkSame(what: string, before: unknown, now: unknown): void {
  const differing = differences(before, JSON.parse(JSON.stringify(now)), '')
  if (differing.length === 0) return
  throw new ContradictionError({
    fact: `The run was begun with another ${what}.`,
    expected: differing.map(({ path, a }) => `${path} ${a}`).join(', '),
    got: differing.map(({ path, b }) => `${path} ${b}`).join(', '),
    hint: 'Leave these options out to go on, or begin a new run with --init and another --out.',
  })
}

function differences(
  a: unknown,
  b: unknown,
  path: string,
): { path: string; a: string; b: string }[] {
  if (isObject(a) && isObject(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)])
    return [...keys].flatMap((key) =>
      differences(a[key], b[key], path === '' ? key : `${path}.${key}`),
    )
  }
  const [left, right] = [show(a), show(b)]
  return left === right ? [] : [{ path, a: left, b: right }]
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

const show = (value: unknown) => (value === undefined ? '(none)' : JSON.stringify(value))
