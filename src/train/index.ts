export {
  DamagedCheckpointError,
  type FloatTensor,
  type FloatTensors,
  type ModelFolder,
} from '../models/checkpoint.js'
export {
  type Checkpoint,
  findIntact,
  loadCheckpoint,
  saveCheckpoint,
} from './checkpoint.js'
export { ContradictionError, DivergedError, RunExistsError, runExists } from './errors.js'
export { exportModel } from './export.js'
export {
  type TrainHooks,
  type TrainOptions,
  type TrainResult,
  trainLoop,
} from './loop.js'
export { METRICS_FILE, readMetrics, type StepMetrics, type StepTiming } from './metrics.js'
export { loadModelFolder } from './model-folder.js'
export {
  holdsRun,
  RUN_FILE,
  type RunFile,
  readRunFile,
  wasBegun,
  writeRunFile,
} from './run-file.js'
export { startTraining, type Training, type TrainRequest } from './start.js'
export type { Recipe, RunState, TrainStage } from './state.js'
