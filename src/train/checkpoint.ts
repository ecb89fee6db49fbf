import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { FileError, messageOf, UsageError } from '../base/errors.js'
import { DamagedCheckpointError, MODEL, parseFloats, parseJson } from '../models/checkpoint.js'
import { removeFolder, replaceDurably, syncFolder, TEMPORARY, writeDurably } from './durable.js'
import {
  CHECKSUMS,
  type CheckpointParts,
  encodeJson,
  encodeParts,
  OPTIM,
  readChecksums,
  readPart,
  readVerified,
  STATE,
  verifyFolder,
} from './step-folder.js'

/**
 * The checkpoints of a run: `ckpt/step_000500/` for each kept step, and the pointers `ckpt/last.json`
 * and `ckpt/best.json`. A process may be killed at any instruction: `last.json` always names a whole
 * checkpoint, because a folder gets its name after its files are on the disk, the pointer moves after
 * the folder has its name, and an old folder goes after the pointer has moved.
 *
 * A run has one writer at a time; readers may come at any time.
 */

export type { CheckpointParts } from './step-folder.js'

export interface Checkpoint extends CheckpointParts {
  /** Where it was read from. */
  folder: string
}

type Pointer = 'last' | 'best'

const CKPT = 'ckpt'
/** `step_000500`, or `step_000500.2` for the second checkpoint of a step whose first is in use. */
const STEP = /^step_(\d{6,})(?:\.(\d+))?$/

/**
 * Saves a checkpoint, points `last` (and, when asked, `best`) to it, then deletes the steps that are
 * neither this one, nor the best, nor the newest other intact one.
 *
 * @param step how many steps were taken, from 0
 * @returns the folder of the checkpoint
 * @throws FileError when the disk is full or not writable; the previous checkpoint is then intact
 */
export function saveCheckpoint(
  runDir: string,
  step: number,
  parts: CheckpointParts & { best?: boolean },
): string {
  if (!Number.isSafeInteger(step) || step < 0) {
    throw new UsageError({ fact: '`step` is not a count of steps', got: String(step) })
  }
  const files = encodeParts(parts)
  const ckpt = join(runDir, CKPT)
  let name: string
  let previous: string | undefined
  try {
    if (mkdirSync(ckpt, { recursive: true }) !== undefined) syncFolder(runDir)
    removeTemporaries(ckpt)
    previous = pointedBy(ckpt, 'last')
    name = freeName(ckpt, step)
    writeFolder(ckpt, name, files)
    // `best` first: killed between the two, the run repeats this step and sets both again
    const pointer = encodeJson({ folder: name, step })
    if (parts.best) replaceDurably(ckpt, 'best.json', pointer)
    replaceDurably(ckpt, 'last.json', pointer)
  } catch (error) {
    try {
      removeTemporaries(ckpt)
    } catch {
      // the first failure is the one to report; the next save cleans up
    }
    throw unwritable(`cannot save step ${step} in ${ckpt}`, error)
  }
  try {
    prune(ckpt, name, previous)
  } catch (error) {
    throw unwritable(`cannot delete old checkpoints in ${ckpt}`, error)
  }
  return join(ckpt, name)
}

/**
 * Loads a checkpoint and checks every file of it.
 *
 * @param dirOrRun a run folder, or the folder of one step (then `which` is not looked at)
 * @param which a pointer of the run, the name of a step (`step_000500`), or a path
 * @throws DamagedCheckpointError naming the file and, in its hint, another intact checkpoint
 * @throws FileError when there is no such checkpoint or it cannot be read
 */
export function loadCheckpoint(dirOrRun: string, which: Pointer | (string & {}) = 'last') {
  const folder = locate(dirOrRun, which)
  return withFallback(runOf(folder), (): Checkpoint => {
    const sums = readChecksums(folder)
    const read = (name: string) => readVerified(folder, name, sums)
    return {
      folder,
      model: parseFloats(join(folder, MODEL), read(MODEL)),
      optim: parseFloats(join(folder, OPTIM), read(OPTIM)),
      state: parseJson(join(folder, STATE), read(STATE)),
    }
  })
}

/** The folder of the newest checkpoint of a run that is intact, the `last` before all others. */
export function findIntact(runDir: string): string | undefined {
  const ckpt = join(runDir, CKPT)
  const name = firstIntact(ckpt, [pointedBy(ckpt, 'last'), ...stepsOf(ckpt)])
  return name === undefined ? undefined : join(ckpt, name)
}

/** Whether `dir` looks like the folder of a run that has saved something. */
export const isRunFolder = (dir: string) => isFolder(join(dir, CKPT))

/** Whether `dir` looks like the folder of one step. */
export const isStepFolder = (dir: string) =>
  STEP.test(basename(resolve(dir))) ||
  (existsSync(join(dir, CHECKSUMS)) && existsSync(join(dir, STATE)))

/** The run that a step folder lies in. */
export const runOf = (stepFolder: string) => {
  const ckpt = dirname(resolve(stepFolder))
  return basename(ckpt) === CKPT ? dirname(ckpt) : undefined
}

/** The step folder that a pointer names. Throws as `loadCheckpoint`. */
export function followPointer(runDir: string, pointer: Pointer): string {
  const ckpt = join(runDir, CKPT)
  const path = join(ckpt, `${pointer}.json`)
  if (!existsSync(path)) {
    const steps = stepsOf(ckpt)
    throw new FileError({
      fact: `there is no \`${pointer}\` checkpoint in ${runDir}`,
      expected: path,
      got: steps.length > 0 ? steps.join(', ') : 'no checkpoint at all',
    })
  }
  return withFallback(runDir, () => {
    const folder = join(ckpt, readPointer(path))
    if (isFolder(folder)) return folder
    throw new DamagedCheckpointError(path, { expected: folder, got: 'no such folder' })
  })
}

/** Runs `read`; damage gets a hint that names an intact checkpoint of the run. */
export function withFallback<T>(runDir: string | undefined, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof DamagedCheckpointError) || error.failure.hint !== undefined) throw error
    const intact = runDir === undefined ? undefined : findIntact(runDir)
    const { expected = '', got = '' } = error.failure
    const hint =
      intact === undefined
        ? 'no other checkpoint of this run is intact'
        : `another checkpoint of this run is intact: ${intact}`
    throw new DamagedCheckpointError(error.file, { expected, got, hint }, { cause: error })
  }
}

function locate(dirOrRun: string, which: string): string {
  if (!isFolder(dirOrRun)) throw new FileError({ fact: `there is no folder ${dirOrRun}` })
  if (isStepFolder(dirOrRun)) return dirOrRun
  if (which === 'last' || which === 'best') return followPointer(dirOrRun, which)
  const places = [join(dirOrRun, CKPT, which), resolve(dirOrRun, which), resolve(which)]
  const found = places.find(isFolder)
  if (found !== undefined) return found
  throw new FileError({
    fact: `there is no checkpoint ${which} in ${dirOrRun}`,
    expected: 'last, best, the name of a step or a path',
    got: `steps ${stepsOf(join(dirOrRun, CKPT)).join(', ') || '(none)'}`,
  })
}

/** The names of the step folders, newest first. */
function stepsOf(ckpt: string): string[] {
  if (!isFolder(ckpt)) return []
  const key = (name: string) => {
    const [, step, copy] = STEP.exec(name)!
    return Number(step) * 1000 + Number(copy ?? 1)
  }
  const names = readdirSync(ckpt).filter((name) => STEP.test(name))
  return names.sort((a, b) => key(b) - key(a))
}

function readPointer(path: string): string {
  const value = parseJson(path, readPart(path)) as { folder?: unknown; step?: unknown } | null
  const { folder, step } = value ?? {}
  if (typeof folder === 'string' && Number(STEP.exec(folder)?.[1]) === step) return folder
  throw new DamagedCheckpointError(path, {
    expected: 'the name of a step folder and its step',
    got: JSON.stringify(value),
  })
}

function pointedBy(ckpt: string, pointer: Pointer): string | undefined {
  try {
    return readPointer(join(ckpt, `${pointer}.json`))
  } catch (error) {
    if (error instanceof DamagedCheckpointError) return undefined
    throw error
  }
}

function removeTemporaries(ckpt: string): void {
  for (const name of readdirSync(ckpt)) {
    if (name.startsWith(TEMPORARY)) rmSync(join(ckpt, name), { recursive: true, force: true })
  }
}

/** A folder cannot be replaced at one stroke, so one that a pointer names keeps its name. */
function freeName(ckpt: string, step: number): string {
  const used = [pointedBy(ckpt, 'last'), pointedBy(ckpt, 'best')]
  const plain = `step_${String(step).padStart(6, '0')}`
  let name = plain
  for (let copy = 2; used.includes(name); copy++) name = `${plain}.${copy}`
  if (existsSync(join(ckpt, name))) removeFolder(join(ckpt, name))
  return name
}

function writeFolder(ckpt: string, name: string, files: Map<string, Uint8Array>): void {
  const temporary = join(ckpt, `${TEMPORARY}${name}`)
  mkdirSync(temporary)
  for (const [file, bytes] of files) writeDurably(join(temporary, file), bytes)
  syncFolder(temporary)
  renameSync(temporary, join(ckpt, name))
  syncFolder(ckpt)
}

function prune(ckpt: string, name: string, previous: string | undefined): void {
  const kept = [name, pointedBy(ckpt, 'best')]
  const steps = stepsOf(ckpt)
  if (steps.every((step) => kept.includes(step))) return
  // one that would not load is no fallback, so it does not count
  const older = [previous, ...steps].filter((step) => step !== name)
  kept.push(firstIntact(ckpt, older))
  for (const step of steps) {
    if (!kept.includes(step)) removeFolder(join(ckpt, step))
  }
}

function firstIntact(ckpt: string, names: (string | undefined)[]): string | undefined {
  return names.find((name) => {
    if (name === undefined) return false
    try {
      verifyFolder(join(ckpt, name))
      return true
    } catch {
      return false
    }
  })
}

const isFolder = (path: string) => existsSync(path) && statSync(path).isDirectory()

function unwritable(fact: string, error: unknown): Error {
  const code = (error as NodeJS.ErrnoException).code
  const hint =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? 'the disk is full: free some space and resume'
      : 'make the folder writable and resume'
  return new FileError({ fact, got: messageOf(error), hint }, { cause: error })
}
