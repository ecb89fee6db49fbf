import { Random } from '../../src/base/random.js'
import type { Piece } from '../../src/data/index.js'
import type { Engine, Program, Values } from '../../src/engine/index.js'
import {
  add,
  crossEntropy,
  Graph,
  gradients,
  input,
  mean,
  type Tensor,
  take,
} from '../../src/graph/index.js'
import type { Arrays, Learner, Lesson, Model, Stage } from '../../src/models/model.js'
import type { Recipe, TrainOptions } from '../../src/train/index.js'

/** Codes are told apart by their last 5 bits: a small toy trains fast. */
const LEVELS = 32

const PARAMETERS = [
  { name: 'last', shape: [LEVELS, LEVELS] },
  { name: 'before', shape: [LEVELS, LEVELS] },
  { name: 'bias', shape: [LEVELS] },
]

/** logits = last[x[t]] + before[x[t - 1]] + bias; its local part has no `before`. */
export function toyModel(config: { scale: number } = { scale: 0.01 }): Model {
  const refuse = () => Promise.reject(new Error('the toy only learns'))
  return {
    family: 'toy',
    config,
    context: 2,
    parameters: PARAMETERS,
    size: 2 * LEVELS ** 2 + LEVELS,
    initialise(seed) {
      const random = new Random(seed)
      const entries = PARAMETERS.map(({ name, shape }) => {
        const values = new Float32Array(shape.reduce((n, dim) => n * dim, 1))
        return [name, values.map(() => config.scale * random.normal())] as const
      })
      return Object.fromEntries(entries)
    },
    plan: () => ({ text: 'a toy', memory: 1e6 }),
    learner: toyLearner,
    scorer: refuse,
    generator: refuse,
  }
}

async function toyLearner(engine: Engine, { context, part }: Stage): Promise<Learner> {
  const graph = new Graph()
  const codes = input(graph, 'codes', [context], 'int32')
  const before = input(graph, 'earlier', [context], 'int32')
  const targets = input(graph, 'targets', [context], 'int32')
  const used = PARAMETERS.filter(({ name }) => part === 'all' || name !== 'before')
  const p = new Map(used.map(({ name, shape }) => [name, input(graph, name, shape)]))
  let logits: Tensor = add(take(p.get('last')!, codes, 0), p.get('bias')!)
  if (part === 'all') logits = add(logits, take(p.get('before')!, before, 0))
  const loss = mean(crossEntropy(logits, targets))
  const derivatives = gradients([loss], [...p.values()])
  const outputs = used.map(({ name }, i) => [`d.${name}`, derivatives[i]!] as const)
  const program = await engine.compile({ loss, ...Object.fromEntries(outputs) })
  return {
    segmentLength: context,
    lead: 0,
    segmentsPerStep: (wanted) => Math.max(1, Math.round(wanted / context)),
    macsPerTarget: 2 * LEVELS,
    learn: (parameters, segments) => learn(program, parameters, segments, context),
    score: (parameters, segments) => learn(program, parameters, segments, context),
    dispose: () => program.dispose(),
  }
}

async function learn(
  program: Program,
  parameters: Arrays,
  segments: readonly Uint8Array[],
  context: number,
): Promise<Lesson> {
  const total: Arrays = {}
  let nats = 0
  for (const segment of segments) {
    const codes = Int32Array.from(segment.subarray(0, context), (code) => code % LEVELS)
    const earlier = Int32Array.from(codes, (_, i) => codes[i - 1] ?? 0)
    const targets = Int32Array.from(segment.subarray(1), (code) => code % LEVELS)
    const feeds: Record<string, Values> = { ...parameters, codes, earlier, targets }
    const { loss, ...found } = await program.run(feeds)
    nats += loss![0]! * context
    for (const [key, gradient] of Object.entries(found)) {
      const name = key.slice(2)
      total[name] ??= new Float32Array(gradient.length)
      const sum = total[name]
      for (let i = 0; i < sum.length; i++) sum[i]! += gradient[i]! / segments.length
    }
  }
  return { nats, targets: segments.length * context, gradients: total }
}

/** A noisy walk of period 8: each sample follows from the last two, mostly. */
export function toyPieces(count: number, split: 'train' | 'valid'): Piece[] {
  return Array.from({ length: count }, (_, index) => {
    const random = new Random(100 + index, split === 'train' ? 1 : 2)
    const codes = Uint8Array.from({ length: 3000 + 100 * index }, (_, t) => {
      return 100 + 10 * (t % 8) + (random.uniform() < 0.2 ? 1 : 0)
    })
    const samples = codes.length
    return { name: `${split}${index}`, split, samples, seconds: samples, codes: () => codes }
  })
}

export function toyRecipe(change: Partial<Recipe> = {}): Recipe {
  const stages = [
    { context: 32, part: 'local' as const, targets: 3000 },
    { context: 64, part: 'all' as const, targets: 6000 },
  ]
  const learningRate = {
    peak: 0.05,
    warmup: 500,
    total: 9000,
    schedule: { kind: 'cosine' as const, floor: 0.1 },
  }
  return {
    seed: 3,
    stages,
    memory: null,
    targetsPerStep: 128,
    learningRate,
    rates: {},
    weightDecay: 0.01,
    clip: 1,
    average: 0,
    adamW: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8 },
    evalEvery: 1500,
    evalTargets: 512,
    data: 'toy',
    init: null,
    ...change,
  }
}

/** Options of a run that is otherwise complete. */
export function toyOptions(
  engine: Engine,
  runDir: string,
  change: Partial<TrainOptions> = {},
): TrainOptions {
  return {
    runDir,
    model: toyModel(),
    engine,
    train: toyPieces(4, 'train'),
    valid: toyPieces(2, 'valid'),
    recipe: toyRecipe(),
    saveEvery: { steps: 7 },
    ...change,
  }
}
