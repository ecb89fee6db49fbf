import type { Engine } from '../engine/index.js'
import type { StepPlan } from '../nn/step-plan.js'

/** Named arrays: parameters, or gradients of the same names and sizes. */
export type Arrays = Record<string, Float32Array>

/** A parameter of a model. */
export interface ParameterSpec {
  readonly name: string
  readonly shape: readonly number[]
}

/** One stage of training: which segments are seen, and which part of the model learns. */
export interface Stage {
  /** Samples of history that the longest-sighted target of a segment sees. */
  context: number
  /** `local` trains the local path and the head alone, as if the context path were not there. */
  part: 'all' | 'local'
  /** Bytes that a step may take, about; no bound by default. */
  memory?: number
  /** Targets of a step, about, for learners that take all its segments at once; one segment by default. */
  targetsPerStep?: number
}

/** Losses of some segments. */
export interface Score {
  /** Sum of -ln p over the targets. */
  nats: number
  targets: number
}

/** What one call of a learner found. */
export interface Lesson extends Score {
  /** Gradients of the MEAN nats per target; the arrays are reused by the next call. */
  gradients: Arrays
}

/** What a learner remembers from step to step. */
export interface Carried {
  /** Parallel recordings: segment i of a step goes on where segment i of the one before ended. */
  readonly streams: number
  /** What is remembered after the last step: zeros at first, set by whoever goes on with a run. */
  readonly state: Readonly<Arrays>
}

/** Computes losses and gradients for one stage. */
export interface Learner {
  /** Samples of one segment whose successors are targets. */
  readonly segmentLength: number
  /** Samples of history that a segment has before these, only to prepare what is adaptive. */
  readonly lead: number
  /** Segments whose targets make up one step, for about `targets` targets a step. */
  segmentsPerStep(targets: number): number
  /** Where a step goes on from the step before. */
  readonly carried?: Carried
  /** Segments to be scored, for about `targets` targets; those of a step where left out. */
  heldOut?(targets: number): { count: number; length: number }
  /** Multiply-accumulate operations per target of a forward pass, as executed. */
  readonly macsPerTarget: number
  /**
   * @param parameters current values
   * @param segments codes, each of lead + segmentLength + 1: the last is only a target
   * @param seed what masks (dropout, token drop) are drawn from; a step index does
   * @param begins which segments begin anew, where others are carried on; by default all do
   */
  learn(
    parameters: Arrays,
    segments: readonly Uint8Array[],
    seed: number,
    begins?: readonly boolean[],
  ): Promise<Lesson>
  /** The losses alone, with nothing dropped and nothing carried over. */
  score(parameters: Arrays, segments: readonly Uint8Array[]): Promise<Score>
  dispose(): Promise<void>
}

/** Scores recordings. */
export interface Scorer {
  /**
   * @param codes a whole piece
   * @param context the most samples of history that any prediction may use
   * @param onProgress samples scored so far
   * @param from the first sample whose score is wanted: what neither it nor a later one hears of is
   *   not computed
   * @returns -ln p of every sample from there on given its past, [codes.length - from]; the first of
   *   a piece is given no past
   */
  score(
    codes: Uint8Array,
    context: number,
    onProgress?: (samples: number) => void,
    from?: number,
  ): Promise<Float32Array>
  dispose(): Promise<void>
}

/** Continues recordings, one sample at a time. */
export interface Generator {
  /** Takes a prompt in; what was there before is forgotten. */
  prime(codes: Uint8Array, onProgress?: (samples: number) => void): Promise<void>
  /** Logits of the next sample, [256]. */
  logits(): Promise<Float32Array>
  /** Appends a sample. */
  push(code: number): Promise<void>
  /** A copy of all that is remembered, and going back to one, where a generator can. */
  snapshot?(): unknown
  restore?(snapshot: unknown): void
  dispose(): Promise<void>
}

/**
 * What a host writes into an input of a step plan: the code of the newest sample, its value, or a row
 * of `Forecaster` after it.
 */
export type StepFeed = 'code' | 'value' | 'forecast'

/** How the dense pass hands a history over to a stream of the step form. */
export interface Absorb {
  engine: Engine
  parameters: Arrays
  /** Inputs of the network, [samples]. */
  history: Int32Array
  context: number
  /** Takes what a cache of the plan remembers of the tokens of a phase, from its first on. */
  take(cache: string, phase: number, rows: Float32Array): void
  onProgress: (samples: number) => void
}

/** A model sample by sample, for a sampler that is not the engine (src/stream). */
export interface StepForm {
  /** Of every input of the plan. */
  readonly feeds: Readonly<Record<string, StepFeed>>
  /** Value of each code, [256]. */
  readonly values: Float32Array
  /** Samples after which nothing earlier is remembered but by caches; infinite where a state never forgets. */
  readonly memory: number
  /** @param context samples of history that a prediction sees */
  plan(parameters: Arrays, context: number): StepPlan
  /**
   * Fills the caches by the dense pass, with the newest `context` samples at most.
   * @returns samples that the caches know then
   */
  absorb?(absorb: Absorb): Promise<number>
}

/** A model family bound to one configuration. `Config` is plain JSON and is saved in checkpoints. */
export interface Model<Config = unknown> {
  /** Name of the family, by which checkpoints find it again. */
  readonly family: string
  readonly config: Config
  /** Samples of history that predictions are made for. */
  readonly context: number
  readonly parameters: readonly ParameterSpec[]
  /** Number of parameters. */
  readonly size: number
  /** Initial values, the same for the same seed on every machine. */
  initialise(seed: number): Arrays
  /**
   * How a step of a stage is computed, for a person, and about what memory it takes, in bytes.
   * @throws UsageError when it does not fit into the memory allowed
   */
  plan(stage: Stage): { text: string; memory: number }
  learner(engine: Engine, stage: Stage): Promise<Learner>
  scorer(engine: Engine, parameters: Arrays): Promise<Scorer>
  generator(engine: Engine, parameters: Arrays, context: number): Promise<Generator>
  /** Where a sample costs each weight once, and no engine is needed. */
  readonly stepForm?: StepForm
}
