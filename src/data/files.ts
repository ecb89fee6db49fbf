import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { FileError, messageOf } from '../base/errors.js'

/** Endings of names that are written here and renamed when whole. */
export const TEMPORARY = '.tmp'

/** Whether something thrown by Node has that code, such as 'ENOENT'. */
export function hasCode(thrown: unknown, ...codes: string[]): boolean {
  return thrown instanceof Error && 'code' in thrown && codes.includes(String(thrown.code))
}

/**
 * Writes a file so that at any moment the old or the new one is there whole: to a temporary name,
 * synchronised to the disk, renamed. Makes missing folders.
 * @throws FileError when the disk refuses
 */
export async function writeAtomic(path: string, ...parts: (Uint8Array | string)[]): Promise<void> {
  const temporary = `${path}.${process.pid}${TEMPORARY}`
  try {
    await mkdir(dirname(path), { recursive: true })
    const file = await open(temporary, 'w')
    try {
      for (const part of parts) await file.writeFile(part)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (thrown) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw new FileError(
      { fact: `Cannot write ${path}.`, got: messageOf(thrown), hint: 'Is the disk full?' },
      { cause: thrown },
    )
  }
}
