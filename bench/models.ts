/**
 * npm run bench:models [-- --seconds 8] [-- --rounds 3] [-- --only wavenet,sashimi] [-- --out docs/results/bench-models]
 *
 * Every model beside its counterpart in PyTorch, by turns, in one run on one machine: samples/s of generation (ours on one
 * thread and on two, theirs on as many as are best) and targets/s of training. Writes OUT.json and .md. Rows of other
 * versions of Node, and of models that are not asked for, stay.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { openModel, presets } from 'longwave/models'
import { say } from './command.js'
import { generationRate } from './generation.js'
import { machine, matmulRate, table } from './machine.js'
import { peer } from './peers.js'
import { prepareTraining, trainingRate } from './training.js'

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    out: { type: 'string', default: 'docs/results/bench-models' },
  },
})
const seconds = Number(options.seconds)
const WORK = 'out/bench/models'

const threads = (torch: number, blas: number) => [
  ...['--torch-threads', `${torch}`, '--blas-threads', `${blas}`],
]

/** This build of PyTorch has two pools of threads, which fight: the best split is another one for every model. */
const GENERATE = [threads(1, 1), threads(2, 1), threads(1, 2)]

interface Wanted {
  preset: string
  label: string
  context: number
  targetsPerStep: number
  /** Name of the peer's file, and the flags that it is tried with. */
  peer: string
  train: readonly (readonly string[])[]
  generate: readonly (readonly string[])[]
}

const MODELS: readonly Wanted[] = [
  {
    ...{ preset: 'wavenet', label: 'WaveNet', context: 16_000, targetsPerStep: 16_000 },
    peer: 'wavenet',
    train: [
      ['train', '--form', 'conv', ...threads(2, 1)],
      ['train', '--form', 'gemm', ...threads(2, 1)],
      ['train', '--form', 'gemm', ...threads(1, 2)],
    ],
    generate: GENERATE.map((flags) => ['generate', ...flags]),
  },
  {
    ...{ preset: 'samplernn', label: 'SampleRNN', context: 1024, targetsPerStep: 16 * 1024 },
    peer: 'samplernn',
    train: [threads(2, 1), threads(1, 2)].map((flags) => {
      return ['train', '--batch', '16', '--length', '1024', ...flags]
    }),
    generate: GENERATE.map((flags) => ['generate', ...flags]),
  },
  {
    ...{ preset: 'sashimi', label: 'SaShiMi', context: 16_000, targetsPerStep: 16_000 },
    peer: 'sashimi',
    train: [threads(2, 1), threads(1, 2)].map((flags) => ['train', '--length', '16000', ...flags]),
    generate: GENERATE.map((flags) => ['generate', ...flags]),
  },
  {
    // it generates too slowly to be a peer: bench-stream.md has what a window costs when nothing is kept
    ...{ preset: 'stream', label: '`stream`', context: 8000, targetsPerStep: 8000 },
    peer: 'longwave',
    train: [
      ['dense', '--segment-tokens', '4'],
      ['dense', '--absorbed', '--segment-tokens', '4'],
    ],
    generate: [],
  },
]

/** Rates of something done several times, and the command that was best. */
class Best {
  best = 0
  readonly medians: number[] = []
  command = ''

  add(found: { best: number; median: number }, command: string): void {
    this.medians.push(found.median)
    if (found.best <= this.best) return
    this.best = found.best
    this.command = command
  }

  get figures(): Figures | null {
    if (this.medians.length === 0) return null
    const sorted = [...this.medians].sort((a, b) => a - b)
    const median = sorted[Math.floor(sorted.length / 2)]!
    return { best: this.best, median, command: this.command }
  }
}

/** Of all rounds: the best, the median of their medians, and what was run for the best. */
interface Figures {
  best: number
  median: number
  command: string
}

/** Our ways to generate. */
const WAYS = [
  { name: 'int8', precision: 'int8', threads: 1 },
  { name: 'int8Shared', precision: 'int8', threads: 2 },
  { name: 'f32', precision: 'f32', threads: 1 },
  { name: 'f32Shared', precision: 'f32', threads: 2 },
] as const

type Generation = Record<(typeof WAYS)[number]['name'], Figures | null>

interface ModelRow extends Generation {
  preset: string
  label: string
  node: string
  parameters: number
  torch: string | null
  theirGeneration: Figures | null
  training: Figures | null
  theirTraining: Figures | null
}

async function measure(wanted: Wanted): Promise<ModelRow> {
  const { preset, label, context, targetsPerStep } = wanted
  const { family, config } = presets[preset]!
  const ours = new Map(WAYS.map((way) => [way, new Best()]))
  const training = new Best()
  // theirs is the best of all settings, each of which has its own median
  const theirGeneration = new Map(wanted.generate.map((flags) => [flags, new Best()]))
  const theirLessons = new Map(wanted.train.map((flags) => [flags, new Best()]))
  let torch: string | null = null
  const rounds = Number(options.rounds)
  for (let round = 0; round < rounds; round++) {
    say(`${label}, round ${round + 1} of ${rounds}`)
    for (const [{ precision, threads }, best] of ours) {
      const found = await generationRate(preset, precision, threads, seconds)
      say(`${label}, ${precision}, threads ${threads}: ${found.best.toFixed(0)} samples/s`)
      best.add(found, `openStream, preset ${preset}, ${precision}, threads ${threads}`)
    }
    for (const [flags, best] of theirGeneration) {
      const found = peer(wanted.peer, [...flags, '--seconds', `${seconds}`])
      torch ??= found?.report.torch ?? null
      const rate = found?.report.samplesPerSecond
      if (rate) best.add(rate, found.command)
    }
    const lesson = trainingRate({ preset, context, targetsPerStep, seconds, work: WORK })
    const { targetsPerSecond: best, medianTargetsPerSecond: median } = lesson
    say(`${label}: ${best.toFixed(0)} targets/s`)
    training.add({ best, median }, lesson.command)
    for (const [flags, best] of theirLessons) {
      const found = peer(wanted.peer, [...flags, '--seconds', `${seconds}`])
      torch ??= found?.report.torch ?? null
      const rate = found?.report.targetsPerSecond
      if (rate) best.add(rate, found.command)
    }
  }
  return {
    ...{ preset, label, node: process.version, torch },
    parameters: openModel(family, config).size,
    ...(Object.fromEntries(
      [...ours].map(([{ name }, { figures }]) => [name, figures]),
    ) as Generation),
    training: training.figures,
    theirGeneration: fastest(theirGeneration.values()),
    theirTraining: fastest(theirLessons.values()),
  }
}

const fastest = (all: Iterable<Best>) => faster([...all].map(({ figures }) => figures))

function faster(all: readonly (Figures | null)[]): Figures | null {
  const known = all.flatMap((figures) => (figures ? [figures] : []))
  return known.sort((a, b) => b.best - a.best)[0] ?? null
}

const whole = (n: number) => Math.round(n).toLocaleString('en')
const rate = (figures: Figures | null) =>
  figures ? `${whole(figures.best)} (${whole(figures.median)})` : '-'
const times = (ours: Figures | null, theirs: Figures | null) =>
  ours && theirs ? `**${(ours.best / theirs.best).toFixed(2)}**` : '-'

/** Threads and form, as flags tell them. */
const settingOf = (figures: Figures | null) => {
  if (!figures) return '-'
  const flag = (name: string) => new RegExp(`--${name} (\\S+)`).exec(figures.command)?.[1]
  const [torch, blas, form] = [flag('torch-threads'), flag('blas-threads'), flag('form')]
  const pools = torch === undefined ? 'its own' : `${torch} + ${blas}`
  return form === undefined ? pools : `${pools}, ${form}`
}

function render(rows: readonly ModelRow[], about: object): string {
  const generation = rows.map((row) => [
    `${row.label}, ${(row.parameters / 1e6).toFixed(2)}M`,
    row.node,
    ...WAYS.map(({ name }) => rate(row[name])),
    rate(row.theirGeneration),
    settingOf(row.theirGeneration),
    times(row.int8, row.theirGeneration),
    times(faster([row.int8, row.int8Shared]), row.theirGeneration),
    times(faster([row.f32, row.f32Shared]), row.theirGeneration),
  ])
  const training = rows.map((row) => [
    row.label,
    row.node,
    rate(row.training),
    rate(row.theirTraining),
    settingOf(row.theirTraining),
    times(row.training, row.theirTraining),
  ])
  const ours = WAYS.map(({ precision, threads }) => {
    return `${precision === 'f32' ? 'float32' : precision}, ${threads} thread${threads > 1 ? 's' : ''}`
  })
  const ratios = ['int8 on 1: x times', 'int8: x times', 'float32: x times']
  return `# Models beside PyTorch

Each model and its counterpart in \`bench/peers\`, by turns, in one run: the best of all rounds, and the median in brackets; ratios are of
the bests, on one thread where it says so, else each on the threads that are best for it. Random weights. Threads of PyTorch: its own pool + OpenBLAS's, the best of the settings tried (bench/models.ts).

## Generation, samples/s

${table(['model', 'Node', ...ours, 'PyTorch', 'its threads', ...ratios], generation)}

Goal: 5 times each.

## Training, targets/s

${table(['model', 'Node', 'Longwave', 'PyTorch', 'its threads', 'x times'], training)}

Goal: 1 time each. Steps as a user runs them: \`${rows.find((row) => row.training)?.training?.command ?? 'longwave train'}\`.

\`npm run bench:models\`, last run on:

\`\`\`json
${JSON.stringify(about, null, 2)}
\`\`\`
`
}

const wanted = MODELS.filter(({ preset }) => options.only?.split(',').includes(preset) ?? true)
prepareTraining(WORK)
const peak = [await matmulRate()]
const found: ModelRow[] = []
for (const model of wanted) found.push(await measure(model))
peak.push(await matmulRate())
const about = {
  ...(await machine()),
  matmulGflops: peak.map(Math.round),
  seconds,
  rounds: options.rounds,
}
const file = `${options.out}.json`
const before: ModelRow[] = existsSync(file)
  ? (JSON.parse(readFileSync(file, 'utf8')) as { rows: ModelRow[] }).rows
  : []
const isNew = (row: ModelRow) =>
  row.node === process.version && found.some((f) => f.preset === row.preset)
const rows = [...before.filter((row) => !isNew(row)), ...found]
mkdirSync(dirname(file), { recursive: true })
writeFileSync(file, `${JSON.stringify({ machine: about, rows }, null, 2)}\n`)
writeFileSync(`${options.out}.md`, render(rows, about))
say(`${options.out}.md`)
process.exit() // threads of disposed streams may still be on their way out
