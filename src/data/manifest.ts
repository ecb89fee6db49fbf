import { createHash } from 'node:crypto'
import { z } from 'zod'
import { DatasetError } from './errors.js'

export const DATASET_FILE = 'dataset.json'
export const MANIFEST_FILE = 'manifest.jsonl'
export const SHARD_FOLDER = 'shards'
export const FORMAT = 'longwave-dataset'
export const FORMAT_VERSION = 1

export const SPLITS = ['train', 'valid', 'test'] as const
/** Part of a dataset: what is trained on, what steers the training, what is only scored. */
export type Split = (typeof SPLITS)[number]

const count = z.number().int().nonnegative()

/** One source file that is used: a line of manifest.jsonl. */
export const rowSchema = z.object({
  /** Path in the source folder, with "/" between its parts. */
  source: z.string().min(1),
  /** Of the bytes of the source, in hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  split: z.enum(SPLITS),
  /** At the rate of the dataset. */
  samples: count,
  seconds: z.number().nonnegative(),
  /** Samples of the source, over all its channels, in runs of 3 or more at full scale. */
  clipped: count,
  /** Share of frames of 20 ms whose mean level is under -60 dBFS. */
  silent: z.number().min(0).max(1),
  originalRate: z.number().positive(),
  originalChannels: count,
  /** What the content was, such as "wav" or "ogg opus". */
  format: z.string(),
  /** Name of the file in shards/. */
  shard: z.string().regex(/^[\w.-]+\.lws$/),
  /** The source path without its extension. */
  title: z.string(),
})

export type ManifestRow = z.infer<typeof rowSchema>

const totals = z.object({ files: count, samples: count, seconds: z.number().nonnegative() })

/** The content of dataset.json. */
export const metaSchema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(FORMAT_VERSION),
  /** In Hz. */
  sampleRate: z.number().int().positive(),
  quantizer: z.enum(['mu-law', 'linear']),
  /**
   * Samples of the windows that were each rescaled by their own minimum and maximum before they were quantised; every
   * window is a piece. Absent where recordings keep their levels.
   */
  rescale: count.positive().optional(),
  /** How files came to their splits. */
  splitBy: z.string(),
  splits: z.object({ train: totals, valid: totals, test: totals }),
  /** Of manifest.jsonl: the two files belong together. */
  manifestSha256: z.string(),
  createdBy: z.string(),
})

export type DatasetMeta = z.infer<typeof metaSchema>

/** What the codes of a dataset stand for. */
export type CodesMeta = Pick<DatasetMeta, 'sampleRate' | 'quantizer' | 'rescale'>

/** What codes stand for, in words. */
export function describeCodes({ sampleRate, quantizer, rescale }: CodesMeta): string {
  const windows = rescale === undefined ? '' : `, rescaled in windows of ${rescale / sampleRate} s`
  return `${sampleRate} Hz, ${quantizer}${windows}`
}

/** Name of a shard: the same source at the same options always has the same one. */
export function shardName(sha256: string, { sampleRate, quantizer, rescale }: CodesMeta): string {
  const windows = rescale === undefined ? '' : `-rescale${rescale}`
  return `${sha256.slice(0, 16)}-${sampleRate}-${quantizer}${windows}.lws`
}

/** Files, samples and seconds of each split. */
export function countSplits(rows: readonly ManifestRow[], rate: number): DatasetMeta['splits'] {
  const of = (split: Split) => {
    const mine = rows.filter((row) => row.split === split)
    const samples = mine.reduce((sum, row) => sum + row.samples, 0)
    return { files: mine.length, samples, seconds: samples / rate }
  }
  return { train: of('train'), valid: of('valid'), test: of('test') }
}

/** The text of manifest.jsonl: keys in the order of the schema, whatever their order in `rows`. */
export function formatManifest(rows: readonly ManifestRow[]): string {
  return rows.map((row) => `${JSON.stringify(rowSchema.parse(row))}\n`).join('')
}

/**
 * Reads manifest.jsonl.
 * @param path only for messages
 * @throws DatasetError that names the line when one does not fit
 */
export function parseManifest(text: string, path: string): ManifestRow[] {
  return text
    .split('\n')
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line !== '')
    .map(({ line, number }) => {
      const row = rowSchema.safeParse(parseJson(line))
      if (row.success) return row.data
      throw new DatasetError({
        fact: `Line ${number} of ${path} is damaged.`,
        got: z.prettifyError(row.error).replace(/\s+/g, ' '),
        hint: 'Run prepare again.',
      })
    })
}

/** The value of a JSON text, or undefined when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export function sha256(data: string): string {
  return createHash('sha256').update(data).digest('hex')
}
