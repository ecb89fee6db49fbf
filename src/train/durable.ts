import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Leftovers under this prefix are of a killed process: no reader looks at them. */
export const TEMPORARY = '.tmp-'

/** Writes a new file and waits until the disk holds it. */
export function writeDurably(path: string, bytes: Uint8Array): void {
  const file = openSync(path, 'wx')
  try {
    writeFileSync(file, bytes)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Waits until the disk holds the names in a folder: what was created, renamed or deleted in it. */
export function syncFolder(path: string): void {
  // Windows cannot open a folder; its renames are durable with the file system's journal
  if (process.platform === 'win32') return
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** Replaces `folder/name` so that a reader finds the old bytes or the new ones, never a part. */
export function replaceDurably(folder: string, name: string, bytes: Uint8Array): void {
  const temporary = join(folder, `${TEMPORARY}${name}`)
  rmSync(temporary, { force: true })
  writeDurably(temporary, bytes)
  renameSync(temporary, join(folder, name))
  syncFolder(folder)
}

/** Deletes a folder so that a reader finds it whole or not at all. */
export function removeFolder(path: string): void {
  const parent = dirname(path)
  const doomed = join(parent, `${TEMPORARY}old-${path.slice(parent.length + 1)}`)
  rmSync(doomed, { recursive: true, force: true })
  renameSync(path, doomed)
  rmSync(doomed, { recursive: true })
}
