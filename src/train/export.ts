import { mkdirSync } from 'node:fs'
import { FileError, messageOf } from '../base/errors.js'
import { CONFIG, MODEL } from '../models/checkpoint.js'
import { replaceDurably } from './durable.js'
import { loadModelFolder } from './model-folder.js'
import { CHECKSUMS, encodeFloats, encodeJson, sha256 } from './step-folder.js'

/**
 * Writes the weights and the configuration of a checkpoint, without what only training needs, as a
 * folder to ship: `model.safetensors`, `config.json`, `checksums.json`. Other files of `out` stay.
 *
 * @param from a run (its best checkpoint), one step of a run, or a shipped folder
 * @returns bytes of the weights, and the folder that they came from
 * @throws FileError when `out` cannot be written
 */
export function exportModel(from: string, out: string): { bytes: number; folder: string } {
  const { folder, model, config } = loadModelFolder(from)
  const weights = encodeFloats(model)
  const files: [string, Uint8Array][] = [
    [MODEL, weights],
    [CONFIG, new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`)],
  ]
  const sums = Object.fromEntries(files.map(([name, bytes]) => [name, sha256(bytes)]))
  try {
    mkdirSync(out, { recursive: true })
    for (const [name, bytes] of files) replaceDurably(out, name, bytes)
    replaceDurably(out, CHECKSUMS, encodeJson(sums))
  } catch (cause) {
    throw new FileError({ fact: `${out} could not be written: ${messageOf(cause)}` }, { cause })
  }
  return { bytes: weights.length, folder }
}
