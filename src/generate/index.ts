export { type Continuation, type ContinueOptions, continueRecording } from './continue.js'
export { NoDistributionError } from './errors.js'
export { type FetchOptions, fetchCheckpoint } from './fetch.js'
export { type GenerateOptions, ModelStream, type StreamSnapshot } from './model-stream.js'
export {
  type Checkpoint,
  type GeneratorOptions,
  openGenerator,
  openStream,
  type Precision,
  type StreamOptions,
} from './open.js'
export { checkSampling, type Sampling, sampleCode } from './sample.js'
export { type PackedStep, StepHost, type StepSnapshot } from './step-host.js'
