import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FileError } from '../../src/base/errors.js'
import { encodeSafetensors } from '../../src/formats/index.js'
import { DamagedCheckpointError } from '../../src/models/checkpoint.js'
import { saveCheckpoint } from '../../src/train/checkpoint.js'
import { loadModelFolder } from '../../src/train/model-folder.js'
import { partsOf } from './checkpoint-parts.js'

let root: string
let run: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longwave-model-'))
  run = join(root, 'run')
})

afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

/** A folder as it is shipped: weights, configuration, a text. */
function ship(config: string): string {
  const dir = join(root, 'piano')
  mkdirSync(dir)
  const weights = { w: { dtype: 'F32' as const, shape: [2], data: Float32Array.of(1, 2) } }
  writeFileSync(join(dir, 'model.safetensors'), encodeSafetensors(weights))
  writeFileSync(join(dir, 'config.json'), config)
  writeFileSync(join(dir, 'README.md'), '# piano')
  return dir
}

const failure = (action: () => unknown) => {
  try {
    action()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

describe('loadModelFolder', () => {
  it('reads a shipped folder', () => {
    const dir = ship('{"model": "sashimi"}')
    expect(loadModelFolder(dir)).toEqual({
      folder: dir,
      model: { w: { shape: [2], data: Float32Array.of(1, 2) } },
      config: { model: 'sashimi' },
    })
  })

  it('reads one step, with the configuration in its state', () => {
    const folder = saveCheckpoint(run, 3, partsOf(3))
    const { model } = partsOf(3)
    expect(loadModelFolder(folder)).toEqual({ folder, model, config: { size: 2000 } })
  })

  it('reads one step without its optimiser', () => {
    const folder = saveCheckpoint(run, 3, partsOf(3))
    rmSync(join(folder, 'optim.safetensors'))
    expect(loadModelFolder(folder).model).toEqual(partsOf(3).model)
  })

  it('reads the configuration of the run when the state has none', () => {
    saveCheckpoint(run, 3, { ...partsOf(3), state: { step: 3 } })
    const error = failure(() => loadModelFolder(run)) as FileError
    expect(error).toBeInstanceOf(FileError)
    expect(error.failure.expected).toContain(join(run, 'config.json'))
    writeFileSync(join(run, 'config.json'), '{"width": 64}')
    expect(loadModelFolder(run).config).toEqual({ width: 64 })
  })

  it('reads the best checkpoint of a run, or the last without a best', () => {
    saveCheckpoint(run, 1, partsOf(1))
    const second = saveCheckpoint(run, 2, partsOf(2))
    expect(loadModelFolder(run).folder).toBe(second)
    const best = saveCheckpoint(run, 3, { ...partsOf(3), best: true })
    saveCheckpoint(run, 4, partsOf(4))
    expect(loadModelFolder(run).folder).toBe(best)
  })

  it('names the damaged file and an intact checkpoint', () => {
    const last = saveCheckpoint(run, 1, partsOf(1))
    const best = saveCheckpoint(run, 2, { ...partsOf(2), best: true })
    writeFileSync(join(best, 'model.safetensors'), 'x')
    const error = failure(() => loadModelFolder(run)) as DamagedCheckpointError
    expect(error).toBeInstanceOf(DamagedCheckpointError)
    expect(error.file).toBe(join(best, 'model.safetensors'))
    expect(error.failure.hint).toContain(last)
  })

  it('finds damage in a shipped folder, by checksums where it has them', () => {
    const dir = ship('{"model": ')
    expect((failure(() => loadModelFolder(dir)) as DamagedCheckpointError).file).toBe(
      join(dir, 'config.json'),
    )
    writeFileSync(join(dir, 'config.json'), '{}')
    writeFileSync(join(dir, 'checksums.json'), '{"config.json": "00"}')
    expect((failure(() => loadModelFolder(dir)) as DamagedCheckpointError).failure.expected).toBe(
      'SHA-256 00',
    )
    rmSync(join(dir, 'checksums.json'))
    writeFileSync(join(dir, 'model.safetensors'), 'short')
    const error = failure(() => loadModelFolder(dir)) as DamagedCheckpointError
    expect(error).toBeInstanceOf(DamagedCheckpointError)
    expect(error.failure.got).toMatch(/too short/)
  })

  it('refuses weights that are not float32', () => {
    const dir = ship('{}')
    const wide = { w: { dtype: 'F64' as const, shape: [1], data: Float64Array.of(1) } }
    writeFileSync(join(dir, 'model.safetensors'), encodeSafetensors(wide))
    const error = failure(() => loadModelFolder(dir)) as DamagedCheckpointError
    expect(error.failure.got).toBe('F64 in `w`')
  })

  it('tells a missing folder from one that is no checkpoint', () => {
    expect((failure(() => loadModelFolder(run)) as FileError).message).toMatch(/there is no folder/)
    mkdirSync(run)
    const empty = failure(() => loadModelFolder(run)) as FileError
    expect(empty).toBeInstanceOf(FileError)
    expect(empty.failure.got).toBe('an empty folder')
    for (let i = 0; i < 12; i++) writeFileSync(join(run, `take${i}.wav`), '')
    const other = failure(() => loadModelFolder(run)) as FileError
    expect(other.message).toMatch(/is not a checkpoint/)
    expect(other.failure.got).toMatch(/^take0\.wav, .*, \.\.\.$/)
  })

  it('tells a run that has not saved yet', () => {
    mkdirSync(join(run, 'ckpt'), { recursive: true })
    expect((failure(() => loadModelFolder(run)) as FileError).failure.got).toBe(
      'no checkpoint at all',
    )
  })

  it('does not need the run to read a step that was copied away', () => {
    const folder = saveCheckpoint(run, 3, partsOf(3))
    cpSync(folder, join(root, 'copy'), { recursive: true })
    expect(loadModelFolder(join(root, 'copy')).config).toEqual({ size: 2000 })
  })
})
