/**
 * bash runs/remedies.sh FOLDER [RUNS]
 *
 * What could make seconds of context worth something beside the shipped local path and its forecast? One
 * remedy at a time: the shipped local path and head stay as they are, a context learns beside them, and
 * the same held-out targets are scored with 0.5 s and with 8 s of context. Writes docs/results/remedies.json
 * and .md; a remedy that is done is not done again.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openDataset, type Piece } from 'longwave/data'
import { Engine } from 'longwave/engine'
import { meanBits, standardError } from 'longwave/eval'
import {
  type Arrays,
  type FlagshipConfig,
  type Model,
  openCheckpoint,
  openModel,
  recallPath,
} from 'longwave/models'
import { ADAMW } from 'longwave/nn'
import { loadModelFolder, trainLoop } from 'longwave/train'
import { say } from './command.js'
import { machine, table } from './machine.js'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    targets: { type: 'string', default: '1e6' },
    context: { type: 'string', default: '16000' },
    rate: { type: 'string', default: '2e-3' },
    pieces: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '16' },
    threads: { type: 'string', default: '0' },
  },
})
const [folder, work = 'runs/remedies'] = positionals as [string, string?]
const SHIPPED = 'checkpoints/piano'
const [SHORT, LONG] = [8000, 128_000]
const targets = Number(options.targets)
const context = Number(options.context)

interface Remedy {
  name: string
  /** What is hoped for. */
  why: string
  /** Which recordings: a folder of FOLDER. */
  set: 'real' | 'rendered'
  config: (shipped: FlagshipConfig) => FlagshipConfig
  /** Parameters that begin as shipped, by prefix; the others as in a new model. */
  kept: readonly string[]
  /** Learns; null where the shipped weights are scored as they are. */
  learns: Readonly<Record<string, number>> | null
}

/** The local path and the head are frozen: only what a context says can change the bits. */
const CONTEXT = { 'head.context': 1, 'head.recall': 1, head: 0, local: 0, encoder: 0.1 }
const LOCAL = ['local', 'head.local', 'head.out', 'head.b', 'head.curves', 'head.forecast']
const ALL = [...LOCAL, 'head.context', 'encoder', 'context']
const as = (config: FlagshipConfig) => config

const REMEDIES: readonly Remedy[] = [
  {
    ...{ name: 'as shipped, real', why: 'what it is compared with', set: 'real' },
    ...{ config: as, kept: ALL, learns: null },
  },
  {
    ...{ name: 'as shipped, rendered', why: 'what it is compared with', set: 'rendered' },
    ...{ config: as, kept: ALL, learns: null },
  },
  {
    ...{
      name: 'a new context',
      why: 'optimisation: it joined a path that still moved',
      set: 'real',
    },
    ...{ config: as, kept: LOCAL, learns: CONTEXT },
  },
  {
    ...{ name: 'recall', why: 'a token lacks the sample that is wanted', set: 'real' },
    ...{ config: (c) => ({ ...c, recall: recallPath(32) }), kept: ALL, learns: CONTEXT },
  },
  {
    ...{ name: 'recall, rendered', why: 'music with more exact repeats', set: 'rendered' },
    ...{ config: (c) => ({ ...c, recall: recallPath(32) }), kept: ALL, learns: CONTEXT },
  },
  {
    ...{ name: 'chunks of 500', why: 'tokens too coarse: four times as many', set: 'real' },
    ...{ config: (c) => ({ ...c, chunk: 500, tokens: 256 }), kept: LOCAL, learns: CONTEXT },
  },
]

interface Result {
  name: string
  why: string
  parameters: number
  targets: number
  /** Mean bits of the same targets under both contexts. */
  short: number
  long: number
  /** Of the difference of the two, over pieces. */
  error: number | null
  pieces: number
}

/** What a model begins with. */
function initial(model: Model, { kept }: Remedy): Arrays {
  const { weights, model: shipped } = openCheckpoint(loadModelFolder(SHIPPED))
  const shapes = new Map(shipped.parameters.map(({ name, shape }) => [name, `${shape}`]))
  const own = model.initialise(1)
  for (const { name, shape } of model.parameters) {
    const fits = shapes.get(name) === `${shape}`
    if (fits && kept.some((prefix) => name.startsWith(prefix))) own[name] = weights[name]!
  }
  return own
}

async function train(remedy: Remedy, model: Model, engine: Engine, pieces: readonly Piece[]) {
  const runDir = join(work, remedy.name.replaceAll(/\W+/g, '-'))
  rmSync(runDir, { recursive: true, force: true })
  await trainLoop({
    ...{ runDir, model, engine, train: pieces, valid: [] },
    recipe: {
      ...{ seed: 0, stages: [{ context, part: 'all', targets }], targetsPerStep: context },
      memory: null,
      learningRate: {
        ...{ peak: Number(options.rate), warmup: targets / 20, total: targets },
        schedule: { kind: 'cosine', floor: 0.05 },
      },
      ...{ rates: remedy.learns!, weightDecay: 0, clip: 1, average: 0, adamW: ADAMW },
      ...{ evalEvery: 1e12, evalTargets: 0, data: null, init: SHIPPED },
    },
    initial: () => initial(model, remedy),
    saveEvery: {},
    onStep: ({ step, bits, timing }) => {
      if (step % 10 === 0) {
        say(
          `${remedy.name}, step ${step}: ${bits.toFixed(4)} bits, ${timing.targetsPerSecond.toFixed(0)} targets/s`,
        )
      }
    },
  })
  const trained = loadModelFolder(runDir)
  rmSync(runDir, { recursive: true })
  return openCheckpoint(trained).weights
}

async function result(remedy: Remedy, engine: Engine): Promise<Result> {
  const dataset = openDataset(join(folder, remedy.set))
  const shipped = openCheckpoint(loadModelFolder(SHIPPED)).model.config as FlagshipConfig
  const model = openModel('flagship', remedy.config(shipped))
  const weights =
    remedy.learns === null
      ? initial(model, remedy)
      : await train(remedy, model, engine, dataset.pieces('train'))
  const scorer = await model.scorer(engine, weights)
  const found: { weight: number; short: number; long: number }[] = []
  for (const piece of dataset.pieces('valid').slice(0, Number(options.pieces))) {
    const codes = piece.codes().subarray(0, Number(options.seconds) * dataset.meta.sampleRate)
    const [short, long] = [await scorer.score(codes, SHORT), await scorer.score(codes, LONG)]
    const bits = (nats: Float32Array) => meanBits(nats, LONG, codes.length)!
    found.push({ weight: codes.length - LONG, short: bits(short), long: bits(long) })
  }
  await scorer.dispose()
  const mean = (key: 'short' | 'long') =>
    found.reduce((sum, piece) => sum + piece.weight * piece[key], 0) /
    found.reduce((sum, { weight }) => sum + weight, 0)
  return {
    ...{ name: remedy.name, why: remedy.why, parameters: model.size },
    targets: remedy.learns === null ? 0 : targets,
    ...{ short: mean('short'), long: mean('long'), pieces: found.length },
    error: standardError(found.map(({ weight, short, long }) => ({ weight, mean: short - long }))),
  }
}

async function once(remedy: Remedy, engine: Engine): Promise<Result> {
  const file = join(work, `${remedy.name.replaceAll(/\W+/g, '-')}.json`)
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'))
  const found = await result(remedy, engine)
  say(JSON.stringify(found))
  writeFileSync(file, JSON.stringify(found))
  return found
}

mkdirSync(work, { recursive: true })
const threads = Number(options.threads)
const engine = await Engine.open(threads > 0 ? { threads } : {})
const results: Result[] = []
for (const remedy of REMEDIES) results.push(await once(remedy, engine))

const about = { ...(await machine()), options, results }
const text = [
  '# Remedies for a context that says nothing',
  '',
  `\`bash runs/remedies.sh\` on ${about.date}, commit ${about.commit}: ${about.cpu}, ${about.cores} cores, Node ${about.node}.`,
  `The shipped local path, forecast and head, frozen; a context learns beside them: ${targets / 1e6}M targets of training pieces, segments of`,
  `${context} samples, rate ${options.rate} (encoder a tenth), cosine to 5%, seed 0. Bits/sample of the same targets of the first ${options.pieces} validation pieces`,
  `(from ${LONG / 16_000} s to ${options.seconds} s), with ${SHORT} and with ${LONG} samples of context; standard error of the difference over pieces.`,
  '',
  table(
    [
      'remedy',
      'what for',
      'parameters',
      'targets',
      `bits at ${SHORT}`,
      `at ${LONG}`,
      'gained by context',
    ],
    results.map(({ name, why, parameters, targets, short, long, error }) => [
      ...[name, why, `${parameters}`, `${targets}`, short.toFixed(5), long.toFixed(5)],
      `${(short - long).toFixed(5)}${error === null ? '' : ` ± ${error.toFixed(5)}`}`,
    ]),
  ),
  '',
].join('\n')
mkdirSync('docs/results', { recursive: true })
writeFileSync('docs/results/remedies.json', `${JSON.stringify(about, null, 2)}\n`)
writeFileSync('docs/results/remedies.md', text)
process.stdout.write(text)
