import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { messageOf } from '../base/errors.js'
import { DatasetError } from './errors.js'
import { hasCode } from './files.js'
import { JOURNAL_FILE } from './journal.js'
import {
  DATASET_FILE,
  type DatasetMeta,
  FORMAT,
  FORMAT_VERSION,
  MANIFEST_FILE,
  type ManifestRow,
  metaSchema,
  parseJson,
  parseManifest,
  SHARD_FOLDER,
  type Split,
  sha256,
} from './manifest.js'
import { readShardSync, SHARD_HEADER } from './shard.js'

/** One recording of a dataset, or one window where windows are rescaled. */
export interface Piece {
  /** The source path without its extension; of a window with the second where it begins. */
  readonly name: string
  readonly split: Split
  readonly samples: number
  readonly seconds: number
  /**
   * [samples] its codes. Read and checked at the first call, then kept; do not write into them.
   * @throws DatasetError when the shard has vanished or is damaged
   */
  codes(): Uint8Array
}

/** An open dataset. */
export interface Dataset {
  readonly dir: string
  readonly meta: DatasetMeta
  /** All lines of the manifest, in its order. */
  readonly rows: readonly ManifestRow[]
  /** The pieces of one split, in the order of the manifest. */
  pieces(split: Split): Piece[]
}

/**
 * Opens a dataset that `prepare` made.
 * @throws DatasetError when the folder is missing, is no dataset, or is not whole
 */
export function openDataset(dir: string): Dataset {
  const meta = readMeta(dir)
  const path = join(dir, MANIFEST_FILE)
  const text = readText(dir, MANIFEST_FILE)
  if (sha256(text) !== meta.manifestSha256) {
    throw new DatasetError({
      fact: `${path} does not belong to the ${DATASET_FILE} beside it.`,
      expected: `sha256 ${meta.manifestSha256}`,
      got: `sha256 ${sha256(text)}`,
      hint: 'It was edited, or prepare was stopped in its last moment. Run prepare again.',
    })
  }
  const rows = parseManifest(text, path)
  for (const row of rows) checkShardSize(dir, row)
  const pieces = rows.flatMap((row) => windowsOf(piece(dir, row, meta), meta))
  return { dir, meta, rows, pieces: (split) => pieces.filter((one) => one.split === split) }
}

/**
 * Reads dataset.json alone.
 * @throws DatasetError when the folder is missing or is no dataset
 */
export function readMeta(dir: string): DatasetMeta {
  const value = parseJson(readText(dir, DATASET_FILE))
  const head = z.object({ format: z.literal(FORMAT), version: z.number() }).safeParse(value)
  const path = join(dir, DATASET_FILE)
  if (!head.success) {
    throw new DatasetError({
      fact: `${path} is not the description of a dataset.`,
      expected: `a JSON object whose "format" is "${FORMAT}"`,
      hint: 'Name a folder that prepare made.',
    })
  }
  if (head.data.version !== FORMAT_VERSION) {
    throw new DatasetError({
      fact: `The dataset ${dir} is of another version.`,
      expected: `version ${FORMAT_VERSION}`,
      got: `version ${head.data.version}`,
      hint: 'Run prepare again into a new folder.',
    })
  }
  const meta = metaSchema.safeParse(value)
  if (!meta.success) {
    throw new DatasetError({
      fact: `${path} is damaged.`,
      got: z.prettifyError(meta.error).replace(/\s+/g, ' '),
      hint: 'Run prepare again.',
    })
  }
  return meta.data
}

function readText(dir: string, name: string): string {
  try {
    return readFileSync(join(dir, name), 'utf8')
  } catch (thrown) {
    throw new DatasetError(unreadable(dir, name, thrown), { cause: thrown })
  }
}

function unreadable(dir: string, name: string, thrown: unknown) {
  const is = statSync(dir, { throwIfNoEntry: false })
  const hint = 'Make one with: longwave prepare FOLDER --out DATASET'
  if (is === undefined) return { fact: `There is no folder ${dir}.`, hint }
  if (!is.isDirectory()) return { fact: `${dir} is a file, not a dataset folder.`, hint }
  if (!hasCode(thrown, 'ENOENT')) {
    return { fact: `${join(dir, name)} cannot be read.`, got: messageOf(thrown) }
  }
  if (statSync(join(dir, JOURNAL_FILE), { throwIfNoEntry: false }) !== undefined) {
    return {
      fact: `The dataset ${dir} is not finished: prepare was stopped.`,
      hint: 'Run the same prepare command again: it goes on where it stopped.',
    }
  }
  return { fact: `${dir} is not a dataset: it holds no ${name}.`, hint }
}

function checkShardSize(dir: string, row: ManifestRow): void {
  const path = join(dir, SHARD_FOLDER, row.shard)
  const size = statSync(path, { throwIfNoEntry: false })?.size
  if (size === row.samples + SHARD_HEADER) return
  throw new DatasetError({
    fact: `The shard of ${row.source} ${size === undefined ? 'is missing' : 'has the wrong size'}.`,
    expected: `${row.samples + SHARD_HEADER} bytes in ${path}`,
    got: size === undefined ? 'no file' : `${size} bytes`,
    hint: 'Run prepare again: it makes such shards anew.',
  })
}

/** The windows of a recording that were rescaled, else all of it. */
function windowsOf(whole: Piece, { rescale: samples, sampleRate }: DatasetMeta): Piece[] {
  if (samples === undefined) return [whole]
  return Array.from({ length: whole.samples / samples }, (_, k) => ({
    name: `${whole.name} @${(k * samples) / sampleRate}s`,
    split: whole.split,
    samples,
    seconds: samples / sampleRate,
    codes: () => whole.codes().subarray(k * samples, (k + 1) * samples),
  }))
}

function piece(dir: string, row: ManifestRow, meta: DatasetMeta): Piece {
  let held: Uint8Array | undefined
  return {
    name: row.title,
    split: row.split,
    samples: row.samples,
    seconds: row.seconds,
    codes() {
      if (held !== undefined) return held
      const path = join(dir, SHARD_FOLDER, row.shard)
      const shard = readShardSync(path)
      const same =
        shard.sampleRate === meta.sampleRate &&
        shard.quantizer === meta.quantizer &&
        shard.codes.length === row.samples
      if (!same) {
        throw new DatasetError({
          fact: `The shard ${path} does not belong to this dataset.`,
          expected: `${row.samples} samples at ${meta.sampleRate} Hz, ${meta.quantizer}`,
          got: `${shard.codes.length} samples at ${shard.sampleRate} Hz, ${shard.quantizer}`,
          hint: 'Run prepare again.',
        })
      }
      held = shard.codes
      return held
    },
  }
}
