export { cellEdges, cellOf, cellWidths } from './cells.js'
export { type DecodedAudio, decodeAudio, openAudio } from './decode.js'
export { AudioDecodeError } from './errors.js'
export { downmix } from './mix.js'
export { type PictureOptions, wavePicture } from './picture.js'
export {
  type LinearPredictor,
  plainPredictor,
  STAGES,
  strongPredictor,
} from './prediction/predictor.js'
export {
  QUANTIZER_NAMES,
  type Quantizer,
  type QuantizerName,
  quantizer,
  SILENCE,
} from './quantize.js'
export { Resampler, resample } from './resample.js'
export { realFft, type Spectrogram, type SpectrogramOptions, spectrogram } from './spectrum.js'
export type { AudioStream } from './stream.js'
export { encodeWav } from './wav.js'
