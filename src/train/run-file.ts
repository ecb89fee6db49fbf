import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { FileError, messageOf } from '../base/errors.js'
import { replaceDurably } from './durable.js'
import { METRICS_FILE } from './metrics.js'
import type { Recipe } from './state.js'

/** Name of the file in a run folder. */
export const RUN_FILE = 'run.json'

const schema = z.object({
  version: z.literal(1),
  /** Version of Longwave that began the run. */
  longwave: z.string(),
  /** What the person asked for, defaults filled in. */
  options: z.record(z.string(), z.unknown()),
  model: z.object({ family: z.string(), config: z.unknown() }),
  recipe: z.custom<Recipe>((value) => typeof value === 'object' && value !== null),
})

/** run.json: with what a run was begun. */
export type RunFile = z.infer<typeof schema>

/** Whether something was trained in `runDir`: one that failed before its first step is nothing. */
export function holdsRun(runDir: string): boolean {
  const metrics = join(runDir, METRICS_FILE)
  return existsSync(join(runDir, 'ckpt')) || (existsSync(metrics) && statSync(metrics).size > 0)
}

/** Whether a run was begun in `runDir`, however far it came. */
export const wasBegun = (runDir: string) => holdsRun(runDir) || existsSync(join(runDir, RUN_FILE))

/** @throws FileError when it is not there, cannot be read or is damaged */
export function readRunFile(runDir: string): RunFile {
  const path = join(runDir, RUN_FILE)
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    throw new FileError(
      { fact: `${path} cannot be read.`, got: messageOf(error) },
      { cause: error },
    )
  }
}

/** Makes the run folder where it is missing. */
export function writeRunFile(runDir: string, file: RunFile): void {
  try {
    mkdirSync(runDir, { recursive: true })
    const text = `${JSON.stringify(file, undefined, 2)}\n`
    replaceDurably(runDir, RUN_FILE, new TextEncoder().encode(text))
  } catch (error) {
    throw new FileError(
      { fact: `${join(runDir, RUN_FILE)} cannot be written.`, got: messageOf(error) },
      { cause: error },
    )
  }
}
