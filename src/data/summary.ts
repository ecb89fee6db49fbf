import { extname } from 'node:path'
import { type CodesMeta, describeCodes, type ManifestRow } from './manifest.js'
import type { PrepareReport } from './report.js'

/** Formats that each extension promises. */
const PROMISES: Readonly<Record<string, readonly string[]>> = {
  '.wav': ['wav'],
  '.wave': ['wav'],
  '.flac': ['flac'],
  '.mp3': ['mp3'],
  '.ogg': ['ogg vorbis', 'ogg opus', 'ogg flac'],
  '.oga': ['ogg vorbis', 'ogg opus', 'ogg flac'],
  '.opus': ['ogg opus'],
}

/** How many files the report names for clipping and silence. */
const NAMED = 5
/** Files are named for silence from this share on. */
const MUCH_SILENCE = 0.5

/** Oddities of a used file. */
export function notesOf(row: ManifestRow): PrepareReport['notes'] {
  const extension = extname(row.source).toLowerCase()
  if (PROMISES[extension]?.includes(row.format) !== false) return []
  return [{ source: row.source, note: `named ${extension}, but its content is ${row.format}` }]
}

/** Clipping and silence over all files. */
export function levelsOf(
  rows: readonly ManifestRow[],
): Pick<PrepareReport, 'clipping' | 'silence'> {
  const clipped = rows.filter((row) => row.clipped > 0).sort((a, b) => b.clipped - a.clipped)
  const silent = rows
    .filter((row) => row.silent >= MUCH_SILENCE)
    .sort((a, b) => b.silent - a.silent)
  const samples = rows.reduce((sum, row) => sum + row.samples, 0)
  const silentSamples = rows.reduce((sum, row) => sum + row.silent * row.samples, 0)
  return {
    clipping: {
      files: clipped.length,
      samples: clipped.reduce((sum, row) => sum + row.clipped, 0),
      worst: clipped.slice(0, NAMED).map((row) => ({ source: row.source, samples: row.clipped })),
    },
    silence: {
      share: samples === 0 ? 0 : silentSamples / samples,
      worst: silent.slice(0, NAMED).map((row) => ({ source: row.source, share: row.silent })),
    },
  }
}

/** How many sources of before are not used now. */
export function removedFrom(before: readonly ManifestRow[], rows: readonly ManifestRow[]): number {
  const now = new Set(rows.map(({ source }) => source))
  return before.filter(({ source }) => !now.has(source)).length
}

/** Why all files are decoded anew, if they are. */
export function rebuiltBecause(before: CodesMeta | undefined, now: CodesMeta): string | undefined {
  if (before === undefined || describeCodes(before) === describeCodes(now)) return undefined
  return `all files, because the dataset was of ${describeCodes(before)} and is now of ${describeCodes(now)}`
}
