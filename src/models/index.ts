export {
  CONFIG,
  DamagedCheckpointError,
  type FloatTensor,
  type FloatTensors,
  fitTensors,
  MODEL,
  type ModelAudio,
  type ModelFolder,
  openCheckpoint,
  parseFloats,
  parseJson,
  type TrainedModel,
  weightsOf,
} from './checkpoint.js'
export {
  encoderGeometry,
  type FlagshipConfig,
  flagshipPresets,
  recallPath,
  receptiveField,
} from './flagship.js'
export { type LocalConfig, localPath } from './flagship-local.js'
export type * from './model.js'
export { openModel, type Preset, presets, UnknownModelError } from './registry.js'
export { type SampleRnnConfig, samplernnPresets } from './samplernn.js'
export { type WaveNetConfig, wavenetField, wavenetPresets } from './wavenet.js'
