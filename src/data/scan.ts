import { readdir, realpath, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { messageOf } from '../base/errors.js'
import { hasCode } from './files.js'

/** Extensions of files that are taken for audio; their content decides what they are. */
export const AUDIO_EXTENSIONS: readonly string[] = [
  '.wav',
  '.wave',
  '.flac',
  '.mp3',
  '.ogg',
  '.oga',
  '.opus',
]

/** A file or folder that is not used, and why. */
export interface Skipped {
  source: string
  reason: string
}

/** A file to be looked into. */
export interface Candidate {
  /** Path in the folder, with "/" between its parts. */
  source: string
  path: string
  bytes: number
}

export interface Scan {
  /** Sorted by `source`. */
  candidates: Candidate[]
  skipped: Skipped[]
  /** Files without an audio extension. */
  ignored: number
  /** Files and folders whose names start with a dot. */
  hidden: number
}

/**
 * Lists a folder and all below it. Links are followed; a link back to a folder above is reported,
 * as is everything that cannot be read.
 */
export async function scan(folder: string): Promise<Scan> {
  const result: Scan = { candidates: [], skipped: [], ignored: 0, hidden: 0 }
  await visit(folder, '', [], result)
  const order = (a: { source: string }, b: { source: string }) => (a.source < b.source ? -1 : 1)
  result.candidates.sort(order)
  result.skipped.sort(order)
  return result
}

async function visit(dir: string, prefix: string, above: string[], result: Scan): Promise<void> {
  const skip = (source: string, reason: string) => result.skipped.push({ source, reason })
  let names: string[]
  let real: string
  try {
    real = await realpath(dir)
    if (above.includes(real)) {
      skip(prefix.slice(0, -1), 'a link to a folder that it is in: a cycle')
      return
    }
    names = (await readdir(dir)).sort()
  } catch (thrown) {
    skip(prefix.slice(0, -1) || '.', `cannot be listed: ${reasonOf(thrown)}`)
    return
  }
  for (const name of names) {
    const path = join(dir, name)
    const source = prefix + name
    if (name.startsWith('.')) {
      result.hidden++
      continue
    }
    const isAudio = AUDIO_EXTENSIONS.includes(extname(name).toLowerCase())
    try {
      const is = await stat(path)
      if (is.isDirectory()) {
        if (isAudio) skip(source, 'a folder, not a file (what is in it was looked at)')
        await visit(path, `${source}/`, [...above, real], result)
      } else if (!isAudio) {
        result.ignored++
      } else if (is.isFile()) {
        result.candidates.push({ source, path, bytes: is.size })
      } else {
        skip(source, 'not a regular file')
      }
    } catch (thrown) {
      skip(source, reasonOf(thrown))
    }
  }
}

/** Why a path could not be read, in words. */
export function reasonOf(thrown: unknown): string {
  if (hasCode(thrown, 'ENOENT')) return 'a broken link, or gone'
  if (hasCode(thrown, 'ELOOP')) return 'a link that leads to itself: a cycle'
  if (hasCode(thrown, 'EACCES', 'EPERM')) return 'no permission to read it'
  return messageOf(thrown)
}
