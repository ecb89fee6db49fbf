import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FileError, messageOf, UsageError } from '../base/errors.js'
import { encodeSafetensors } from '../formats/index.js'
import {
  DamagedCheckpointError,
  type FloatTensors,
  MODEL,
  parseJson,
} from '../models/checkpoint.js'

/** One checkpoint folder: which files it holds, how they are written, checked and read. */

export interface CheckpointParts {
  model: FloatTensors
  optim: FloatTensors
  /** Anything that JSON keeps exactly: loop, cursor and generator states, configuration. */
  state: unknown
}

export const OPTIM = 'optim.safetensors'
export const STATE = 'state.json'
export const CHECKSUMS = 'checksums.json'

/**
 * The files of a checkpoint folder by name, `checksums.json` (SHA-256 of each other file) last.
 *
 * @throws UsageError when `state` holds something that JSON would change
 */
export function encodeParts({ model, optim, state }: CheckpointParts): Map<string, Uint8Array> {
  checkJson(state, 'state')
  const files = new Map<string, Uint8Array>([
    [MODEL, encodeFloats(model)],
    [OPTIM, encodeFloats(optim)],
    [STATE, encodeJson(state)],
  ])
  const sums = [...files].map(([name, bytes]) => [name, sha256(bytes)])
  return files.set(CHECKSUMS, encodeJson(Object.fromEntries(sums)))
}

export const encodeJson = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

export function encodeFloats(tensors: FloatTensors): Uint8Array {
  const entries = Object.entries(tensors).map(
    ([name, { shape, data }]) => [name, { dtype: 'F32', shape, data }] as const,
  )
  return encodeSafetensors(Object.fromEntries(entries))
}

/** `undefined` where JSON drops a key is let through; a lost NaN or Map is not. */
function checkJson(value: unknown, path: string): void {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (typeof value === 'number' && Number.isFinite(value)) return
  if (Array.isArray(value)) {
    value.forEach((item, i) => {
      checkJson(item, `${path}[${i}]`)
    })
    return
  }
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    for (const [key, item] of Object.entries(value)) {
      if (item !== undefined) checkJson(item, `${path}.${key}`)
    }
    return
  }
  throw new UsageError({
    fact: `\`${path}\` of a checkpoint would not survive JSON`,
    expected: 'null, a boolean, a finite number, a string, a list or a plain object of these',
    got: typeof value === 'number' ? String(value) : Object.prototype.toString.call(value),
  })
}

/**
 * The SHA-256 of each file of the folder, as it was when it was saved.
 *
 * @throws DamagedCheckpointError, FileError
 */
export function readChecksums(folder: string): Map<string, string> {
  const path = join(folder, CHECKSUMS)
  const sums = parseJson(path, readPart(path))
  const entries = typeof sums === 'object' && sums !== null ? Object.entries(sums) : []
  for (const name of [MODEL, OPTIM, STATE]) {
    if (!entries.some(([key, sum]) => key === name && typeof sum === 'string')) {
      throw new DamagedCheckpointError(path, { expected: `the SHA-256 of ${name}`, got: 'none' })
    }
  }
  return new Map(entries)
}

/**
 * The bytes of one file of the folder, after checking them.
 *
 * @throws DamagedCheckpointError, FileError
 */
export function readVerified(folder: string, name: string, sums: Map<string, string>): Uint8Array {
  const path = join(folder, name)
  const bytes = readPart(path)
  const [expected, got] = [sums.get(name), sha256(bytes)]
  if (expected !== undefined && expected !== got) {
    throw new DamagedCheckpointError(path, {
      expected: `SHA-256 ${expected}`,
      got: `SHA-256 ${got}`,
    })
  }
  return bytes
}

/** Throws unless every file of the folder is what was saved. */
export function verifyFolder(folder: string): void {
  const sums = readChecksums(folder)
  for (const name of [MODEL, OPTIM, STATE]) readVerified(folder, name, sums)
}

/** Reads a file that belongs to a checkpoint: that it is missing is damage. */
export function readPart(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new DamagedCheckpointError(path, { expected: 'a file', got: 'no such file' })
    }
    throw new FileError({ fact: `cannot read ${path}`, got: messageOf(error) }, { cause: error })
  }
}
