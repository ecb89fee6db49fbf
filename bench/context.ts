/**
 * npm run bench:context [-- --contexts 32000,128000,512000,1000000] [-- --memory 6GB] [-- --window 128]
 *   [-- --targets 256000]
 *
 * Dense training and scoring of the preset `stream` at growing contexts: targets/s, arithmetic rate and
 * peak memory, in one run on one machine; at the longest also with a sliding window. Writes docs/results/bench-context.json and .md.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { decodeAudio, encodeWav } from 'longwave/audio'
import { machine, matmulRate, table } from './machine.js'

const { values: options } = parseArgs({
  options: {
    contexts: { type: 'string', default: '32000,128000,512000,1000000' },
    memory: { type: 'string', default: '6GB' },
    targets: { type: 'string', default: '256000' },
    window: { type: 'string', default: '128' },
  },
})
const contexts = options.contexts.split(',').map(Number)
/** Seen at every context at least, in whole steps. */
const leastTargets = Number(options.targets)
const work = 'out/bench/context'
const cli = 'dist/cli/main.js'

interface Row {
  context: number
  /** Tokens that a token sees in each layer; null for all. */
  window: number | null
  targetsPerSecond: number
  gflops: number
  trainMemoryGB: number
  scoredPerSecond: number
  scoreMemoryGB: number
}

/** Runs the program under GNU time, which tells the largest memory that it held. */
function run(args: readonly string[]): { stdout: string; memoryGB: number } {
  process.stderr.write(`$ longwave ${args.join(' ')}\n`)
  const command = ['-f', 'peak %M', process.execPath, cli, ...args]
  const { status, stdout, stderr, error } = spawnSync('/usr/bin/time', command, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  if (status !== 0) throw new Error(error?.message ?? stderr)
  return { stdout, memoryGB: Number(/peak (\d+)/.exec(stderr)![1]) / 2 ** 20 }
}

/** The bundled recording, over and over, as one file longer than the longest context. */
async function longRecording(): Promise<string> {
  const [name] = readdirSync('samples').filter((file) => file.endsWith('.flac'))
  const { channels, sampleRate } = await decodeAudio(readFileSync(join('samples', name!)))
  const once = channels[0]!
  const long = new Float32Array(Math.ceil(1.1 * Math.max(...contexts)))
  for (let i = 0; i < long.length; i++) long[i] = once[i % once.length]!
  const folder = join(work, 'audio')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'long.wav'), encodeWav([long], sampleRate))
  return folder
}

function measure(context: number, window: number | null, audio: string): Row {
  const out = join(work, `context-${context}-${window ?? 'all'}`)
  rmSync(out, { recursive: true, force: true })
  const tokens = window === null ? [] : ['--window', `${window}`]
  const model = ['--preset', 'stream', '--context', `${context}`, ...tokens]
  const targets = context * Math.ceil(leastTargets / context)
  const course = ['--targets-per-step', `${context}`, '--targets', `${targets}`]
  const rest = ['--eval-every', '1e12', '--memory', options.memory]
  const trained = run([
    'train',
    '--data',
    join(work, 'data'),
    '--out',
    out,
    ...model,
    ...course,
    ...rest,
  ])
  const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n')
  const timings = lines.map((line) => JSON.parse(line).timing)
  const best = timings.reduce((a, b) => (b.targetsPerSecond > a.targetsPerSecond ? b : a))
  const file = ['--audio', join(audio, 'long.wav'), '--context', `${context}`]
  const scored = run(['eval', '--checkpoint', out, ...file, '--no-reference', '--json'])
  const [result] = JSON.parse(scored.stdout).results
  return {
    context,
    window,
    targetsPerSecond: best.targetsPerSecond,
    gflops: best.gflops,
    trainMemoryGB: trained.memoryGB,
    scoredPerSecond: result.samplesPerSecond,
    scoreMemoryGB: scored.memoryGB,
  }
}

mkdirSync(work, { recursive: true })
const audio = await longRecording()
run(['prepare', audio, '--out', join(work, 'data'), '--split', '1,0,0'])
const peak = [await matmulRate()]
const rows = contexts.map((context) => measure(context, null, audio))
rows.push(measure(Math.max(...contexts), Number(options.window), audio))
peak.push(await matmulRate())

const base = rows.find(({ context }) => context === 128_000) ?? rows[0]!
const result = { ...(await machine()), memory: options.memory, matmulGflops: peak, rows }
const text = [
  '# Training and scoring at growing contexts',
  '',
  `\`npm run bench:context\` on ${result.date}, commit ${result.commit}: ${result.cpu} (${result.features}), ` +
    `${result.cores} cores, ${result.memoryGB} GiB, Node ${result.node}, ONNX Runtime ${result.onnxruntime}.`,
  `Preset \`stream\`, ${options.memory} allowed. The engine's 2048^3 matrix product: ` +
    `${peak.map((rate) => rate.toFixed(0)).join(', ')} GFLOP/s (before, after).`,
  '',
  table(
    [
      'context',
      'tokens seen',
      'targets/s, best step',
      `of that at ${base.context}`,
      'GFLOP/s',
      'training, peak',
      'scored samples/s',
      'scoring, peak',
    ],
    rows.map((row) => [
      `${row.context}`,
      row.window === null ? 'all' : `${row.window}`,
      row.targetsPerSecond.toFixed(0),
      `${((100 * row.targetsPerSecond) / base.targetsPerSecond).toFixed(0)}%`,
      row.gflops.toFixed(1),
      `${row.trainMemoryGB.toFixed(1)} GB`,
      row.scoredPerSecond.toFixed(0),
      `${row.scoreMemoryGB.toFixed(1)} GB`,
    ]),
  ),
  '',
].join('\n')
mkdirSync('docs/results', { recursive: true })
writeFileSync('docs/results/bench-context.json', `${JSON.stringify(result, null, 2)}\n`)
writeFileSync('docs/results/bench-context.md', text)
process.stdout.write(text)
