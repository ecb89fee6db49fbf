import { appendFile, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FileError, messageOf } from '../base/errors.js'
import { type ManifestRow, parseJson, rowSchema } from './manifest.js'

/** Names the files that a run has finished, so that a stopped run goes on. Gone when it ends. */
export const JOURNAL_FILE = 'prepare.journal.jsonl'

/** What is known of a converted file before it has a split. */
export type Converted = Omit<ManifestRow, 'split'>

const convertedSchema = rowSchema.omit({ split: true })

/** Files that an earlier, stopped run has finished; damaged lines are passed over. */
export async function readJournal(dir: string): Promise<Converted[]> {
  const text = await readFile(join(dir, JOURNAL_FILE), 'utf8').catch(() => '')
  return text
    .split('\n')
    .map((line) => convertedSchema.safeParse(parseJson(line)))
    .flatMap((row) => (row.success ? [row.data] : []))
}

/** Adds a finished file. Its shard must be on the disk. */
export async function appendJournal(dir: string, row: Converted): Promise<void> {
  const path = join(dir, JOURNAL_FILE)
  try {
    await mkdir(dir, { recursive: true })
    // the line break comes first, too: the line before may have been cut by a crash
    await appendFile(path, `\n${JSON.stringify(row)}\n`)
  } catch (thrown) {
    throw new FileError(
      { fact: `Cannot write ${path}.`, got: messageOf(thrown) },
      { cause: thrown },
    )
  }
}
