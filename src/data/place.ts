import { readFileSync } from 'node:fs'
import { readdir, realpath, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { FileError, messageOf, UsageError } from '../base/errors.js'
import { hasCode, TEMPORARY, writeAtomic } from './files.js'
import { JOURNAL_FILE } from './journal.js'
import {
  type CodesMeta,
  countSplits,
  DATASET_FILE,
  type DatasetMeta,
  FORMAT,
  FORMAT_VERSION,
  formatManifest,
  MANIFEST_FILE,
  type ManifestRow,
  parseJson,
  SHARD_FOLDER,
  sha256,
} from './manifest.js'

/**
 * Checks where `prepare` reads and writes.
 * @throws UsageError when the source is no folder, or the dataset would be written into it or over
 * files of someone else
 */
export async function checkPlaces(folder: string, out: string): Promise<void> {
  const is = await stat(folder).catch(() => undefined)
  if (!is?.isDirectory()) {
    throw new UsageError({
      fact: is ? `${folder} is a file, not a folder.` : `There is no folder ${folder}.`,
      expected: 'a folder of audio files',
      hint: 'Name the folder that holds your recordings.',
    })
  }
  const source = await realpath(folder)
  const target = await realTarget(out)
  if (target === source || target.startsWith(source.endsWith(sep) ? source : source + sep)) {
    throw new UsageError({
      fact: 'The dataset would be written into the source folder.',
      expected: 'a folder outside the source',
      got: `${out} in ${folder}`,
      hint: 'Name another folder with --out.',
    })
  }
  await checkOurs(out)
}

/** The real path of something that may not exist yet. */
async function realTarget(path: string): Promise<string> {
  const full = resolve(path)
  try {
    return await realpath(full)
  } catch {
    return dirname(full) === full ? full : join(await realTarget(dirname(full)), basename(full))
  }
}

async function checkOurs(out: string): Promise<void> {
  let names: string[]
  try {
    names = await readdir(out)
  } catch (thrown) {
    if (hasCode(thrown, 'ENOENT')) return
    throw new UsageError({
      fact: `The dataset cannot be written to ${out}.`,
      expected: 'a new folder, an empty one, or a dataset',
      got: hasCode(thrown, 'ENOTDIR') ? 'a file' : messageOf(thrown),
    })
  }
  if (names.length === 0 || names.includes(JOURNAL_FILE) || isDataset(out)) return
  // a run that was stopped in its first write leaves no more than this
  const onlyShards = names.length === 1 && names[0] === SHARD_FOLDER
  if (onlyShards && (await readdir(join(out, SHARD_FOLDER))).every(isOurs)) return
  throw new UsageError({
    fact: `The folder ${out} holds files that are no dataset.`,
    expected: 'a new folder, an empty one, or a dataset',
    got: names.slice(0, 5).join(', '),
    hint: 'Name another folder with --out: nothing is overwritten.',
  })
}

/**
 * Also true for a dataset whose description is damaged.
 * @throws UsageError when it is of a newer version: that would be lost
 */
function isDataset(out: string): boolean {
  let value: { format?: unknown; version?: unknown } | undefined
  try {
    value = parseJson(readFileSync(join(out, DATASET_FILE), 'utf8')) as typeof value
  } catch {
    return false
  }
  if (value?.format !== FORMAT) return false
  if (Number(value.version) > FORMAT_VERSION) {
    throw new UsageError({
      fact: `The dataset ${out} is of a newer version.`,
      expected: `version ${FORMAT_VERSION}`,
      got: `version ${value.version}`,
      hint: 'Update longwave, or name another folder with --out.',
    })
  }
  return true
}

function isOurs(name: string): boolean {
  return /^[0-9a-f]{16}-\d+-(mu-law|linear)(-rescale\d+)?\.lws(\.\d+\.tmp)?$/.test(name)
}

/**
 * Makes the new state of a dataset visible: the manifest, then dataset.json with its hash, then
 * what is no longer needed goes. All shards must be on the disk.
 * @throws FileError when the disk refuses
 */
export async function publish(
  out: string,
  rows: readonly ManifestRow[],
  { splitBy, ...codes }: CodesMeta & { splitBy: string },
): Promise<void> {
  const manifest = formatManifest(rows)
  const meta: DatasetMeta = {
    format: FORMAT,
    version: FORMAT_VERSION,
    ...codes,
    splitBy,
    splits: countSplits(rows, codes.sampleRate),
    manifestSha256: sha256(manifest),
    createdBy: `longwave ${packageVersion()}`,
  }
  await writeAtomic(join(out, MANIFEST_FILE), manifest)
  await writeAtomic(join(out, DATASET_FILE), `${JSON.stringify(meta, null, 2)}\n`)
  try {
    const needed = new Set(rows.map(({ shard }) => shard))
    const folder = join(out, SHARD_FOLDER)
    for (const name of await readdir(folder)) {
      if (isOurs(name) && !needed.has(name)) await rm(join(folder, name), { force: true })
    }
    for (const name of await readdir(out)) {
      const file = [MANIFEST_FILE, DATASET_FILE].find((one) => name.startsWith(`${one}.`))
      if (file !== undefined && name.endsWith(TEMPORARY)) await rm(join(out, name), { force: true })
    }
    await rm(join(out, JOURNAL_FILE), { force: true })
  } catch (thrown) {
    throw new FileError(
      { fact: `Cannot clean up in ${out}.`, got: messageOf(thrown) },
      { cause: thrown },
    )
  }
}

function packageVersion(): string {
  try {
    const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
    return String((parseJson(text) as { version?: unknown }).version)
  } catch {
    return '(unknown version)' // bundled without its package.json
  }
}
