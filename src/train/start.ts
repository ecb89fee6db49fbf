import { Worker } from 'node:worker_threads'
import { type Failure, LongwaveError } from '../base/errors.js'
import type { Backend } from '../engine/index.js'
import type { TrainHooks, TrainResult } from './loop.js'
import type { StepMetrics } from './metrics.js'
import type { Recipe } from './state.js'

/** All that a training thread needs to know, as plain JSON. */
export interface TrainRequest {
  runDir: string
  /** Folder of the dataset. */
  data: string
  model: { family: string; config: unknown }
  recipe: Recipe
  backend: Backend
  /** 0 for the engine's own choice. */
  threads: number
  resume: boolean
  from?: number
  saveEverySeconds: number
  minutes?: number
}

/** What the thread tells. */
export type FromWorker =
  | { type: 'step'; metrics: StepMetrics }
  | { type: 'note'; text: string }
  | { type: 'milestone' }
  | { type: 'done'; result: TrainResult }
  | { type: 'failed'; failure: RemoteFailure }

/** What the thread is told: finish the step, save and end. */
export interface ToWorker {
  type: 'stop'
}

/** An error on its way between threads: structured cloning keeps no class. */
export interface RemoteFailure {
  name: string
  message: string
  stack: string | undefined
  /** Of a LongwaveError. */
  known?: { failure: Failure; exitCode: number }
}

/** A LongwaveError that was thrown in the training thread. */
class ThreadError extends LongwaveError {
  override readonly exitCode: number

  constructor(name: string, { failure, exitCode }: NonNullable<RemoteFailure['known']>) {
    super(failure)
    this.name = name
    this.exitCode = exitCode
  }
}

/** A training in a thread of its own: ONNX Runtime blocks the thread it is called from. */
export interface Training {
  done: Promise<TrainResult>
  /** Ends after the current step, with a checkpoint. */
  stop(): void
}

/** Starts a thread that trains; hooks are called in this one. */
export function startTraining(request: TrainRequest, hooks: TrainHooks = {}): Training {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: request })
  const done = new Promise<TrainResult>((resolve, reject) => {
    worker.on('message', (message: FromWorker) => {
      switch (message.type) {
        case 'step':
          return hooks.onStep?.(message.metrics)
        case 'note':
          return hooks.onNote?.(message.text)
        case 'milestone':
          return hooks.onMilestone?.()
        case 'done':
          return resolve(message.result)
        case 'failed':
          return reject(revive(message.failure))
      }
    })
    worker.on('error', reject)
    // after `done` or `failed` this changes nothing
    worker.on('exit', (code) => reject(new Error(`the training thread ended with code ${code}`)))
  })
  return { done, stop: () => worker.postMessage({ type: 'stop' } satisfies ToWorker) }
}

function revive({ name, message, stack, known }: RemoteFailure): Error {
  const error = known ? new ThreadError(name, known) : new Error(message)
  if (stack !== undefined) error.stack = stack
  return error
}
