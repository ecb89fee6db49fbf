import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { FileError } from '../base/errors.js'
import {
  CONFIG,
  DamagedCheckpointError,
  MODEL,
  type ModelFolder,
  parseFloats,
  parseJson,
} from '../models/checkpoint.js'
import { followPointer, isRunFolder, isStepFolder, runOf, withFallback } from './checkpoint.js'
import { CHECKSUMS, readChecksums, readPart, readVerified, STATE } from './step-folder.js'

/**
 * Loads the weights and the configuration of a model, without what only training needs, from
 * - a folder that was made to be shipped: `model.safetensors` beside `config.json`,
 * - the folder of one step of a run,
 * - the folder of a run: its best checkpoint, or its last if none was marked best.
 *
 * The configuration of a step is `config` of its `state.json`, else `config.json` of its run.
 *
 * @throws DamagedCheckpointError naming the damaged file
 * @throws FileError when the folder is missing or is none of the three
 */
export function loadModelFolder(dir: string): ModelFolder {
  if (!existsSync(dir) || !statSync(dir).isDirectory()) {
    throw new FileError({ fact: `there is no folder ${dir}` })
  }
  if (existsSync(join(dir, MODEL)) && existsSync(join(dir, CONFIG))) return loadShipped(dir)
  if (isStepFolder(dir)) return loadStep(dir)
  if (isRunFolder(dir)) {
    const best = existsSync(join(dir, 'ckpt', 'best.json'))
    return loadStep(followPointer(dir, best ? 'best' : 'last'))
  }
  const names = readdirSync(dir).sort()
  const shown = names.slice(0, 8).join(', ') + (names.length > 8 ? ', ...' : '')
  throw new FileError({
    fact: `${dir} is not a checkpoint`,
    expected: `${MODEL} beside ${CONFIG}, the folder of a step, or a run with ckpt/last.json`,
    got: shown === '' ? 'an empty folder' : shown,
  })
}

function loadShipped(folder: string): ModelFolder {
  const checked = existsSync(join(folder, CHECKSUMS))
  const sums = checked ? readSums(join(folder, CHECKSUMS)) : new Map<string, string>()
  const path = join(folder, CONFIG)
  return {
    folder,
    model: parseFloats(join(folder, MODEL), readVerified(folder, MODEL, sums)),
    config: parseJson(path, readVerified(folder, CONFIG, sums)),
  }
}

/** A shipped folder lists what it has: optimiser and state stay behind. */
function readSums(path: string): Map<string, string> {
  const sums = parseJson(path, readPart(path))
  if (typeof sums !== 'object' || sums === null) {
    throw new DamagedCheckpointError(path, { expected: 'a JSON object', got: JSON.stringify(sums) })
  }
  return new Map(Object.entries(sums))
}

function loadStep(folder: string): ModelFolder {
  const run = runOf(folder)
  return withFallback(run, () => {
    const sums = readChecksums(folder)
    const model = parseFloats(join(folder, MODEL), readVerified(folder, MODEL, sums))
    const state = parseJson(join(folder, STATE), readVerified(folder, STATE, sums))
    const config = (state as { config?: unknown } | null)?.config
    if (config !== undefined) return { folder, model, config }

    const path = run === undefined ? undefined : join(run, CONFIG)
    if (path === undefined || !existsSync(path)) {
      throw new FileError({
        fact: `${folder} does not tell the configuration of its model`,
        expected: `\`config\` in ${STATE}${path === undefined ? '' : `, or ${path}`}`,
      })
    }
    return { folder, model, config: parseJson(path, readPart(path)) }
  })
}
