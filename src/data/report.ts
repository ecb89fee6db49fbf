import { type CodesMeta, type DatasetMeta, describeCodes, SPLITS } from './manifest.js'
import type { Skipped } from './scan.js'

/** What `prepare` did and saw. */
export interface PrepareReport extends CodesMeta {
  folder: string
  out: string
  splitBy: string
  files: {
    used: number
    /** Of the used: decoded in this run, and taken over from an earlier one. */
    decoded: number
    reused: number
    skipped: number
    /** Without an audio extension, and with a name that starts with a dot. */
    ignored: number
    hidden: number
    /** In the dataset before, not in it now. */
    removed: number
  }
  skipped: Skipped[]
  /** Oddities of files that are used. */
  notes: { source: string; note: string }[]
  /** Set when all was made anew: what has changed. */
  rebuilt?: string
  splits: DatasetMeta['splits']
  clipping: { files: number; samples: number; worst: { source: string; samples: number }[] }
  /** Share of 20 ms frames under -60 dBFS, over all files. */
  silence: { share: number; worst: { source: string; share: number }[] }
}

/** Where `prepare` stands. */
export interface PrepareProgress {
  source: string
  filesDone: number
  filesTotal: number
  bytesDone: number
  bytesTotal: number
  /** Seconds of audio converted in this run, at the rate of the dataset. */
  audioSeconds: number
  /** Since the start of the run, in seconds. */
  elapsed: number
}

/** Columns side by side; the first is aligned to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, c) => Math.max(...rows.map((row) => row[c]!.length)))
  return rows.map((row) =>
    row
      .map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!)))
      .join('  '),
  )
}

function list(items: readonly { source: string; text: string }[]): string[] {
  const width = Math.min(48, Math.max(...items.map(({ source }) => source.length)))
  return items.map(({ source, text }) => `  ${source.padEnd(width)}  ${text}`)
}

/** The report as text for a person. */
export function formatReport(report: PrepareReport): string {
  const { files, clipping, silence } = report
  const lines = [`${report.out}: ${describeCodes(report)}, split by ${report.splitBy}`, '']
  const row = (name: string, count: { files: number; samples: number; seconds: number }) => [
    name,
    `${count.files}`,
    (count.seconds / 60).toFixed(2),
    `${count.samples}`,
  ]
  const all = SPLITS.map((split) => report.splits[split])
  const sum = (key: 'files' | 'samples' | 'seconds') => all.reduce((n, one) => n + one[key], 0)
  lines.push(
    ...table([
      ['split', 'files', 'minutes', 'samples'],
      ...SPLITS.map((split) => row(split, report.splits[split])),
      row('total', { files: sum('files'), samples: sum('samples'), seconds: sum('seconds') }),
    ]),
    '',
    `files:    ${files.used} used (${files.decoded} decoded, ${files.reused} unchanged), ` +
      `${files.skipped} skipped, ${files.ignored} ignored (no audio name), ${files.hidden} hidden`,
    `clipping: ${clipping.samples} samples in ${clipping.files} files`,
    ...list(clipping.worst.map(({ source, samples }) => ({ source, text: `${samples} samples` }))),
    `silence:  ${percent(silence.share)} of 20 ms frames under -60 dBFS`,
    ...list(silence.worst.map(({ source, share }) => ({ source, text: percent(share) }))),
    `levels:   ${levels(report)}`,
  )
  if (files.removed > 0) lines.push(`removed:  ${files.removed} that are no longer in the source`)
  if (report.rebuilt !== undefined) lines.push(`rebuilt:  ${report.rebuilt}`)
  if (report.notes.length > 0) {
    const notes = report.notes.map(({ source, note }) => ({ source, text: note }))
    lines.push('', 'used, but note:', ...list(notes))
  }
  if (report.skipped.length > 0) {
    const skipped = report.skipped.map(({ source, reason }) => ({ source, text: reason }))
    lines.push('', 'skipped:', ...list(skipped))
  }
  return lines.join('\n')
}

function levels({ rescale, sampleRate }: PrepareReport): string {
  if (rescale === undefined) return 'kept as they are, nothing is normalised'
  return (
    `every window of ${rescale / sampleRate} s (${rescale} samples) rescaled by its own minimum and maximum; ` +
    'each is a piece, what is left over of a recording is dropped'
  )
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`
}

/** One line: files done, speed in seconds of audio per second, time left. */
export function formatProgress(progress: PrepareProgress): string {
  const { filesDone, filesTotal, bytesDone, bytesTotal, audioSeconds, elapsed } = progress
  const share = bytesTotal === 0 ? 1 : bytesDone / bytesTotal
  const speed = elapsed > 0 ? Math.round(audioSeconds / elapsed) : 0
  const left = share > 0 ? clock(Math.ceil((elapsed * (1 - share)) / share)) : '?'
  return (
    `prepare ${filesDone}/${filesTotal} files | ${Math.floor(100 * share)}% | ` +
    `${(audioSeconds / 60).toFixed(1)} min of audio | x${speed} real time | ${left} left`
  )
}

function clock(seconds: number): string {
  const minutes = Math.floor(seconds / 60)
  return minutes > 0 ? `${minutes}m${String(seconds % 60).padStart(2, '0')}s` : `${seconds}s`
}
