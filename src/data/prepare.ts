import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AudioDecodeError, type QuantizerName, quantizer } from '../audio/index.js'
import { LongwaveError, messageOf, UsageError } from '../base/errors.js'
import { convert, readSource, throwIfStopped } from './convert.js'
import { readMeta } from './dataset.js'
import { NothingUsableError } from './errors.js'
import { appendJournal, type Converted, readJournal } from './journal.js'
import {
  countSplits,
  type DatasetMeta,
  MANIFEST_FILE,
  type ManifestRow,
  parseManifest,
  SHARD_FOLDER,
  shardName,
} from './manifest.js'
import { checkPlaces, publish } from './place.js'
import type { PrepareProgress, PrepareReport } from './report.js'
import { type Candidate, reasonOf, scan } from './scan.js'
import { readShard, writeShard } from './shard.js'
import { type Fractions, splitterOf, titleOf } from './split.js'
import { levelsOf, notesOf, rebuiltBecause, removedFrom } from './summary.js'

export const DEFAULT_RATE = 16000
/** Sample rates that make sense for a dataset, in Hz. */
export const RATES = { min: 1000, max: 384000 } as const

export interface PrepareOptions {
  /** Of the dataset, in Hz. Default 16000. */
  rate?: number
  /** Default 'mu-law'. */
  quantizer?: QuantizerName
  /** Shares of train, valid and test. Default: lists or folders where there are, else 0.9,0.05,0.05. */
  split?: Fractions
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
  const rate = options.rate ?? DEFAULT_RATE
  if (!Number.isInteger(rate) || rate < RATES.min || rate > RATES.max) {
    throw new UsageError({
      fact: 'The rate makes no sense.',
      expected: `a whole number of Hz from ${RATES.min} to ${RATES.max}`,
      got: `${rate}`,
    })
  }
  const codec = quantizer(options.quantizer ?? 'mu-law')
  await checkPlaces(folder, out)
  const splitter = await splitterOf(folder, options.split)
  const { candidates, skipped, ignored, hidden } = await scan(folder)
  skipped.push(...splitter.missing([...candidates, ...skipped].map(({ source }) => source)))
  const before = await readBefore(out)
  const known = new Map(
    [...before.rows, ...(await readJournal(out))].map((row) => [row.shard, row]),
  )
  const used: Converted[] = []
  const firstWith = new Map<string, string>()
  const counts = { decoded: 0, reused: 0 }
  const started = performance.now()
  const bytesTotal = candidates.reduce((sum, { bytes }) => sum + bytes, 0)
  let audioSeconds = 0
  let bytesDone = 0
  let filesDone = 0
  const tell = (source: string, secondsOfThis = 0) => {
    const elapsed = (performance.now() - started) / 1000
    const done = { filesDone, bytesDone, audioSeconds: audioSeconds + secondsOfThis }
    onProgress({ source, filesTotal: candidates.length, bytesTotal, elapsed, ...done })
  }

  /** Converts one file, or takes over what is there of it. */
  const use = async ({ source, path }: Candidate): Promise<string | undefined> => {
    const outside = splitter.refuse(source)
    if (outside !== undefined) return outside
    const { bytes, sha256 } = await readSource(path)
    const twin = firstWith.get(sha256)
    if (twin !== undefined) return `the same content as ${twin}`
    const shard = shardName(sha256, rate, codec.name)
    const old = known.get(shard)
    const title = titleOf(source)
    if (old?.sha256 === sha256 && (await isWhole(out, old))) {
      used.push({ ...old, source, title })
      counts.reused++
    } else {
      const { codes, ...seen } = await convert(bytes, rate, codec, options.signal, (read) =>
        tell(source, read),
      )
      const seconds = codes.length / rate
      await writeShard(join(out, SHARD_FOLDER, shard), {
        sampleRate: rate,
        quantizer: codec.name,
        codes,
      })
      const row = { source, sha256, samples: codes.length, seconds, ...seen, shard, title }
      await appendJournal(out, row)
      used.push(row)
      counts.decoded++
      audioSeconds += seconds
    }
    firstWith.set(sha256, source)
    return undefined
  }

  for (const candidate of candidates) {
    throwIfStopped(options.signal)
    const { source } = candidate
    tell(source)
    try {
      const reason = await use(candidate)
      if (reason !== undefined) skipped.push({ source, reason })
    } catch (thrown) {
      skipped.push({ source, reason: skippable(thrown) })
    }
    bytesDone += candidate.bytes
    filesDone++
  }
  const splits = splitter.assign(used.map(({ source }) => source))
  const rows: ManifestRow[] = used.map((row) => ({ ...row, split: splits.get(row.source)! }))
  const rebuilt = rebuiltBecause(before.meta, rate, codec.name)
  const report: PrepareReport = {
    folder,
    out,
    sampleRate: rate,
    quantizer: codec.name,
    splitBy: splitter.by,
    files: {
      used: rows.length,
      ...counts,
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
  await publish(out, rows, { rate, quantizer: codec.name, splitBy: splitter.by })
  tell('')
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

async function isWhole(out: string, row: Converted): Promise<boolean> {
  try {
    return (await readShard(join(out, SHARD_FOLDER, row.shard))).codes.length === row.samples
  } catch {
    return false
  }
}

/** The reason for skipping a file, or throws on what is no fault of the file. */
function skippable(thrown: unknown): string {
  if (thrown instanceof AudioDecodeError) {
    const { fact, expected, got } = thrown.failure
    const detail = [expected && `expected ${expected}`, got && `got ${got}`].filter(Boolean)
    return detail.length > 0 ? `${fact} (${detail.join(', ')})` : fact
  }
  if (thrown instanceof LongwaveError) throw thrown
  return thrown instanceof RangeError ? messageOf(thrown) : reasonOf(thrown)
}
