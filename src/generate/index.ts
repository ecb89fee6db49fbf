export {
  type Continuation,
  type Continuations,
  type ContinueOptions,
  type ContinueVoicesOptions,
  continueRecording,
  continueVoices,
} from './continue.js'
export type { GenerateOptions } from './draws.js'
export { NoDistributionError } from './errors.js'
export { type FetchOptions, fetchCheckpoint } from './fetch.js'
export { ModelStream, type StreamSnapshot } from './model-stream.js'
export { ModelVoices, type VoicesOptions } from './model-voices.js'
export {
  type Checkpoint,
  canHold,
  type GeneratorOptions,
  type OpenVoicesOptions,
  openGenerator,
  openStream,
  openVoices,
  type Precision,
  type StreamOptions,
} from './open.js'
export { checkSampling, type Sampling, sampleCode } from './sample.js'
export { type PackedStep, StepHost, type StepSnapshot } from './step-host.js'
