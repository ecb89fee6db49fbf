export {
  decodeSafetensors,
  encodeSafetensors,
  type Safetensors,
  type SafetensorsDtype,
  SafetensorsError,
  type SafetensorsTensor,
} from './safetensors.js'
