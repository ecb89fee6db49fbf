import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { FileError, messageOf, UsageError } from '../base/errors.js'
import { hasCode } from './files.js'
import { SPLITS, type Split } from './manifest.js'

/** Shares of train, valid and test; they add up to 1. */
export type Fractions = readonly [number, number, number]

export const DEFAULT_FRACTIONS: Fractions = [0.9, 0.05, 0.05]

/** Names of folders and lists for each split. */
const NAMES: Readonly<Record<Split, readonly string[]>> = {
  train: ['train'],
  valid: ['valid', 'val', 'validation'],
  test: ['test'],
}

/** How files come to their splits. */
export interface Splitter {
  /** In words, for the report and dataset.json. */
  by: string
  /** Whether a file belongs to the dataset, or why not; asked before it is decoded. */
  refuse(source: string): string | undefined
  /** Splits of all used files. */
  assign(sources: readonly string[]): Map<string, Split>
  /** Names in lists that no file has. */
  missing(sources: readonly string[]): { source: string; reason: string }[]
}

/**
 * The splitter of a folder: by the given fractions; else by lists train.txt, valid.txt, test.txt
 * in it; else by folders train/, valid/, test/ in it; else by the default fractions.
 * @throws UsageError when fractions make no sense or a file is in two lists
 * @throws FileError when a list cannot be read
 */
export async function splitterOf(folder: string, fractions?: Fractions): Promise<Splitter> {
  if (fractions !== undefined) return byHash(checkFractions(fractions))
  const lists = await readLists(folder)
  if (lists.length > 0) return byLists(lists)
  const folders: [string, Split][] = []
  for (const split of SPLITS) {
    for (const name of NAMES[split]) {
      const is = await stat(join(folder, name)).catch(() => undefined)
      if (is?.isDirectory()) folders.push([name, split])
    }
  }
  // without something to train on they are folders like others
  const split = folders.some(([, split]) => split === 'train')
  return split ? byFolders(folders) : byHash(DEFAULT_FRACTIONS)
}

function checkFractions(fractions: Fractions): Fractions {
  const sum = fractions.reduce((total, part) => total + part, 0)
  if (fractions.every((part) => part >= 0) && fractions[0] > 0 && Math.abs(sum - 1) < 1e-6) {
    return fractions
  }
  throw new UsageError({
    fact: 'The split makes no sense.',
    expected: 'shares of train, valid and test that add up to 1, train above 0',
    got: fractions.join(','),
    hint: 'For example: --split 0.9,0.05,0.05',
  })
}

function byFolders(folders: readonly [string, Split][]): Splitter {
  const of = new Map(folders)
  const splitOf = (source: string) =>
    source.includes('/') ? of.get(source.slice(0, source.indexOf('/'))) : undefined
  const names = folders.map(([name]) => `${name}/`).join(', ')
  return {
    by: 'folders',
    refuse: (source) => (splitOf(source) ? undefined : `in none of the folders ${names}`),
    assign: (sources) => new Map(sources.map((source) => [source, splitOf(source)!])),
    missing: () => [],
  }
}

interface List {
  file: string
  split: Split
  names: string[]
}

async function readLists(folder: string): Promise<List[]> {
  const lists: List[] = []
  for (const split of SPLITS) {
    for (const name of NAMES[split]) {
      const file = `${name}.txt`
      try {
        const text = await readFile(join(folder, file), 'utf8')
        const names = text
          .replace(/^\uFEFF/, '')
          .split(/\r?\n/)
          .map((line) => line.trim().replaceAll('\\', '/').replace(/^\.\//, ''))
          .filter((line) => line !== '' && !line.startsWith('#'))
        lists.push({ file, split, names })
      } catch (thrown) {
        if (hasCode(thrown, 'ENOENT', 'EISDIR')) continue
        throw new FileError(
          { fact: `The list ${join(folder, file)} cannot be read.`, got: messageOf(thrown) },
          { cause: thrown },
        )
      }
    }
  }
  return lists
}

function byLists(lists: readonly List[]): Splitter {
  const listed = new Map<string, List>()
  for (const list of lists) {
    for (const name of list.names) {
      const other = listed.get(name)
      if (other !== undefined && other.split !== list.split) {
        throw new UsageError({
          fact: `${name} is in two splits.`,
          expected: 'every file in one list',
          got: `${other.file} and ${list.file}`,
          hint: 'A recording in two splits makes scores too good. Remove it from one list.',
        })
      }
      listed.set(name, list)
    }
  }
  const splitOf = (source: string) => (listed.get(source) ?? listed.get(titleOf(source)))?.split
  const files = lists.map((list) => list.file).join(', ')
  return {
    by: 'lists',
    refuse: (source) => (splitOf(source) ? undefined : `in none of the lists ${files}`),
    assign: (sources) => new Map(sources.map((source) => [source, splitOf(source)!])),
    missing(sources) {
      const there = new Set(sources.flatMap((source) => [source, titleOf(source)]))
      return [...listed]
        .filter(([name]) => !there.has(name))
        .map(([source, list]) => ({ source, reason: `listed in ${list.file}, but not there` }))
    },
  }
}

/** A path without its extension. */
export function titleOf(source: string): string {
  return source.replace(/\.[^./]*$/, '')
}

function byHash(fractions: Fractions): Splitter {
  return {
    by: `shares ${fractions.join(',')}`,
    refuse: () => undefined,
    assign: (sources) => splitByHash(sources, fractions),
    missing: () => [],
  }
}

/**
 * Splits by the hash of each path, a number in [0, 1) that falls in the interval of one split: a
 * file keeps its split whatever others there are. Only where a split would be empty, the file
 * nearest to its interval moves there from a split that has more than one. With fewer files than
 * splits, train is served first, then valid.
 */
export function splitByHash(sources: readonly string[], fractions: Fractions): Map<string, Split> {
  const bounds = SPLITS.map((split, i) => {
    const low = fractions.slice(0, i).reduce((sum, part) => sum + part, 0)
    return { split, low, high: low + fractions[i]! }
  }).filter(({ low, high }) => high > low)
  const positions = new Map(sources.map((source) => [source, position(source)]))
  const result = new Map<string, Split>()
  for (const [source, at] of positions) {
    const bound = bounds.find(({ high }) => at < high) ?? bounds.at(-1)!
    result.set(source, bound.split)
  }
  const size = (split: Split) => [...result.values()].filter((one) => one === split).length
  for (const { split, low, high } of bounds.slice(0, sources.length)) {
    if (size(split) > 0) continue
    const distance = (source: string) => {
      const at = positions.get(source)!
      return at < low ? low - at : at - high
    }
    // a later split may be robbed of its only file: its own turn comes
    const served = bounds.filter((bound) => bound.low < low).map((bound) => bound.split)
    const donors = sources.filter((source) => {
      const from = result.get(source)!
      return size(from) > 1 || !served.includes(from)
    })
    const nearest = donors.reduce((a, b) => {
      const closer = distance(b) - distance(a)
      return closer < 0 || (closer === 0 && b < a) ? b : a
    })
    result.set(nearest, split)
  }
  return result
}

/** A number in [0, 1) that depends on the path alone. */
function position(source: string): number {
  // the same name may be written with composed or with combining accents
  const digest = createHash('sha256').update(source.normalize('NFC')).digest()
  return digest.readUIntBE(0, 6) / 2 ** 48
}
