/**
 * What the files of a checkpoint say, parsed and checked. Nothing is read here: the bytes come from a
 * folder (src/train) or from the network (src/generate).
 */
import {
  QUANTIZER_NAMES,
  type Quantizer,
  type QuantizerName,
  quantizer,
} from '../audio/quantize.js'
import { FileError, LongwaveError, messageOf } from '../base/errors.js'
import { decodeSafetensors } from '../formats/index.js'
import { sizeOf } from '../graph/tensor.js'
import type { Arrays, Model, ParameterSpec } from './model.js'
import { openModel, UnknownModelError } from './registry.js'

/** Files of a model that was made to be shipped. */
export const MODEL = 'model.safetensors'
export const CONFIG = 'config.json'

export interface FloatTensor {
  shape: readonly number[]
  /** Row-major, as many numbers as the product of `shape`. */
  data: Float32Array
}

export type FloatTensors = Record<string, FloatTensor>

/** A trained model as it is stored: its weights and the configuration that they belong to. */
export interface ModelFolder {
  /** Where it came from, for errors: a folder or an address. */
  folder: string
  model: FloatTensors
  /** Not yet checked: `openCheckpoint` does. */
  config: unknown
}

/** What the codes of a model stand for. */
export interface ModelAudio {
  /** In Hz. */
  sampleRate: number
  quantizer: Quantizer
}

/** A model, its trained weights, and what its codes stand for. */
export interface TrainedModel {
  model: Model
  weights: Arrays
  audio: ModelAudio
}

/** A checkpoint that does not hold what was saved. Exit 4. */
export class DamagedCheckpointError extends LongwaveError {
  override name = 'DamagedCheckpointError'
  override readonly exitCode = 4
  /** The damaged file. */
  readonly file: string

  constructor(
    file: string,
    failure: { fact?: string; expected: string; got: string; hint?: string },
    options?: { cause?: unknown },
  ) {
    super({ fact: `the checkpoint is damaged: ${file}`, ...failure }, options)
    this.file = file
  }
}

/**
 * Opens what a checkpoint holds as a model:
 *
 *   openCheckpoint(loadModelFolder('checkpoints/piano'))
 *
 * @throws FileError when the configuration does not describe a model
 * @throws DamagedCheckpointError when the weights are not those of that model
 * @throws UnknownModelError
 */
export function openCheckpoint({ folder, model: tensors, config }: ModelFolder): TrainedModel {
  const { family, config: options } = record(folder, 'the configuration', config)
  if (typeof family !== 'string') throw notDescribed(folder, `family ${JSON.stringify(family)}`)
  const described = record(folder, 'config', options)
  const audio = audioOf(folder, described.audio)
  const model = open(folder, family, described)
  return { model, weights: weightsOf(folder, tensors, model), audio }
}

function open(folder: string, family: string, config: unknown): Model {
  try {
    const model = openModel(family, config)
    if (Number.isSafeInteger(model.context) && model.context > 0) return model
    throw new TypeError(`a context of ${model.context} samples`)
  } catch (thrown) {
    if (thrown instanceof UnknownModelError) throw thrown
    throw notDescribed(folder, messageOf(thrown))
  }
}

function audioOf(folder: string, audio: unknown): ModelAudio {
  const { sampleRate, quantizer: name } = record(folder, 'config.audio', audio)
  if (!(typeof sampleRate === 'number' && sampleRate > 0)) {
    throw notDescribed(folder, `config.audio.sampleRate ${JSON.stringify(sampleRate)}`)
  }
  if (!QUANTIZER_NAMES.includes(name as QuantizerName)) {
    throw notDescribed(folder, `config.audio.quantizer ${JSON.stringify(name)}`)
  }
  return { sampleRate, quantizer: quantizer(name as QuantizerName) }
}

function record(folder: string, what: string, value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw notDescribed(folder, `${what} is ${JSON.stringify(value) ?? 'missing'}`)
}

function notDescribed(folder: string, got: string): FileError {
  return new FileError({
    fact: `The configuration of ${folder} does not describe a model.`,
    expected: 'family and config as train writes them',
    got: got.replace(/\s+/g, ' '),
  })
}

/**
 * The weights that a model takes of a checkpoint.
 *
 * @throws DamagedCheckpointError when one is missing or has another shape
 */
export function weightsOf(folder: string, tensors: FloatTensors, model: Model): Arrays {
  fitTensors(folder, tensors, model.parameters)
  const entries = model.parameters.map(({ name, shape }) => {
    const data = tensors[name]!.data
    return [name, data.subarray(0, sizeOf(shape))] as const
  })
  return Object.fromEntries(entries)
}

/** @throws DamagedCheckpointError when `tensors` lack one of `specs` or have it in another shape */
export function fitTensors(
  folder: string,
  tensors: FloatTensors,
  specs: readonly ParameterSpec[],
): void {
  for (const { name, shape } of specs) {
    const found = tensors[name]
    if (found?.shape.join() === shape.join()) continue
    const got = found ? `[${found.shape.join(', ')}]` : 'none'
    const expected = `\`${name}\` [${shape.join(', ')}]`
    throw new DamagedCheckpointError(folder, { expected, got })
  }
}

/** @throws DamagedCheckpointError naming `path` when the bytes are not JSON */
export function parseJson(path: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new DamagedCheckpointError(path, { expected: 'JSON', got: messageOf(error) })
  }
}

/** @throws DamagedCheckpointError naming `path` when the bytes are not float32 safetensors */
export function parseFloats(path: string, bytes: Uint8Array): FloatTensors {
  let tensors: ReturnType<typeof decodeSafetensors>['tensors']
  try {
    tensors = decodeSafetensors(bytes).tensors
  } catch (error) {
    const failure = { expected: 'a safetensors file', got: messageOf(error) }
    throw new DamagedCheckpointError(path, failure, { cause: error })
  }
  const floats = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
    if (dtype === 'F32') return [name, { shape, data }] as const
    const got = `${dtype} in \`${name}\``
    throw new DamagedCheckpointError(path, { expected: 'F32 tensors', got })
  })
  return Object.fromEntries(floats)
}
