export {
  encoderGeometry,
  type FlagshipConfig,
  flagshipPresets,
  type LocalConfig,
  localPath,
  receptiveField,
} from './flagship.js'
export type * from './model.js'
export { openModel, presets } from './registry.js'
