/** Runs of a model that carries its state from step to step: stopped and resumed, to the same bits. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Engine } from '../../src/engine/index.js'
import { samplernn, samplernnPresets } from '../../src/models/samplernn.js'
import { loadCheckpoint, readMetrics, type TrainOptions, trainLoop } from '../../src/train/index.js'
import { toyOptions, toyRecipe } from './toy.js'

const model = samplernn({
  ...samplernnPresets.samplernn,
  ...{ frames: [4, 2], width: 8, embedding: 4 },
})

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longwave-streams-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const lasting = (dir: string) => readMetrics(dir).map(({ timing: _, ...rest }) => rest)

it('a run that is stopped within a passage goes on with what it remembers', async () => {
  const engine = await Engine.open({ threads: 1 })
  const recipe = toyRecipe({
    stages: [
      { context: 32, part: 'all', targets: 2000 },
      { context: 64, part: 'all', targets: 2000 },
    ],
    targetsPerStep: 128,
    evalEvery: 900,
    evalTargets: 400,
  })
  const optionsOf = (run: string, change: Partial<TrainOptions> = {}) =>
    toyOptions(engine, run, { model, recipe, ...change })
  const whole = join(root, 'whole')
  await trainLoop(optionsOf(whole))
  expect(lasting(whole)).toHaveLength(16 + 16)
  expect(lasting(whole).at(-1)!.bits).toBeLessThan(lasting(whole)[0]!.bits - 1)

  // at the end of a stage, within both of them
  const run = join(root, 'run')
  for (const [i, stop] of [5, 16, 21].entries()) {
    const signal = new AbortController()
    const onStep = ({ step }: { step: number }) => {
      if (step === stop) signal.abort()
    }
    await trainLoop(optionsOf(run, { resume: i > 0, signal: signal.signal, onStep }))
    const { state, optim } = loadCheckpoint(run)
    expect(state).toMatchObject({ step: stop })
    const carried = Object.keys(optim).filter((name) => name.startsWith('carried.'))
    // a stage begins with nothing
    expect(carried).toHaveLength(stop === 16 ? 0 : 4)
    if (stop === 5) expect(optim['carried.state.2']!.shape).toEqual([4 * 8])
  }
  await trainLoop(optionsOf(run, { resume: true }))
  expect(lasting(run)).toEqual(lasting(whole))
  const { folder: _, ...found } = loadCheckpoint(run)
  const { folder: __, ...expected } = loadCheckpoint(whole)
  expect(found).toEqual(expected)
})
