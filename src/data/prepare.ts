import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type QuantizerName, quantizer } from '../audio/index.js'
import { UsageError } from '../base/errors.js'
import { SHORTEST } from './convert.js'
import { readMeta } from './dataset.js'
import { NothingUsableError } from './errors.js'
import { harvest } from './harvest.js'
import { readJournal } from './journal.js'
import {
  type CodesMeta,
  countSplits,
  type DatasetMeta,
  MANIFEST_FILE,
  type ManifestRow,
  parseManifest,
} from './manifest.js'
import { checkPlaces, publish } from './place.js'
import type { PrepareProgress, PrepareReport } from './report.js'
import { scan } from './scan.js'
import { type Fractions, splitterOf } from './split.js'
import { levelsOf, notesOf, rebuiltBecause, removedFrom } from './summary.js'

export const DEFAULT_RATE = 16000
/** Sample rates that make sense for a dataset, in Hz. */
export const RATES = { min: 1000, max: 384000 } as const

/** The longest windows to rescale, in seconds: each is in memory at once. */
const LONGEST = 3600

export interface PrepareOptions {
  /** Of the dataset, in Hz. Default 16000. */
  rate?: number
  /** Default 'mu-law'. */
  quantizer?: QuantizerName
  /** Shares of train, valid and test. Default: lists or folders where there are, else 0.9,0.05,0.05. */
  split?: Fractions
  /**
   * Seconds of windows, from 0.1 to 3600: recordings are cut in such windows, each a piece of its own, rescaled to [-1, 1] by
   * its own minimum and maximum; what is left over is dropped. Default: recordings are whole and keep their levels.
   */
  rescale?: number
  /** Stops the work between two blocks of audio; a later call goes on. */
  signal?: AbortSignal
}

/**
 * Makes a dataset of a folder of audio, or brings one up to date. A file that cannot be used is
 * reported and never stops the others. Nothing is written into the source folder, and an existing
 * dataset stays as it is until the new one is whole.
 * @throws UsageError when options or places make no sense
 * @throws NothingUsableError when no file can be used
 * @throws InterruptedError when the signal is set
 * @throws FileError when the dataset cannot be written
 */
export async function prepareDataset(
  folder: string,
  out: string,
  options: PrepareOptions = {},
  onProgress: (progress: PrepareProgress) => void = () => undefined,
): Promise<PrepareReport> {
  const rate = checkRate(options.rate ?? DEFAULT_RATE)
  const { name } = quantizer(options.quantizer ?? 'mu-law')
  const window = options.rescale === undefined ? undefined : samplesOf(options.rescale, rate)
  const meta: CodesMeta = {
    ...{ sampleRate: rate, quantizer: name },
    ...(window !== undefined && { rescale: window }),
  }
  await checkPlaces(folder, out)
  const splitter = await splitterOf(folder, options.split)
  const { candidates, skipped, ignored, hidden } = await scan(folder)
  skipped.push(...splitter.missing([...candidates, ...skipped].map(({ source }) => source)))
  const before = await readBefore(out)
  const { used, decoded, reused, ...rest } = await harvest(candidates, {
    out,
    meta,
    refuse: splitter.refuse,
    known: [...before.rows, ...(await readJournal(out))],
    signal: options.signal,
    onProgress,
  })
  skipped.push(...rest.skipped)
  const splits = splitter.assign(used.map(({ source }) => source))
  const rows: ManifestRow[] = used.map((row) => ({ ...row, split: splits.get(row.source)! }))
  const rebuilt = rebuiltBecause(before.meta, meta)
  const report: PrepareReport = {
    folder,
    out,
    ...meta,
    splitBy: splitter.by,
    files: {
      used: rows.length,
      decoded,
      reused,
      skipped: skipped.length,
      ignored,
      hidden,
      removed: removedFrom(before.rows, rows),
    },
    skipped: skipped.sort((a, b) => (a.source < b.source ? -1 : 1)),
    notes: rows.flatMap(notesOf),
    ...(rebuilt === undefined ? {} : { rebuilt }),
    splits: countSplits(rows, rate),
    ...levelsOf(rows),
  }
  if (rows.length === 0) throw new NothingUsableError(report)
  await publish(out, rows, { ...meta, splitBy: splitter.by })
  return report
}

/** The dataset at `out` as far as it can be read: damage there only costs time. */
async function readBefore(out: string): Promise<{ meta?: DatasetMeta; rows: ManifestRow[] }> {
  try {
    const meta = readMeta(out)
    const path = join(out, MANIFEST_FILE)
    return { meta, rows: parseManifest(await readFile(path, 'utf8'), path) }
  } catch {
    return { rows: [] }
  }
}

function samplesOf(seconds: number, rate: number): number {
  if (seconds >= SHORTEST && seconds <= LONGEST) return Math.round(seconds * rate)
  throw new UsageError({
    fact: 'The windows to rescale make no sense.',
    expected: `seconds from ${SHORTEST} to ${LONGEST}`,
    got: `${seconds}`,
    hint: 'For example: --rescale 8.192, the windows of SaShiMi at 16000 Hz',
  })
}

function checkRate(rate: number): number {
  if (Number.isInteger(rate) && rate >= RATES.min && rate <= RATES.max) return rate
  throw new UsageError({
    fact: 'The rate makes no sense.',
    expected: `a whole number of Hz from ${RATES.min} to ${RATES.max}`,
    got: `${rate}`,
  })
}
