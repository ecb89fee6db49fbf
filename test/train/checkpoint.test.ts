import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FileError, type LongwaveError, UsageError } from '../../src/base/errors.js'
import { Random } from '../../src/base/random.js'
import { DamagedCheckpointError } from '../../src/models/checkpoint.js'
import { findIntact, loadCheckpoint, saveCheckpoint } from '../../src/train/checkpoint.js'
import { type Counted, partsOf } from './checkpoint-parts.js'

/** Lets a test break the file system at its n-th change, and count the changes. */
const disk = vi.hoisted(() => ({
  changes: 0,
  breakAt: Number.POSITIVE_INFINITY,
  stayBroken: false,
}))

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const broken = () => {
    disk.changes++
    return disk.stayBroken ? disk.changes >= disk.breakAt : disk.changes === disk.breakAt
  }
  const full = () => Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  const guarded =
    <A extends unknown[], R>(change: (...args: A) => R) =>
    (...args: A): R => {
      if (broken()) throw full()
      return change(...args)
    }
  return {
    ...fs,
    mkdirSync: guarded(fs.mkdirSync as (path: string) => void),
    openSync: guarded(fs.openSync),
    // no power is cut here, and waiting for the disk is slow
    fsyncSync: guarded(() => {}),
    renameSync: guarded(fs.renameSync),
    rmSync: guarded(fs.rmSync),
    // a write that breaks leaves half of the bytes behind
    writeFileSync: (file: number | string, bytes: Uint8Array) => {
      if (!broken()) return fs.writeFileSync(file, bytes)
      fs.writeFileSync(file, bytes.subarray(0, bytes.length / 2))
      throw full()
    },
  }
})

let root: string
let run: string
const ckpt = () => join(run, 'ckpt')
const listing = () => readdirSync(ckpt()).sort()
const stepOf = (which = 'last') => (loadCheckpoint(run, which).state as Counted).step

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longwave-checkpoint-'))
  run = join(root, 'run')
})

afterEach(() => {
  Object.assign(disk, { breakAt: Number.POSITIVE_INFINITY, stayBroken: false })
  rmSync(root, { recursive: true, force: true })
})

describe('a saved checkpoint', () => {
  it('comes back bit for bit', () => {
    const parts = partsOf(500)
    parts.model.odd = { shape: [2, 2], data: Float32Array.of(Number.NaN, -0, 1e-45, 3) }
    const folder = saveCheckpoint(run, 500, parts)
    expect(folder).toBe(join(run, 'ckpt', 'step_000500'))
    expect(readdirSync(folder).sort()).toEqual([
      'checksums.json',
      'model.safetensors',
      'optim.safetensors',
      'state.json',
    ])
    expect(loadCheckpoint(run)).toEqual({ folder, ...parts })
  })

  it('is found as last, as best, by its name, by its path and as a folder of its own', () => {
    const best = saveCheckpoint(run, 1, { ...partsOf(1), best: true })
    const last = saveCheckpoint(run, 2, partsOf(2))
    expect(loadCheckpoint(run).folder).toBe(last)
    expect(loadCheckpoint(run, 'best').folder).toBe(best)
    expect(loadCheckpoint(run, 'step_000001').folder).toBe(best)
    expect(loadCheckpoint(run, best).folder).toBe(best)
    expect(loadCheckpoint(best).folder).toBe(best)
    cpSync(best, join(root, 'moved'), { recursive: true })
    expect(loadCheckpoint(join(root, 'moved')).model).toEqual(partsOf(1).model)
  })

  it('stays until two newer ones exist, and for as long as it is the best', () => {
    for (let step = 100; step <= 600; step += 100) {
      saveCheckpoint(run, step, { ...partsOf(step), best: step === 200 })
    }
    const kept = ['step_000200', 'step_000500', 'step_000600']
    expect(listing()).toEqual(['best.json', 'last.json', ...kept])
    saveCheckpoint(run, 700, { ...partsOf(700), best: true })
    expect(listing()).toEqual(['best.json', 'last.json', 'step_000600', 'step_000700'])
  })

  it('is replaced when its step is saved again, without a moment without it', () => {
    saveCheckpoint(run, 7, { ...partsOf(7), state: { step: 7, note: 'first' } })
    saveCheckpoint(run, 7, { ...partsOf(7), state: { step: 7, note: 'second' } })
    expect(loadCheckpoint(run).state).toEqual({ step: 7, note: 'second' })
    saveCheckpoint(run, 8, partsOf(8))
    saveCheckpoint(run, 9, partsOf(9))
    expect(listing()).toEqual(['last.json', 'step_000008', 'step_000009'])
  })

  it('of a rewound run leaves the abandoned future behind', () => {
    for (const step of [10, 20, 30]) saveCheckpoint(run, step, partsOf(step))
    saveCheckpoint(run, 21, partsOf(21))
    saveCheckpoint(run, 22, partsOf(22))
    expect(listing()).toEqual(['last.json', 'step_000021', 'step_000022'])
    expect(stepOf()).toBe(22)
  })

  it('never pushes out the last intact one in favour of a damaged one', () => {
    saveCheckpoint(run, 1, partsOf(1))
    flip(join(saveCheckpoint(run, 2, partsOf(2)), 'model.safetensors'), 100, 1)
    saveCheckpoint(run, 3, partsOf(3))
    expect(listing()).toEqual(['last.json', 'step_000001', 'step_000003'])
  })

  it('refuses a step that is no count and a state that JSON would change', () => {
    expect(() => saveCheckpoint(run, -1, partsOf(1))).toThrow(UsageError)
    expect(() => saveCheckpoint(run, 0.5, partsOf(1))).toThrow(UsageError)
    const states = [{ best: Number.POSITIVE_INFINITY }, [undefined], new Map(), { at: new Date(0) }]
    for (const state of states) {
      expect(() => saveCheckpoint(run, 1, { ...partsOf(1), state })).toThrow(UsageError)
    }
    expect(existsSync(run)).toBe(false)
  })
})

describe('damage', () => {
  const files = ['model.safetensors', 'optim.safetensors', 'state.json', 'checksums.json']

  it.each(files)('of one bit in %s is found, with the way back to an intact one', (name) => {
    const random = new Random(3)
    const before = saveCheckpoint(run, 1, partsOf(1, 50))
    const path = join(saveCheckpoint(run, 2, partsOf(2, 50)), name)
    const { length } = readFileSync(path)
    for (let round = 0; round < 60; round++) {
      const at = random.below(length)
      const bit = random.below(8)
      flip(path, at, bit)
      const error = thrownBy(() => loadCheckpoint(run)) as DamagedCheckpointError
      expect(error).toBeInstanceOf(DamagedCheckpointError)
      expect(error.exitCode).toBe(4)
      expect(error.failure.expected).not.toBe('')
      expect(error.failure.got).not.toBe('')
      expect(error.failure.hint).toContain(before)
      if (name !== 'checksums.json') expect(error.file).toBe(path)
      expect(findIntact(run)).toBe(before)
      flip(path, at, bit)
    }
    expect(stepOf()).toBe(2)
  })

  it.each(files)('by a missing or a truncated %s is found', (name) => {
    const path = join(saveCheckpoint(run, 1, partsOf(1)), name)
    writeFileSync(path, readFileSync(path).subarray(0, 20))
    expect(() => loadCheckpoint(run)).toThrow(DamagedCheckpointError)
    rmSync(path)
    const error = thrownBy(() => loadCheckpoint(run)) as DamagedCheckpointError
    expect(error.file).toBe(path)
    expect(error.failure.got).toBe('no such file')
    expect(error.failure.hint).toMatch(/no other checkpoint/)
    expect(findIntact(run)).toBeUndefined()
  })

  it('of a pointer is found, and the next save repairs it', () => {
    const folder = saveCheckpoint(run, 1, partsOf(1))
    const texts = ['', 'null', '[]', '{"folder":"step_000001","step":2}']
    for (const text of [
      ...texts,
      '{"folder":"../..","step":1}',
      '{"folder":"step_000009","step":9}',
    ]) {
      writeFileSync(join(ckpt(), 'last.json'), Buffer.from(text))
      const error = thrownBy(() => loadCheckpoint(run)) as DamagedCheckpointError
      expect(error).toBeInstanceOf(DamagedCheckpointError)
      expect(error.file).toBe(join(ckpt(), 'last.json'))
      expect(error.failure.hint).toContain(folder)
    }
    saveCheckpoint(run, 2, partsOf(2))
    expect(stepOf()).toBe(2)
  })
})

describe('what is not there', () => {
  it('is told apart: no folder, no checkpoint, no best, no such step', () => {
    const got = (dir: string, which?: string) => {
      const error = thrownBy(() => loadCheckpoint(dir, which))
      expect(error).toBeInstanceOf(FileError)
      return (error as LongwaveError).describe()
    }
    expect(got(run)).toContain('there is no folder')
    mkdirSync(run)
    expect(got(run)).toContain('no checkpoint at all')
    saveCheckpoint(run, 1, partsOf(1))
    expect(got(run, 'best')).toContain('step_000001')
    expect(got(run, 'step_000002')).toContain('there is no checkpoint step_000002')
  })
})

describe('a save that fails', () => {
  it('on a path that cannot be a folder is a FileError', () => {
    writeFileSync(run, Buffer.from('a file'))
    expect(() => saveCheckpoint(run, 1, partsOf(1))).toThrow(FileError)
  })

  it('at any one of its operations is a FileError and leaves an intact last checkpoint', () => {
    eachBreak(4, false, (error) => {
      expect(error).toBeInstanceOf(FileError)
      expect((error as FileError).describe()).toMatch(/ENOSPC[\s\S]*disk is full/)
    })
  })

  // step 3 is the one that `last` names already
  it.each([3, 4])(
    'for good at any one, as if killed, in step %i, leaves an intact last',
    (step) => {
      eachBreak(step, true, () => {})
    },
  )

  /** Saves a step with the disk breaking at change 1, 2, ... of it, until it no longer breaks. */
  function eachBreak(step: number, stayBroken: boolean, check: (error: unknown) => void) {
    for (const n of [1, 2, 3]) saveCheckpoint(run, n, { ...partsOf(n, 9), best: n === 1 })
    cpSync(run, join(root, 'before'), { recursive: true })
    let points = 0
    for (let error: unknown = 'none yet'; error !== undefined; points++) {
      rmSync(run, { recursive: true })
      cpSync(join(root, 'before'), run, { recursive: true })
      Object.assign(disk, { changes: 0, breakAt: points + 1, stayBroken })
      error = thrownBy(() => saveCheckpoint(run, step, { ...partsOf(step, 9), best: true }))
      disk.breakAt = Number.POSITIVE_INFINITY
      if (error !== undefined) check(error)
      expect(stepOf()).toBeOneOf([3, step])
      expect(stepOf('best')).toBeOneOf([1, step])
      saveCheckpoint(run, step, { ...partsOf(step, 9), best: true })
      expect([stepOf(), stepOf('best')]).toEqual([step, step])
      expect(listing().filter((name) => name.startsWith('.'))).toEqual([])
    }
    expect(points).toBeGreaterThan(25)
  }
})

function flip(path: string, at: number, bit: number) {
  const bytes = readFileSync(path)
  bytes[at]! ^= 1 << bit
  writeFileSync(path, bytes)
}

function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return undefined
}
