import { readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { DatasetError, openDataset, prepareDataset } from '../../src/data/index.js'
import { put, tempFolder, toneWav } from './helpers.js'

/** A dataset of three recordings, one in each split. */
async function dataset(): Promise<string> {
  const source = tempFolder()
  put(source, {
    'train/a.wav': toneWav(300, 0.3),
    'valid/b.wav': toneWav(400, 0.2),
    'test/deep/c.wav': toneWav(500, 0.1),
  })
  const out = join(tempFolder(), 'ds')
  await prepareDataset(source, out)
  return out
}

function failure(work: () => unknown): string {
  try {
    work()
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(DatasetError)
    return (thrown as DatasetError).describe()
  }
  throw new Error('did not throw')
}

it('an open dataset tells its options and its pieces', async () => {
  const { meta, pieces, rows } = openDataset(await dataset())
  expect(meta).toMatchObject({ sampleRate: 16000, quantizer: 'mu-law', splitBy: 'folders' })
  expect(meta.createdBy).toMatch(/^longwave \d/)
  expect(meta.splits.train).toEqual({ files: 1, samples: 4800, seconds: 0.3 })
  const [piece] = pieces('test')
  expect(piece).toMatchObject({ name: 'test/deep/c', split: 'test', samples: 1600, seconds: 0.1 })
  expect(piece!.codes()).toHaveLength(1600)
  expect(piece!.codes()).toBe(piece!.codes())
  expect(rows.map((row) => row.source)).toEqual(['test/deep/c.wav', 'train/a.wav', 'valid/b.wav'])
})

it('a missing folder, a file, and a folder that is no dataset are told apart', async () => {
  const dir = tempFolder()
  put(dir, { 'file.txt': 'x' })
  expect(failure(() => openDataset(join(dir, 'no')))).toContain('There is no folder')
  expect(failure(() => openDataset(join(dir, 'file.txt')))).toContain('is a file')
  expect(failure(() => openDataset(dir))).toContain('is not a dataset')
  put(dir, { 'prepare.journal.jsonl': '' })
  expect(failure(() => openDataset(dir))).toContain('is not finished')
})

it.each([
  ['{', 'is not the description of a dataset'],
  ['{"name":"other"}', 'is not the description of a dataset'],
  ['{"format":"longwave-dataset","version":9}', 'version 9'],
  ['{"format":"longwave-dataset","version":1}', 'is damaged'],
])('a dataset.json of %s is refused', async (text, message) => {
  const dir = tempFolder()
  put(dir, { 'dataset.json': text })
  expect(failure(() => openDataset(dir))).toContain(message)
})

it('a manifest that was edited or is missing is refused', async () => {
  const dir = await dataset()
  const path = join(dir, 'manifest.jsonl')
  const text = readFileSync(path, 'utf8')
  writeFileSync(path, text.replace('"train"', '"test"'))
  expect(failure(() => openDataset(dir))).toContain('does not belong to the dataset.json')
  rmSync(path)
  expect(failure(() => openDataset(dir))).toContain('holds no manifest.jsonl')
})

it('a shard that has vanished or changed its size is refused at opening', async () => {
  const dir = await dataset()
  const { shard } = openDataset(dir).rows[0]!
  const path = join(dir, 'shards', shard)
  truncateSync(path, 100)
  expect(failure(() => openDataset(dir))).toContain(
    'The shard of test/deep/c.wav has the wrong size',
  )
  rmSync(path)
  expect(failure(() => openDataset(dir))).toContain('The shard of test/deep/c.wav is missing')
})

it('a damaged or exchanged shard is refused when its codes are read', async () => {
  const dir = await dataset()
  const open = openDataset(dir)
  const [piece] = open.pieces('train')
  const path = join(dir, 'shards', open.rows[1]!.shard)
  const bytes = readFileSync(path)
  bytes[1000]! ^= 255
  writeFileSync(path, bytes)
  expect(failure(() => piece!.codes())).toContain('wrong checksum')
  renameSync(join(dir, 'shards', open.rows[0]!.shard), path)
  expect(failure(() => piece!.codes())).toContain('does not belong to this dataset')
  rmSync(path)
  expect(failure(() => piece!.codes())).toContain('is missing')
})
