/** The recordings of the table: what is trained on, and the sets that are scored apart. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { decodeAudio, downmix, encodeWav } from 'longwave/audio'
import { TableError } from './store.js'

const SPLITS = ['train', 'valid', 'test'] as const
export type Split = (typeof SPLITS)[number]

/** Folders of recordings with lists of their splits. */
export interface Sources {
  /** All of them: for training. */
  all: string
  /** By name: for scores. */
  sets: Readonly<Record<string, string>>
}

const hasLists = (folder: string) => existsSync(join(folder, 'train.txt'))

/**
 * A folder with train.txt, valid.txt and test.txt (or folders train/, valid/, test/) is one set; one whose
 * folders have such lists is as many sets, which are trained on together.
 *
 * @param name of a single set
 * @param work where the union is put together, of links and lists
 * @throws TableError when there are no lists
 */
export function findSources(folder: string, name: string, work: string): Sources {
  if (hasLists(folder) || existsSync(join(folder, 'train'))) {
    return { all: folder, sets: { [name]: folder } }
  }
  const names = readdirSync(folder).filter((name) => hasLists(join(folder, name)))
  if (names.length === 0) {
    throw new TableError(
      `Neither ${folder} nor a folder in it has train.txt, valid.txt and test.txt: lists of files, one a line.`,
    )
  }
  const all = join(work, 'union')
  rmSync(all, { recursive: true, force: true })
  mkdirSync(all, { recursive: true })
  for (const name of names) symlinkSync(resolve(folder, name), join(all, name))
  for (const split of SPLITS) {
    const lines = names.flatMap((name) =>
      readFileSync(join(folder, name, `${split}.txt`), 'utf8')
        .split(/\r?\n/)
        .map((line) => line.trim())
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => `${name}/${line}`),
    )
    writeFileSync(join(all, `${split}.txt`), `${lines.join('\n')}\n`)
  }
  return { all, sets: Object.fromEntries(names.map((name) => [name, join(folder, name)])) }
}

/** Two small sets of excerpts of the bundled recording, for trying everything out. */
export async function cutSample(to: string): Promise<void> {
  const file = readdirSync('samples').find((name) => name.endsWith('.flac'))!
  const { channels, sampleRate } = await decodeAudio(readFileSync(join('samples', file)))
  const mono = downmix(channels)
  for (const [i, set] of ['first', 'second'].entries()) {
    mkdirSync(join(to, set), { recursive: true })
    let at = 15 * i
    for (const [split, lengths] of [
      ['train', [3, 3]],
      ['valid', [1, 1]],
      ['test', [1, 1]],
    ] as const) {
      const names = lengths.map((seconds, k) => {
        const name = `${split}-${k}.wav`
        const part = mono.subarray(at * sampleRate, (at + seconds) * sampleRate)
        writeFileSync(join(to, set, name), encodeWav([part], sampleRate))
        at += seconds
        return name
      })
      writeFileSync(join(to, set, `${split}.txt`), `${names.join('\n')}\n`)
    }
  }
}
