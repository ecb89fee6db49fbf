import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Fractions } from '../../src/data/index.js'
import { splitByHash, splitterOf } from '../../src/data/split.js'
import { put, tempFolder } from './helpers.js'

const names = (count: number) => Array.from({ length: count }, (_, i) => `take ${i}.wav`)
const paths = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), {
  minLength: 1,
  maxLength: 40,
  selector: (path) => path.normalize('NFC'),
})
const fractions = fc
  .tuple(fc.integer({ min: 1, max: 20 }), fc.nat({ max: 5 }), fc.nat({ max: 5 }))
  .map((parts) => {
    const sum = parts[0] + parts[1] + parts[2]
    return parts.map((part) => part / sum) as unknown as Fractions
  })

function sizes(split: Map<string, string>): number[] {
  const all = [...split.values()]
  return ['train', 'valid', 'test'].map((name) => all.filter((one) => one === name).length)
}

describe('splitting by hash', () => {
  it('gives each split about its share', () => {
    const [train, valid, test] = sizes(splitByHash(names(4000), [0.8, 0.15, 0.05]))
    expect(train! / 4000).toBeCloseTo(0.8, 1)
    expect(valid! / 4000).toBeCloseTo(0.15, 1)
    expect(test! / 4000).toBeCloseTo(0.05, 1)
  })

  it('never moves a file when others come, once every split has files', () => {
    const before = splitByHash(names(200), [0.8, 0.1, 0.1])
    const after = splitByHash(names(500), [0.8, 0.1, 0.1])
    for (const [name, split] of before) expect(after.get(name)).toBe(split)
  })

  it('does not depend on the order of the files', () => {
    fc.assert(
      fc.property(paths, fractions, (sources, shares) => {
        const turned = splitByHash([...sources].reverse(), shares)
        expect(new Map([...turned].reverse())).toEqual(splitByHash(sources, shares))
      }),
    )
  })

  it('leaves no wanted split empty when there are enough files, and no other filled', () => {
    fc.assert(
      fc.property(paths, fractions, (sources, shares) => {
        const counts = sizes(splitByHash(sources, shares))
        expect(counts.reduce((sum, count) => sum + count)).toBe(sources.length)
        const wanted = shares.filter((share) => share > 0).length
        const filled = counts.filter((count) => count > 0).length
        expect(filled).toBe(Math.min(wanted, sources.length))
        shares.forEach((share, i) => {
          if (share === 0) expect(counts[i]).toBe(0)
        })
      }),
    )
  })

  it('gives a single file to train, the second to valid', () => {
    for (const name of names(20)) {
      expect(sizes(splitByHash([name], [0.1, 0.45, 0.45]))).toEqual([1, 0, 0])
    }
    for (let i = 0; i < 20; i++) {
      const pair = [`a${i}`, `b${i}`]
      expect(sizes(splitByHash(pair, [0.4, 0.3, 0.3]))).toEqual([1, 1, 0])
    }
  })

  it('takes composed and combining accents for the same name', () => {
    const shares: Fractions = [0.5, 0.5, 0]
    for (let i = 0; i < 20; i++) {
      const composed = splitByHash([`Étude ${i}`, 'x', 'y', 'z'], shares).get(`Étude ${i}`)
      const combining = splitByHash([`E\u0301tude ${i}`, 'x', 'y', 'z'], shares)
      expect(combining.get(`E\u0301tude ${i}`)).toBe(composed)
    }
  })
})

describe('the way of splitting', () => {
  it('is by hash in a plain folder', async () => {
    const splitter = await splitterOf(tempFolder())
    expect(splitter.by).toBe('shares 0.9,0.05,0.05')
    expect(splitter.refuse('any.wav')).toBeUndefined()
  })

  it('is by folders when there is train/, with val/ and validation/ for valid', async () => {
    const dir = tempFolder()
    put(dir, { 'train/a': '', 'val/b': '', 'test/c': '' })
    const splitter = await splitterOf(dir)
    expect(splitter.by).toBe('folders')
    const sources = ['train/a.wav', 'val/deep/b.wav', 'test/c.wav']
    expect([...splitter.assign(sources).values()]).toEqual(['train', 'valid', 'test'])
    expect(splitter.refuse('train/a.wav')).toBeUndefined()
    expect(splitter.refuse('a.wav')).toContain('none of the folders train/, val/, test/')
    expect(splitter.refuse('other/a.wav')).toContain('none of the folders')
  })

  it('is not by folders when only test/ is there', async () => {
    const dir = tempFolder()
    put(dir, { 'test/c': '' })
    expect((await splitterOf(dir)).by).toContain('shares')
  })

  it('is by lists when there are, whatever the folders', async () => {
    const dir = tempFolder()
    put(dir, {
      'train/a': '',
      'train.txt': '\uFEFFa.wav\r\n\r\n# remark\r\n./b.wav\r\nsub\\c.wav\r\nd\r\n',
      'test.txt': 'e.wav\nlost.wav',
    })
    const splitter = await splitterOf(dir)
    expect(splitter.by).toBe('lists')
    const sources = ['a.wav', 'b.wav', 'sub/c.wav', 'd.flac', 'e.wav']
    expect([...splitter.assign(sources).values()]).toEqual([
      'train',
      'train',
      'train',
      'train',
      'test',
    ])
    expect(splitter.refuse('f.wav')).toBe('in none of the lists train.txt, test.txt')
    expect(splitter.missing(sources)).toEqual([
      { source: 'lost.wav', reason: 'listed in test.txt, but not there' },
    ])
  })

  it('is by hash when shares are given, whatever the lists', async () => {
    const dir = tempFolder()
    put(dir, { 'train.txt': 'a.wav' })
    expect((await splitterOf(dir, [0.5, 0.5, 0])).by).toBe('shares 0.5,0.5,0')
  })

  it('is refused when a file is in two lists', async () => {
    const dir = tempFolder()
    put(dir, { 'train.txt': 'a.wav\nb.wav', 'test.txt': 'b.wav' })
    await expect(splitterOf(dir)).rejects.toThrow('b.wav is in two splits')
  })

  it.each<[Fractions]>([
    [[0.5, 0.2, 0.2]],
    [[0, 0.5, 0.5]],
    [[1.2, -0.1, -0.1]],
    [[Number.NaN, 0.5, 0.5]],
  ])('is refused for the shares %j', async (shares) => {
    await expect(splitterOf(tempFolder(), shares)).rejects.toThrow('makes no sense')
  })
})
