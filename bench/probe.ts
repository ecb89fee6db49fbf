/**
 * bash runs/probe.sh
 *
 * Noise that comes again after 5, 20 and 60 s: whoever sees less than that cannot expect less than 2 bits
 * a sample (src/data/echo.ts). Trains a small flagship with recall, and the same without, on short
 * delays, lets the first go on at each long one, and scores both under growing contexts. Writes
 * docs/results/probe.json, .md and .svg.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ECHO_CODES, echo, type Piece } from 'longwave/data'
import { Engine } from 'longwave/engine'
import { linePlot, meanBits } from 'longwave/eval'
import {
  type FlagshipConfig,
  flagshipPresets,
  type Model,
  openModel,
  recallPath,
  weightsOf,
} from 'longwave/models'
import { ADAMW } from 'longwave/nn'
import { loadModelFolder, trainLoop } from 'longwave/train'
import { machine, table } from './machine.js'

const work = 'out/bench/probe'
const RATE = 16_000
const CHUNK = 2000
/** Delays that the models first learn with, in chunks, and the longest that they see. */
const SHORT = { delays: [2, 3, 4, 5, 6, 7], context: 32_000, targets: 8e6, perStep: 32_000 }
/** What the one with recall learns at every long delay. */
const LONG = [
  { seconds: 5, context: 160_000, targets: 3.2e6 },
  { seconds: 20, context: 480_000, targets: 4.8e6 },
  { seconds: 60, context: 1_000_000, targets: 5e6 },
]
const CONTEXTS = [32_000, 128_000, 512_000, 1_000_000]
const LEAST = Math.log2(ECHO_CODES.length)

const small: FlagshipConfig = {
  ...flagshipPresets.stream,
  filters: [8, 8, 8, 8, 8],
  width: 16,
  layers: 1,
  heads: 2,
  headWidth: 16,
  feedForward: 32,
  hidden: 64,
}

function piece(delay: number, samples: number, seed: number): Piece {
  const codes = echo({ samples, delay, seed })
  const [name, seconds] = [`${delay}-${seed}`, samples / RATE]
  return { name, split: 'train', samples, seconds, codes: () => codes }
}

interface Course {
  context: number
  targets: number
  perStep: number
  lr: number
  from?: string
}

const engine = await Engine.open()
const nameOf = (folder: string) => folder.replace(`${work}/`, '')

async function train(folder: string, model: Model, pieces: readonly Piece[], course: Course) {
  const { context, targets, perStep, lr, from } = course
  rmSync(folder, { recursive: true, force: true })
  const began = performance.now()
  await trainLoop({
    runDir: folder,
    model,
    engine,
    train: pieces,
    valid: [],
    recipe: {
      ...{ seed: 0, stages: [{ context, part: 'all', targets }], targetsPerStep: perStep },
      memory: null,
      learningRate: {
        peak: lr,
        warmup: 4 * perStep,
        total: targets,
        schedule: { kind: 'cosine', floor: 0.1 },
      },
      ...{ rates: {}, weightDecay: 0, clip: 1, average: 0, adamW: ADAMW },
      ...{ evalEvery: 1e12, evalTargets: 0, data: null, init: from ?? null },
    },
    saveEvery: {},
    onStep: ({ step, bits, timing }) => {
      if (step % 10 === 0 || targets / perStep < 20) {
        const speed = (timing.targetsPerSecond / 1000).toFixed(1)
        process.stderr.write(
          `${nameOf(folder)} step ${step}: ${bits.toFixed(4)} bits, ${speed}k targets/s\n`,
        )
      }
    },
    ...(from !== undefined && {
      initial() {
        const { folder: at, model: weights } = loadModelFolder(from)
        return weightsOf(at, weights, model)
      },
    }),
  })
  return (performance.now() - began) / 1000
}

interface Row {
  seconds: number
  model: string
  context: number
  firstTime: number
  again: number
  targets: number
}

/** Bits of a motif's first time and of all later ones, under growing contexts. */
async function score(folder: string, model: Model, name: string, seconds: number): Promise<Row[]> {
  const { folder: at, model: tensors } = loadModelFolder(folder)
  const scorer = await model.scorer(engine, weightsOf(at, tensors, model))
  const delay = seconds * RATE
  const samples = 1_000_000
  const codes = echo({ samples, delay, seed: 1 })
  const rows: Row[] = []
  for (const context of CONTEXTS) {
    const nats = await scorer.score(codes, context)
    const row = {
      ...{ seconds, model: name, context },
      firstTime: meanBits(nats, 0, delay)!,
      again: meanBits(nats, delay, samples)!,
      targets: samples - delay,
    }
    process.stderr.write(`${JSON.stringify(row)}\n`)
    rows.push(row)
  }
  await scorer.dispose()
  return rows
}

mkdirSync(work, { recursive: true })
const rows: Row[] = []
const courses: Record<string, number> = {}
const withRecall = openModel('flagship', { ...small, recall: recallPath(32) })
const without = openModel('flagship', small)
const short = SHORT.delays.flatMap((chunks) =>
  [1, 2, 3].map((seed) => piece(chunks * CHUNK, 4 * SHORT.context, 100 * chunks + seed)),
)
for (const [name, model] of [
  ['recall', withRecall],
  ['without', without],
] as const) {
  const folder = join(work, name)
  courses[name] = await train(folder, model, short, { ...SHORT, lr: 1e-2 })
}
rows.push(...(await score(join(work, 'without'), without, 'without recall', 5)))
for (const { seconds, context, targets } of LONG) {
  rows.push(
    ...(await score(join(work, 'recall'), withRecall, 'recall, short delays only', seconds)),
  )
  const pieces = [11, 12, 13].map((seed) => piece(seconds * RATE, context + 1, seed))
  const folder = join(work, `recall-${seconds}`)
  const from = join(work, 'recall')
  courses[nameOf(folder)] = await train(folder, withRecall, pieces, {
    ...{ context, targets, perStep: context, lr: 1e-3, from },
  })
  rows.push(...(await score(folder, withRecall, `recall, taught ${seconds} s`, seconds)))
}

const result = { ...(await machine()), least: LEAST, parameters: withRecall.size, courses, rows }
const text = [
  '# Noise that comes again after 5, 20 and 60 s',
  '',
  `\`bash runs/probe.sh\` on ${result.date}, commit ${result.commit}: ${result.cpu}, ${result.cores} cores, Node ${result.node}.`,
  `Random codes of ${ECHO_CODES.length} levels, x[t] = x[t - delay], 62.5 s at 16 kHz, seed 1; bits/sample of the first time and of`,
  `later times. Who sees less than the delay cannot expect less than ${LEAST.toFixed(0)} bits. With a context of N samples a`,
  'prediction sees N/2 to N of them, so that a context helps wholly from twice the delay on (at 1,000,000 the piece is one segment).',
  `A flagship of ${withRecall.size} parameters (${without.size} without recall) learned delays of ${SHORT.delays.map((d) => (d * CHUNK) / RATE).join(', ')} s`,
  `from ${SHORT.targets / 1e6}M targets at a context of ${SHORT.context}, then each long delay from ${LONG.map(({ targets }) => targets / 1e6).join(', ')}M.`,
  '',
  table(
    ['delay', 'model', 'context', 'first time', 'again', 'targets'],
    rows.map((row) => [
      `${row.seconds} s`,
      row.model,
      `${row.context}`,
      row.firstTime.toFixed(3),
      row.again.toFixed(3),
      `${row.targets}`,
    ]),
  ),
  '',
].join('\n')
const curves = [...new Set(rows.map(({ seconds, model }) => `${seconds} s: ${model}`))]
const svg = linePlot({
  title: 'noise that comes again: bits of later times (cut at 3)',
  x: { label: 'context, samples', log: true },
  y: { label: 'bits/sample' },
  series: [
    ...curves.map((name) => ({
      name,
      points: rows
        .filter(({ seconds, model }) => `${seconds} s: ${model}` === name)
        .map(({ context, again }) => [context, Math.min(again, 3)] as const),
    })),
  ],
})
mkdirSync('docs/results', { recursive: true })
writeFileSync('docs/results/probe.json', `${JSON.stringify(result, null, 2)}\n`)
writeFileSync('docs/results/probe.md', text)
writeFileSync('docs/results/probe.svg', svg)
process.stdout.write(text)
