/**
 * npm run bench:train [-- --seconds 60] [-- --no-peers]
 *
 * Dense training of the preset `stream` in targets/s and GFLOP/s, beside the same model and the
 * paper's recipe in PyTorch and the engine's own matrix product, in one run on one machine. Writes
 * docs/results/bench-train.json and .md.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { flagshipPresets, openModel } from 'longwave/models'
import { Random } from 'longwave/random'
import { machine, matmulRate, table } from './machine.js'
import { profileLearner } from './profile.js'

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    'no-peers': { type: 'boolean', default: false },
  },
})
const seconds = Number(options.seconds)
const work = 'out/bench/train'
const cli = 'dist/cli/main.js'

interface Row {
  name: string
  command: string
  targetsPerSecond: number
  medianTargetsPerSecond: number
  gflops: number
  memoryGB: number
}

const say = (text: string) => process.stderr.write(`${text}\n`)

/** Runs a command to its end; undefined where it cannot run, with its reason on stderr. */
function run(command: string, args: readonly string[]): string | undefined {
  say(`$ ${[command, ...args].join(' ')}`)
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status === 0) return stdout
  say(`skipped: ${error?.message ?? stderr.trim().split('\n').at(-1)}`)
  return undefined
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}

/** Our training, as a user runs it: `longwave train` on the bundled recording. */
function ours(name: string, context: number, preset = 'stream', targetsPerStep = context): Row {
  const out = join(work, `${preset}-${context}`)
  rmSync(out, { recursive: true, force: true })
  // the command needs whole steps: at least three of them
  const minutes = Math.max(seconds / 60, (4 * targetsPerStep) / 3000 / 60)
  const args = ['train', '--data', join(work, 'data'), '--out', out, '--preset', preset]
  const rest = ['--context', `${context}`, '--targets-per-step', `${targetsPerStep}`]
  const limits = ['--targets', '1e9', '--minutes', minutes.toFixed(2), '--eval-every', '1e9']
  const command = [cli, ...args, ...rest, ...limits]
  if (run(process.execPath, command) === undefined) throw new Error('our own training failed')
  const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n')
  const steps = lines.map((line) => JSON.parse(line).timing).slice(1) // the first fills the caches
  const rates = steps.map((timing) => timing.targetsPerSecond as number)
  const best = Math.max(...rates)
  const at = rates.indexOf(best)
  return {
    name,
    command: `longwave ${command.slice(1).join(' ')}`,
    targetsPerSecond: best,
    medianTargetsPerSecond: median(rates),
    gflops: steps[at].gflops,
    memoryGB: Math.max(...steps.map((timing) => timing.rssMB)) / 1024,
  }
}

function peer(name: string, args: readonly string[], file = 'longwave'): Row | undefined {
  const command = [`bench/peers/${file}_torch.py`, ...args]
  const output = run('/usr/bin/python3', command)
  if (output === undefined) return undefined
  const found = JSON.parse(output)
  return {
    name,
    command: `python3 ${command.join(' ')}`,
    targetsPerSecond: found.targetsPerSecond.best,
    medianTargetsPerSecond: found.targetsPerSecond.median,
    gflops: found.gflops.run,
    memoryGB: found.peakRssBytes / 2 ** 30,
  }
}

async function profile() {
  const model = openModel('flagship', flagshipPresets.stream)
  const random = new Random(1)
  return profileLearner(model, model.initialise(0), { context: 8000, part: 'all' }, (length) => [
    Uint8Array.from({ length: length + 1 }, () => 128 + 20 * random.normal()),
  ])
}

mkdirSync(work, { recursive: true })
const prepared = run(process.execPath, [
  cli,
  'prepare',
  'samples',
  '--out',
  join(work, 'data'),
  '--split',
  '1,0,0',
])
if (prepared === undefined) throw new Error('the bundled recording could not be prepared')

/** Streams of SampleRNN: how many, and the samples of back-propagation. */
const STREAMS = { batch: 16, length: 1024 }

const peak = [await matmulRate()]
const recurrent = ours(
  'longwave, SampleRNN',
  STREAMS.length,
  'samplernn',
  STREAMS.batch * STREAMS.length,
)
const rows: Row[] = [
  ours('longwave, context 128,000', 128_000),
  ours('longwave, context 8,000', 8000),
]
peak.push(await matmulRate())
if (!options['no-peers']) {
  const limit = ['--seconds', `${seconds}`]
  const found = [
    peer('PyTorch, the same model, context 128,000', ['dense', ...limit]),
    peer('PyTorch, absorbed heads, context 128,000', ['dense', '--absorbed', ...limit]),
    peer('PyTorch, absorbed heads, context 8,000', [
      'dense',
      '--absorbed',
      '--segment-tokens',
      '4',
      ...limit,
    ]),
    peer("PyTorch, the paper's recipe", ['paper', ...limit]),
  ]
  rows.push(...found.filter((row) => row !== undefined))
}
rows.push(recurrent)
if (!options['no-peers']) {
  const streams = ['--batch', `${STREAMS.batch}`, '--length', `${STREAMS.length}`]
  const args = ['train', ...streams, '--seconds', `${seconds}`]
  const found = peer('PyTorch, SampleRNN', args, 'samplernn')
  if (found) rows.push(found)
}
peak.push(await matmulRate())

const best = Math.max(...peak)
const main = rows[0]!
const ratio = (row: Row) => {
  const own = row.name.includes('SampleRNN') ? recurrent : main
  return (own.targetsPerSecond / row.targetsPerSecond).toFixed(2)
}
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
