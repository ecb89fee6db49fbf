export {
  type Checkpoint,
  DamagedCheckpointError,
  type FloatTensor,
  type FloatTensors,
  findIntact,
  loadCheckpoint,
  saveCheckpoint,
} from './checkpoint.js'
export { ContradictionError, DivergedError, RunExistsError } from './errors.js'
export {
  type Evaluate,
  initialFrom,
  type TrainHooks,
  type TrainOptions,
  type TrainResult,
  trainLoop,
} from './loop.js'
export { METRICS_FILE, readMetrics, type StepMetrics, type StepTiming } from './metrics.js'
export { loadModelFolder, type ModelFolder } from './model-folder.js'
export type { Recipe, RunState, TrainStage } from './state.js'
