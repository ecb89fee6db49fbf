import { openCheckpoint, type TrainedModel } from '../models/index.js'
import { loadModelFolder } from '../train/index.js'

export type { ModelAudio } from '../models/index.js'

/** A model and its trained weights. */
export interface Trained extends TrainedModel {
  folder: string
  /** Samples of history that the model was made for. */
  context: number
}

/**
 * Opens the model of a checkpoint: a shipped folder, a run, or a step of one.
 *
 * @throws FileError, DamagedCheckpointError or UnknownModelError that name what is wrong
 */
export function openTrained(path: string): Trained {
  const files = loadModelFolder(path)
  const trained = openCheckpoint(files)
  return { ...trained, folder: files.folder, context: trained.model.context }
}
