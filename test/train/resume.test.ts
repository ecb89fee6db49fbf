import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { Engine } from '../../src/engine/index.js'
import type { Model } from '../../src/models/model.js'
import {
  ContradictionError,
  DamagedCheckpointError,
  loadCheckpoint,
  METRICS_FILE,
  readMetrics,
  trainLoop,
} from '../../src/train/index.js'
import { compile } from './compile.js'
import { toyModel, toyOptions, toyRecipe } from './toy.js'

let engine: Engine
let root: string
let run: string
let whole: string
let program: string

/** What must not depend on how often a run was stopped. */
const lasting = (dir: string) => readMetrics(dir).map(({ timing: _, ...rest }) => rest)

beforeAll(async () => {
  engine = await Engine.open({ threads: 1 })
  whole = mkdtempSync(join(tmpdir(), 'longwave-whole-'))
  await trainLoop(toyOptions(engine, join(whole, 'run')))
  program = compile('test/train/loop-child.ts', join(whole, 'program'))
})

afterAll(() => {
  rmSync(whole, { recursive: true, force: true })
})

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longwave-resume-'))
  run = join(root, 'run')
})

afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

function expectSameAsWhole() {
  expect(lasting(run)).toEqual(lasting(join(whole, 'run')))
  const { folder: _, ...found } = loadCheckpoint(run)
  const { folder: __, ...expected } = loadCheckpoint(join(whole, 'run'))
  expect(found).toEqual(expected)
}

/** Runs the child; with `after`, signals it when so many more steps were taken, and a little later. */
async function runChild(signal?: NodeJS.Signals, after = 0, milliseconds = 0) {
  const child = spawn(process.execPath, [program, run], { stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = new Promise((done) => {
    child.once('exit', (code, by) => done(by ?? code))
  })
  if (signal) {
    const goal = readMetrics(run).length + after
    // lines after the last checkpoint are cut first, so wait for the count to go past
    while (readMetrics(run).length < goal && child.exitCode === null) await pause(2)
    await pause(milliseconds)
    child.kill(signal)
  }
  return ended
}

const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds))

// processes start slowly on a busy machine
describe('a run that goes on', { timeout: 300_000 }, () => {
  it('ends as if it had never been killed', async () => {
    const random = new Random(21)
    for (let kill = 0; kill < 3; kill++) {
      expect(await runChild('SIGKILL', 4 + random.below(14), random.below(25))).toBe('SIGKILL')
    }
    expect(lasting(run).length).toBeLessThan(lasting(join(whole, 'run')).length)
    expect(await runChild()).toBe(0)
    expectSameAsWhole()
  })

  it('ends as if it had never been interrupted', async () => {
    expect(await runChild('SIGINT', 10)).toBe(130)
    const { step, unscored } = loadCheckpoint(run).state as { step: number; unscored: unknown }
    // a step whose scoring was interrupted is told when it is done
    expect(lasting(run).length).toBe(unscored ? step - 1 : step)
    expect(await runChild()).toBe(0)
    expectSameAsWhole()
  })

  it('ends as if it had never been interrupted while it was scored', async () => {
    const stop = new AbortController()
    const toy = toyModel()
    const model: Model = {
      ...toy,
      async learner(...given) {
        const learner = await toy.learner(...given)
        return {
          ...learner,
          score: (...asked) => {
            stop.abort()
            return learner.score(...asked)
          },
        }
      },
    }
    const { reason } = await trainLoop(toyOptions(engine, run, { model, signal: stop.signal }))
    expect(reason).toBe('stopped')
    await trainLoop(toyOptions(engine, run, { resume: true }))
    expectSameAsWhole()
  })

  it('stops and goes on at every step in one process', async () => {
    let rounds = 0
    for (let reason = ''; reason !== 'finished' && rounds < 100; rounds++) {
      const options = { resume: true, minutes: 0, saveEvery: {} }
      reason = (await trainLoop(toyOptions(engine, run, options))).reason
    }
    expect(rounds).toBe(readMetrics(run).length)
    expectSameAsWhole()
  })

  it('goes on with moving averages', async () => {
    const recipe = toyRecipe({ average: 0.95 })
    const other = join(root, 'other')
    await trainLoop(toyOptions(engine, other, { recipe }))
    const stop = new AbortController()
    const onStep = ({ step }: { step: number }) => step === 30 && stop.abort()
    await trainLoop(toyOptions(engine, run, { recipe, signal: stop.signal, onStep }))
    await trainLoop(toyOptions(engine, run, { recipe, resume: true }))
    expect(lasting(run)).toEqual(lasting(other))
    expect(loadCheckpoint(run).model).toEqual(loadCheckpoint(other).model)
  })

  it('has nothing to do when it was finished', async () => {
    await trainLoop(toyOptions(engine, run))
    const before = readMetrics(run)
    const notes: string[] = []
    const onNote = (text: string) => notes.push(text)
    const result = await trainLoop(toyOptions(engine, run, { resume: true, onNote }))
    expect(result).toMatchObject({ reason: 'finished', step: before.length })
    expect(notes.at(-1)).toContain('already')
    expect(readMetrics(run)).toEqual(before)
  })

  it('begins again when it was killed before its first checkpoint', async () => {
    const stop = new AbortController()
    const crash = new Error('crash')
    const onStep = ({ step }: { step: number }) => {
      if (step === 3) throw crash
    }
    const options = { saveEvery: {}, signal: stop.signal }
    await expect(trainLoop(toyOptions(engine, run, { ...options, onStep }))).rejects.toBe(crash)
    expect(readMetrics(run)).toHaveLength(3)
    await trainLoop(toyOptions(engine, run, { ...options, resume: true }))
    expectSameAsWhole()
  })

  it('passes over a line of metrics that was cut', async () => {
    await trainLoop(toyOptions(engine, run, { minutes: 0 }))
    writeFileSync(join(run, METRICS_FILE), '{"step":2,"targ', { flag: 'a' })
    await trainLoop(toyOptions(engine, run, { resume: true }))
    expectSameAsWhole()
  })
})

describe('a run that cannot go on', () => {
  const stopAt = async (last: number) => {
    const stop = new AbortController()
    const onStep = ({ step }: { step: number }) => step === last && stop.abort()
    return trainLoop(toyOptions(engine, run, { signal: stop.signal, onStep }))
  }

  it('names the damaged file and offers the checkpoint before', async () => {
    const { folder } = await stopAt(10)
    const path = join(folder, 'model.safetensors')
    writeFileSync(path, 'x')
    const error: unknown = await trainLoop(toyOptions(engine, run, { resume: true })).catch(
      (e) => e,
    )
    expect(error).toBeInstanceOf(DamagedCheckpointError)
    expect((error as DamagedCheckpointError).describe()).toContain(path)
    expect((error as DamagedCheckpointError).describe()).toContain('--resume --from 7')
    // and the offer holds
    const result = await trainLoop(toyOptions(engine, run, { resume: true, from: 7 }))
    expect(result.reason).toBe('finished')
    expectSameAsWhole()
  })

  it('names every option that contradicts', async () => {
    await stopAt(5)
    const before = readdirSync(join(run, 'ckpt'))
    const { learningRate } = toyRecipe()
    const recipe = toyRecipe({ seed: 4, learningRate: { ...learningRate, peak: 0.1 } })
    const error: unknown = await trainLoop(toyOptions(engine, run, { resume: true, recipe })).catch(
      (e) => e,
    )
    expect(error).toBeInstanceOf(ContradictionError)
    const { expected, got } = (error as ContradictionError).failure
    expect(expected).toBe('seed 3, learningRate.peak 0.05')
    expect(got).toBe('seed 4, learningRate.peak 0.1')

    const model = toyModel({ scale: 0.5 })
    const other = trainLoop(toyOptions(engine, run, { resume: true, model }))
    await expect(other).rejects.toThrow('another model')
    expect(readdirSync(join(run, 'ckpt'))).toEqual(before)
    expect(readMetrics(run)).toHaveLength(5)
  })

  it('says which steps there are', async () => {
    await stopAt(5)
    const options = { resume: true, from: 3 }
    await expect(trainLoop(toyOptions(engine, run, options))).rejects.toMatchObject({
      failure: { got: 'steps step_000005' },
    })
  })
})
