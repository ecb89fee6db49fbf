import { join } from 'node:path'
import { AudioDecodeError } from '../audio/index.js'
import { LongwaveError, messageOf } from '../base/errors.js'
import { convert, readSource, throwIfStopped } from './convert.js'
import { appendJournal, type Converted } from './journal.js'
import { type CodesMeta, SHARD_FOLDER, shardName } from './manifest.js'
import type { PrepareProgress } from './report.js'
import { type Candidate, reasonOf, type Skipped } from './scan.js'
import { readShard, writeShard } from './shard.js'
import { titleOf } from './split.js'

/** What one run needs to convert its files. */
export interface HarvestOptions {
  out: string
  meta: CodesMeta
  /** Why a file is not wanted, if it is not. */
  refuse(source: string): string | undefined
  /** What earlier runs have converted. */
  known: readonly Converted[]
  signal: AbortSignal | undefined
  onProgress(progress: PrepareProgress): void
}

export interface Harvest {
  /** In the order of the candidates. */
  used: Converted[]
  skipped: Skipped[]
  decoded: number
  reused: number
}

/**
 * Converts files to shards, one after the other, and takes over what earlier runs have left. A file
 * that cannot be used is skipped with its reason.
 * @throws FileError when a shard cannot be written
 * @throws InterruptedError when the signal is set
 */
export async function harvest(
  candidates: readonly Candidate[],
  options: HarvestOptions,
): Promise<Harvest> {
  const known = new Map(options.known.map((row) => [row.shard, row]))
  const firstWith = new Map<string, string>()
  const result: Harvest = { used: [], skipped: [], decoded: 0, reused: 0 }
  const tell = progressOf(candidates, options.onProgress)

  const use = async ({ source, path }: Candidate): Promise<string | undefined> => {
    const unwanted = options.refuse(source)
    if (unwanted !== undefined) return unwanted
    const { bytes, sha256 } = await readSource(path)
    const twin = firstWith.get(sha256)
    if (twin !== undefined) return `the same content as ${twin}`
    const old = known.get(shardName(sha256, options.meta))
    if (old?.sha256 === sha256 && (await isWhole(options.out, old))) {
      result.used.push({ ...old, source, title: titleOf(source) })
      result.reused++
    } else {
      const onBlock = (seconds: number) => tell.within(source, seconds)
      const row = await toShard(source, bytes, sha256, options, onBlock)
      result.used.push(row)
      result.decoded++
      tell.converted(row.seconds)
    }
    firstWith.set(sha256, source)
    return undefined
  }

  for (const candidate of candidates) {
    const { source } = candidate
    throwIfStopped(options.signal)
    tell.within(source, 0)
    try {
      const reason = await use(candidate)
      if (reason !== undefined) result.skipped.push({ source, reason })
    } catch (thrown) {
      result.skipped.push({ source, reason: skippable(thrown) })
    }
    tell.done(candidate)
  }
  return result
}

async function toShard(
  source: string,
  bytes: Uint8Array,
  sha256: string,
  { out, meta, signal }: HarvestOptions,
  onBlock: (seconds: number) => void,
): Promise<Converted> {
  const { codes, ...seen } = await convert(bytes, meta, signal, onBlock)
  const shard = shardName(sha256, meta)
  const { sampleRate, quantizer } = meta
  const path = join(out, SHARD_FOLDER, shard)
  await writeShard(path, { sampleRate, quantizer, codes })
  const length = { samples: codes.length, seconds: codes.length / sampleRate }
  const row = { source, sha256, ...length, ...seen, shard, title: titleOf(source) }
  await appendJournal(out, row)
  return row
}

/** Counts files, bytes and seconds for `onProgress`. */
function progressOf(
  candidates: readonly Candidate[],
  onProgress: (progress: PrepareProgress) => void,
) {
  const started = performance.now()
  const bytesTotal = candidates.reduce((sum, { bytes }) => sum + bytes, 0)
  const sum = { filesDone: 0, bytesDone: 0, audioSeconds: 0 }
  const within = (source: string, seconds: number) =>
    onProgress({
      ...sum,
      source,
      filesTotal: candidates.length,
      bytesTotal,
      audioSeconds: sum.audioSeconds + seconds,
      elapsed: (performance.now() - started) / 1000,
    })
  return {
    within,
    converted(seconds: number) {
      sum.audioSeconds += seconds
    },
    done({ source, bytes }: Candidate) {
      sum.filesDone++
      sum.bytesDone += bytes
      within(source, 0)
    },
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
