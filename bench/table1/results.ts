/** What the table is made of, as docs/results/table1.json keeps it. */
import type { Baselines } from 'longwave/eval'
import type { ScoreOf } from './scores.js'
import type { Speed, StepCost } from './speed.js'
import type { Trained } from './training.js'

/** The learning rates that were tried: held-out bits of each, null where it diverged. */
export interface Trial {
  rate: number
  heldOutBits: number | null
}

/** A trained model and its scores by set and split. */
export interface Row {
  trained: Trained
  /** Commit that it was trained with. */
  commit: string
  scores: Record<string, Record<string, ScoreOf>>
}

/** What is the same for all models of a table. */
export type Budget = 'equalTargets' | 'equalTime'

export interface ModelResult {
  name: string
  label: string
  /** Empty where they are still to come. */
  trials: Trial[]
  /** The best of the rates; null where there is none yet. */
  rate: number | null
  equalTargets?: Row | undefined
  equalTime?: Row | undefined
  speed?: { int8: Speed | undefined; f32: Speed | undefined }
  /** Null where samples are made in the engine. */
  cost?: StepCost | null | undefined
}

/** All about one data set. */
export interface SetResult {
  name: string
  /** The machine of the last call of the script, and its commit. */
  machine: Record<string, unknown>
  options: Options
  /** Of each set: seconds of audio by split. */
  seconds: Record<string, Record<string, number>>
  /** Bits of models that need no training, by set and split. */
  reference: Record<string, Record<string, Baselines>>
  /** All, also those that are not done yet. The first is the one that others are compared with. */
  models: ModelResult[]
}

/** What is asked for. */
export interface Options {
  name: string
  rate: number
  /** Seconds of the windows that `longwave prepare --rescale` rescales; 0 for recordings as they are. */
  rescale: number
  targets: number
  /** Of training under the second budget; 0 where there is none. */
  minutes: number
  targetsPerStep: number
  trialTargets: number
  /** Learning rates that are tried beyond the first ones, at most, while the best is at an edge. */
  moreRates: number
  /** Seconds of every piece that are scored. */
  limit: number
  /** Threads of training and of scoring; 0 for all cores. */
  threads: number
  /** Seconds of audio that are made. */
  seconds: number
  seed: number
}
