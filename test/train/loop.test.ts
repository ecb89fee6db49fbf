import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SILENCE } from '../../src/audio/index.js'
import { DatasetError } from '../../src/data/index.js'
import { Engine } from '../../src/engine/index.js'
import { weightsOf } from '../../src/models/index.js'
import type { Learner, Model } from '../../src/models/model.js'
import { heldOutSegments } from '../../src/train/held-out.js'
import {
  DivergedError,
  loadCheckpoint,
  loadModelFolder,
  RunExistsError,
  readMetrics,
  type StepMetrics,
  trainLoop,
} from '../../src/train/index.js'
import { toyModel, toyOptions, toyPieces, toyRecipe } from './toy.js'

let engine: Engine
let root: string
let run: string

beforeAll(async () => {
  engine = await Engine.open({ threads: 1 })
})

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longwave-loop-'))
  run = join(root, 'run')
})

afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

describe('trainLoop', () => {
  it('learns, stage after stage, and tells about it', async () => {
    const heard: StepMetrics[] = []
    let milestones = 0
    const result = await trainLoop(
      toyOptions(engine, run, {
        onStep: (metrics) => heard.push(metrics),
        onMilestone: () => milestones++,
      }),
    )
    expect(result.reason).toBe('finished')
    expect(result.targets).toBe(3072 + 6016)
    expect(result.step).toBe(24 + 47)
    expect(existsSync(result.folder)).toBe(true)

    const metrics = readMetrics(run)
    expect(metrics).toEqual(heard)
    expect(metrics.map(({ step }) => step)).toEqual(metrics.map((_, i) => i + 1))
    expect(metrics.filter(({ stage }) => stage === 0)).toHaveLength(24)
    expect(metrics[0]!.bits).toBeCloseTo(5, 1)
    expect(metrics.at(-1)!.bits).toBeLessThan(1.5)
    expect(result.heldOutBits).toBeLessThan(1.5)
    // at every 1500 targets and at the end of each stage
    const scored = metrics.filter(({ heldOutBits }) => heldOutBits !== undefined)
    expect(scored.map(({ targets }) => targets)).toEqual([1536, 3072, 4608, 6016, 7552, 9088])
    expect(milestones).toBe(6)
    expect(scored.at(-1)!.heldOutBits).toBe(result.heldOutBits)
    expect(metrics[0]!.timing.gflops).toBeGreaterThan(0)
  })

  it('leaves alone what a stage does not train', async () => {
    const recipe = toyRecipe({ stages: [{ context: 32, part: 'local', targets: 2000 }] })
    await trainLoop(toyOptions(engine, run, { recipe }))
    const { model, state } = loadCheckpoint(run)
    const start = toyModel().initialise(recipe.seed)
    expect(model.before!.data).toEqual(start.before)
    expect(model.last!.data).not.toEqual(start.last)
    expect((state as { updates: unknown }).updates).toEqual({ last: 16, bias: 16, before: 0 })
  })

  it('keeps the best weights of the last stage, which a later step may lose', async () => {
    // far too high a rate in the end
    const steps = [{ share: 0.9, factor: 400 }]
    const learningRate = {
      ...toyRecipe().learningRate,
      schedule: { kind: 'steps' as const, steps },
    }
    const result = await trainLoop(toyOptions(engine, run, { recipe: toyRecipe({ learningRate }) }))
    expect(result.best!.bits).toBeLessThan(result.heldOutBits!)
    expect(result.best!.step).toBeLessThan(result.step)
    expect(result.best!.stage).toBe(1)
    expect(loadCheckpoint(run, 'best').folder).toContain(String(result.best!.step))
    const { model, config } = loadModelFolder(run)
    expect(config).toEqual({ family: 'toy', config: { scale: 0.01 } })
    expect(model).toEqual(loadCheckpoint(run, 'best').model)
  })

  it('does not feel whether held-out segments are scored', async () => {
    await trainLoop(toyOptions(engine, run))
    const quiet = join(root, 'quiet')
    const notes: string[] = []
    await trainLoop(toyOptions(engine, quiet, { valid: [], onNote: (text) => notes.push(text) }))
    expect(notes[0]).toContain('not scored')
    expect(readMetrics(quiet).map(({ bits }) => bits)).toEqual(
      readMetrics(run).map(({ bits }) => bits),
    )
    expect(loadCheckpoint(quiet).model).toEqual(loadCheckpoint(run).model)
  })

  it('averages weights when asked, without a change of the training', async () => {
    await trainLoop(toyOptions(engine, run))
    const averaged = join(root, 'averaged')
    await trainLoop(toyOptions(engine, averaged, { recipe: toyRecipe({ average: 0.9 }) }))
    const [plain, smooth] = [loadCheckpoint(run), loadCheckpoint(averaged)]
    expect(smooth.optim['p.last']).toEqual(plain.model.last)
    expect(smooth.model.last).not.toEqual(plain.model.last)
  })

  it('trains more slowly what its name says', async () => {
    await trainLoop(toyOptions(engine, run, { minutes: 0 }))
    const slow = join(root, 'slow')
    const recipe = toyRecipe({ rates: { las: 0.5, l: 3 } })
    await trainLoop(toyOptions(engine, slow, { recipe, minutes: 0 }))
    const [usual, found] = [loadCheckpoint(run).model, loadCheckpoint(slow).model]
    expect(found.bias).toEqual(usual.bias)
    expect(found.last).not.toEqual(usual.last)
    expect(loadCheckpoint(slow).state).toMatchObject({ recipe: { rates: { las: 0.5, l: 3 } } })
  })

  it('asks its learner for scores, of whom history comes first', async () => {
    const [lead, lengths] = [40, { learn: new Set<number>(), score: new Set<number>() }]
    const toy = toyModel()
    const model: Model = {
      ...toy,
      async learner(...given) {
        const learner = await toy.learner(...given)
        const heard = (what: 'learn' | 'score') => (segments: readonly Uint8Array[]) =>
          segments.map((segment) => {
            lengths[what].add(segment.length - learner.segmentLength)
            return segment.subarray(lead)
          })
        return {
          ...learner,
          lead,
          learn: (p, segments, seed) => learner.learn(p, heard('learn')(segments), seed),
          score: (p, segments) => learner.score(p, heard('score')(segments)),
        }
      },
    }
    await trainLoop(toyOptions(engine, run, { model }))
    expect(lengths).toEqual({ learn: new Set([lead + 1]), score: new Set([lead + 1]) })
    // what only prepares the learner changes nothing that it learns from
    const without = join(root, 'without')
    await trainLoop(toyOptions(engine, without))
    expect(loadCheckpoint(run).model).toEqual(loadCheckpoint(without).model)
  })

  it('starts from given weights', async () => {
    await trainLoop(toyOptions(engine, run))
    const { folder, model } = loadModelFolder(run)
    const next = join(root, 'next')
    const initial = () => weightsOf(folder, model, toyModel())
    await trainLoop(toyOptions(engine, next, { initial }))
    expect(readMetrics(next)[0]!.bits).toBeLessThan(2)
    const { last: _, ...rest } = model
    expect(() => weightsOf(folder, rest, toyModel())).toThrow(/damaged/)
  })

  it('stops after the minutes it was given', async () => {
    const result = await trainLoop(toyOptions(engine, run, { minutes: 0 }))
    expect(result).toMatchObject({ reason: 'minutes', step: 1 })
    expect(loadCheckpoint(run).folder).toBe(result.folder)
  })

  it('refuses a folder that holds a run', async () => {
    await trainLoop(toyOptions(engine, run, { minutes: 0 }))
    const again = trainLoop(toyOptions(engine, run))
    await expect(again).rejects.toThrow(RunExistsError)
    await expect(again).rejects.toMatchObject({ failure: { hint: /--resume/ } })
  })
})

describe('a run whose numbers leave the finite', () => {
  it.each([
    ['loss', (step: number) => ({ nats: step >= 10 ? Number.NaN : undefined })],
    ['gradient', (step: number) => ({ spoil: step >= 10 ? Number.POSITIVE_INFINITY : undefined })],
  ])('stops at the %s and leaves its last checkpoint intact', async (what, spoil) => {
    const model = spoiled(toyModel(), spoil)
    const running = trainLoop(toyOptions(engine, run, { model, valid: [] }))
    await expect(running).rejects.toThrow(DivergedError)
    await expect(running).rejects.toThrow(`The ${what} of step 10 is not a finite number.`)
    const { state, model: weights } = loadCheckpoint(run)
    expect(state).toMatchObject({ step: 7 })
    expect(weights.last!.data.every(Number.isFinite)).toBe(true)
    expect(readMetrics(run)).toHaveLength(9)
  })
})

/** A model whose lessons go wrong. */
function spoiled(
  model: Model,
  spoil: (step: number) => { nats?: number | undefined; spoil?: number | undefined },
): Model {
  const wrap = (learner: Learner): Learner => {
    let calls = 0
    return {
      ...learner,
      async learn(...given) {
        const lesson = await learner.learn(...given)
        const wrong = spoil(++calls)
        if (wrong.spoil !== undefined) lesson.gradients.last![0] = wrong.spoil
        return { ...lesson, nats: wrong.nats ?? lesson.nats }
      },
    }
  }
  return { ...model, learner: async (...given) => wrap(await model.learner(...given)) }
}

describe('a dataset that vanishes', () => {
  it('ends the run with its error, and the last checkpoint goes on when it is back', async () => {
    const pieces = toyPieces(3, 'train')
    let steps = 0
    const vanishing = pieces.map((piece) => ({
      ...piece,
      codes() {
        if (steps >= 30) throw new DatasetError({ fact: `The shard of ${piece.name} is missing.` })
        return piece.codes()
      },
    }))
    const options = toyOptions(engine, run, {
      train: vanishing,
      saveEvery: { steps: 10 },
      onStep: () => steps++,
    })
    await expect(trainLoop(options)).rejects.toThrow(/The shard of train\d is missing/)
    const { step } = loadCheckpoint(run).state as { step: number }
    expect(step).toBeGreaterThanOrEqual(20)
    const { reason } = await trainLoop(toyOptions(engine, run, { train: pieces, resume: true }))
    expect(reason).toBe('finished')
  })
})

describe('heldOutSegments', () => {
  const size = { segmentLength: 64, lead: 0 }

  it('gives the same segments for the same seed, spread over all pieces', () => {
    const pieces = toyPieces(3, 'valid')
    const segments = heldOutSegments(pieces, size, 30, 7)
    expect(segments).toEqual(heldOutSegments(pieces, size, 30, 7))
    expect(segments).not.toEqual(heldOutSegments(pieces, size, 30, 8))
    expect(segments.every((segment) => segment.length === 65)).toBe(true)
  })

  it('puts history in front of the same segments where a learner wants it', () => {
    const pieces = toyPieces(3, 'valid')
    const segments = heldOutSegments(pieces, { ...size, lead: 500 }, 30, 7)
    expect(segments.map((segment) => segment.slice(500))).toEqual(
      heldOutSegments(pieces, size, 30, 7),
    )
    // that of pieces which nothing precedes begins with silence
    expect(segments.some(([first]) => first === SILENCE)).toBe(true)
    expect(segments.some(([first]) => first !== SILENCE)).toBe(true)
  })

  it('gives none where every piece is too short', () => {
    const long = { segmentLength: 5000, lead: 0 }
    expect(heldOutSegments(toyPieces(2, 'valid'), long, 4, 0)).toEqual([])
    expect(heldOutSegments([], { segmentLength: 5, lead: 100 }, 4, 0)).toEqual([])
  })
})
