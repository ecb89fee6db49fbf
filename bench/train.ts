/**
 * npm run bench:train [-- --seconds 60] [-- --no-peers]
 *
 * Dense training of the preset `stream` in targets/s and GFLOP/s, beside the same model and the
 * paper's recipe in PyTorch and the engine's own matrix product, in one run on one machine. Writes
 * docs/results/bench-train.json and .md.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { flagshipPresets, openModel } from 'longwave/models'
import { Random } from 'longwave/random'
import { machine, matmulRate, table } from './machine.js'
import { peer } from './peers.js'
import { profileLearner } from './profile.js'
import { prepareTraining, type TrainingRate, trainingRate } from './training.js'

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    'no-peers': { type: 'boolean', default: false },
  },
})
const seconds = Number(options.seconds)
const work = 'out/bench/train'

interface Row extends TrainingRate {
  name: string
}

/** Our training of a segment at a time. */
function ours(name: string, context: number): Row {
  const preset = 'stream'
  return { name, ...trainingRate({ preset, context, targetsPerStep: context, seconds, work }) }
}

function beside(name: string, args: readonly string[]): Row | undefined {
  const found = peer('longwave', args)
  if (found === undefined) return undefined
  const { command, report } = found
  return {
    ...{ name, command },
    targetsPerSecond: report.targetsPerSecond!.best,
    medianTargetsPerSecond: report.targetsPerSecond!.median,
    gflops: report.gflops!.run,
    memoryGB: report.peakRssBytes! / 2 ** 30,
  }
}

async function profile() {
  const model = openModel('flagship', flagshipPresets.stream)
  const random = new Random(1)
  return profileLearner(model, model.initialise(0), { context: 8000, part: 'all' }, (length) => [
    Uint8Array.from({ length: length + 1 }, () => 128 + 20 * random.normal()),
  ])
}

prepareTraining(work)

const peak = [await matmulRate()]
const rows: Row[] = [
  ours('longwave, context 128,000', 128_000),
  ours('longwave, context 8,000', 8000),
]
peak.push(await matmulRate())
if (!options['no-peers']) {
  const limit = ['--seconds', `${seconds}`]
  const found = [
    beside('PyTorch, the same model, context 128,000', ['dense', ...limit]),
    beside('PyTorch, absorbed heads, context 128,000', ['dense', '--absorbed', ...limit]),
    beside('PyTorch, absorbed heads, context 8,000', [
      'dense',
      '--absorbed',
      '--segment-tokens',
      '4',
      ...limit,
    ]),
    beside("PyTorch, the paper's recipe", ['paper', ...limit]),
  ]
  rows.push(...found.filter((row) => row !== undefined))
}
peak.push(await matmulRate())

const best = Math.max(...peak)
const main = rows[0]!
const ratio = (row: Row) => (main.targetsPerSecond / row.targetsPerSecond).toFixed(2)
const result = { ...(await machine()), matmulGflops: peak, rows, profile: await profile() }
const text = [
  '# Dense training',
  '',
  `\`npm run bench:train\` on ${result.date}, commit ${result.commit}: ${result.cpu} (${result.features}), ` +
    `${result.cores} cores, ${result.memoryGB} GiB, Node ${result.node}, ONNX Runtime ${result.onnxruntime}.`,
  `The engine's 2048^3 matrix product: ${peak.map((rate) => rate.toFixed(0)).join(', ')} GFLOP/s ` +
    '(before, between, after). GFLOP/s below are 6 x multiply-accumulates per target, as executed, x targets/s.',
  '',
  table(
    [
      'training',
      'targets/s, best step',
      'median',
      'GFLOP/s',
      'of the product',
      'memory',
      'we are x times',
    ],
    rows.map((row) => [
      row.name,
      row.targetsPerSecond.toFixed(row.targetsPerSecond < 100 ? 2 : 0),
      row.medianTargetsPerSecond.toFixed(row.medianTargetsPerSecond < 100 ? 2 : 0),
      row.gflops.toFixed(1),
      `${((100 * row.gflops) / best).toFixed(0)}%`,
      `${row.memoryGB.toFixed(1)} GB`,
      ratio(row),
    ]),
  ),
  '',
  'Where the time of a step goes (context 8,000, without the update):',
  '',
  table(
    ['operation', 'share'],
    result.profile
      .filter(({ share }) => share >= 0.01)
      .map(({ op, share }) => [op, `${(100 * share).toFixed(1)}%`]),
  ),
  '',
].join('\n')
mkdirSync('docs/results', { recursive: true })
writeFileSync('docs/results/bench-train.json', `${JSON.stringify(result, null, 2)}\n`)
writeFileSync('docs/results/bench-train.md', text)
process.stdout.write(text)
