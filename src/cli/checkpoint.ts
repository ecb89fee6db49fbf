import { z } from 'zod'
import { QUANTIZER_NAMES, type Quantizer, quantizer } from '../audio/index.js'
import { FileError, messageOf } from '../base/errors.js'
import { type Arrays, type Model, openModel, UnknownModelError } from '../models/index.js'
import { initialFrom, loadModelFolder } from '../train/index.js'

/** What a trained model's codes stand for. */
export interface ModelAudio {
  sampleRate: number
  quantizer: Quantizer
}

/** A model and its trained weights. */
export interface Trained {
  folder: string
  model: Model
  weights: Arrays
  audio: ModelAudio
  /** Samples of history that the model was made for. */
  context: number
}

const schema = z.object({
  family: z.string(),
  config: z.looseObject({
    audio: z.object({
      sampleRate: z.number().positive(),
      quantizer: z.enum(QUANTIZER_NAMES as ['mu-law', 'linear']),
    }),
  }),
})

/**
 * Opens the model of a checkpoint: a shipped folder, a run, or a step of one.
 *
 * @throws FileError, DamagedCheckpointError or UnknownModelError that name what is wrong
 */
export function openTrained(path: string): Trained {
  const { folder, model: tensors, config } = loadModelFolder(path)
  const parsed = schema.safeParse(config)
  if (!parsed.success) throw notDescribed(folder, z.prettifyError(parsed.error))
  const { family, config: described } = parsed.data
  const model = open(folder, family, described)
  return {
    folder,
    model,
    weights: initialFrom(folder, tensors, model),
    audio: {
      sampleRate: described.audio.sampleRate,
      quantizer: quantizer(described.audio.quantizer),
    },
    context: model.context,
  }
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

function notDescribed(folder: string, got: string): FileError {
  return new FileError({
    fact: `The configuration of ${folder} does not describe a model.`,
    expected: 'family and config as train writes them',
    got: got.replace(/\s+/g, ' '),
  })
}
