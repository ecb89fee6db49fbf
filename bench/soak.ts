/**
 * npm run soak -- [--samples 28.8e6] [--checkpoint checkpoints/piano | --narrow] [--precision int8] [--cache int8]
 *                 [--state FOLDER] [--out docs/results/soak]
 *
 * Lets a model run free for a long time and watches it: the memory of the process, numbers that are none,
 * the counters of samples. It goes on from its last state when it is started again with the same folder.
 * Writes OUT.json and OUT.md; ends with 1 if anything is wrong.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { decodeAudio, downmix, resample } from 'longwave/audio'
import { StepHost, type StepSnapshot, sampleCode } from 'longwave/generate'
import { flagshipPresets, openCheckpoint, openModel, type TrainedModel } from 'longwave/models'
import { Random } from 'longwave/random'
import { type CacheType, Calibration, loadKernels, pack, type Ranges } from 'longwave/stream'
import { loadModelFolder } from 'longwave/train'
import { machine, table } from './machine.js'

const { values: options } = parseArgs({
  options: {
    samples: { type: 'string', default: '28.8e6' },
    checkpoint: { type: 'string', default: 'checkpoints/piano' },
    narrow: { type: 'boolean', default: false },
    precision: { type: 'string', default: 'int8' },
    cache: { type: 'string' },
    temperature: { type: 'string', default: '0.9' },
    state: { type: 'string', default: 'runs/soak' },
    out: { type: 'string', default: 'docs/results/soak' },
  },
})
const samples = Number(options.samples)
const precision = options.precision === 'f32' ? 'f32' : 'int8'
const cache = (options.cache ?? precision) as CacheType
const sampling = { temperature: Number(options.temperature) }
const STATE = join(options.state, 'state.bin')
/** Samples between two looks, two rows of the table, and two states on disk. */
const LOOK = 2000
const ROW = Math.max(LOOK, Math.floor(samples / 30))
/** Of the recording that the run begins with. */
const PROMPT = 16_000
/** The least memory of the process may grow by so much from the middle third of the rows to the last, in MiB. */
const SLACK = 16

interface Row {
  samples: number
  /** Wall time since the row before. */
  samplesPerSecond: number
  residentMB: number
  heapMB: number
  /** Of the samples since the row before: different codes, and the root of their mean square. */
  codes: number
  level: number
}

/** All that a run goes on from. */
interface Saved {
  wish: string
  made: number
  code: number
  hash: number
  random: { seed: number; stream: number; drawn: number }
  ranges: Ranges | undefined
  host: StepSnapshot
  rows: Row[]
}

const say = (text: string) => process.stderr.write(`${text}\n`)

function subject(): TrainedModel {
  const shipped = openCheckpoint(loadModelFolder(options.checkpoint))
  if (!options.narrow) return shipped
  const model = openModel('flagship', { ...flagshipPresets.stream, headWidth: 16 })
  return { model, weights: model.initialise(1), audio: shipped.audio }
}

async function promptOf({ audio }: TrainedModel): Promise<Uint8Array> {
  const name = readdirSync('samples').find((file) => file.endsWith('.flac'))!
  const { channels, sampleRate } = await decodeAudio(readFileSync(join('samples', name)))
  const sound = resample(downmix(channels), sampleRate, audio.sampleRate)
  return audio.quantizer.encode(sound).subarray(0, PROMPT)
}

const trained = subject()
const { model, weights, audio } = trained
const form = model.stepForm!
const kernels = await loadKernels({ exact: precision === 'int8' })
const wish = JSON.stringify([options.narrow || options.checkpoint, precision, cache, sampling])
const saved = load()
const prompt = await promptOf(trained)
const ranges = precision === 'int8' || cache === 'int8' ? (saved?.ranges ?? measure()) : undefined
const plan = form.plan(weights, model.context)
const packed = pack(plan, { precision, cache, ...(ranges && { ranges }) })
const host = new StepHost({ ...form, kernels, packed })
const random = saved ? Random.from(saved.random) : new Random(1, 0x50a)
const rows = saved?.rows ?? []
let made = saved?.made ?? 0
let code = saved?.code ?? prompt.at(-1)!
/** FNV-1a of all samples: the same of a run that was stopped as of one that was not. */
let hash = saved?.hash ?? 0x811c9dc5
if (saved) say(`goes on after ${made} samples`)
if (saved) host.restore(saved.host)
else for (const one of prompt) host.take(one)
// all of the state is written once, so that memory the system gives late is not taken for growth
host.restore(host.snapshot())
save()

/** Ranges over the prompt, for int8. */
function measure(): Ranges {
  const small = form.plan(weights, 1)
  const probe = new StepHost({ ...form, kernels, packed: pack(small, { precision: 'f32' }) })
  const calibration = new Calibration(small, probe.runtime)
  for (const one of prompt.subarray(0, 4000)) {
    probe.take(one)
    calibration.observe()
  }
  return calibration.ranges
}

function load(): Saved | undefined {
  if (!existsSync(STATE)) return undefined
  const found = deserialize(readFileSync(STATE)) as Saved
  if (found.wish === wish && found.made < samples) return found
  say(`${STATE} is of another run: this one begins anew`)
  return undefined
}

function save(): void {
  const state: Saved = {
    ...{ wish, made, code, hash, random: random.state, ranges },
    ...{ host: host.snapshot(), rows },
  }
  mkdirSync(options.state, { recursive: true })
  writeFileSync(`${STATE}.new`, serialize(state))
  renameSync(`${STATE}.new`, STATE)
}

/** Throws when a counter or a number is not what it must be. */
function look(): void {
  for (const name of Object.keys(host.runtime.header.caches)) {
    const expected = PROMPT + made
    const found = host.runtime.remembered(name)
    if (found !== expected) throw new Error(`${name} counts ${found} samples, not ${expected}`)
  }
  if (random.state.drawn !== 2 * made) throw new Error(`${random.state.drawn} numbers were drawn`)
  const wrong = host.logits.findIndex((logit) => !Number.isFinite(logit))
  if (wrong >= 0) throw new Error(`the logit of ${wrong} is ${host.logits[wrong]} after ${made}`)
}

const stop = new AbortController()
process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort())

/** Makes samples up to `end`; what they were like. */
async function run(end: number): Promise<Row> {
  const start = performance.now()
  const first = made
  const counts = new Uint32Array(256)
  while (made < end && !stop.signal.aborted) {
    for (const until = Math.min(end, made + LOOK); made < until; made++) {
      code = sampleCode(host.logits, sampling, random)
      host.take(code)
      counts[code]!++
      hash = Math.imul(hash ^ code, 0x01000193) >>> 0
    }
    look()
    await new Promise((resolve) => setImmediate(resolve))
  }
  globalThis.gc?.()
  const { rss, heapUsed } = process.memoryUsage()
  const values = audio.quantizer.table
  const power = counts.reduce((sum, n, i) => sum + n * values[i]! ** 2, 0) / (made - first)
  return {
    samples: made,
    samplesPerSecond: (1000 * (made - first)) / (performance.now() - start),
    ...{ residentMB: rss / 2 ** 20, heapMB: heapUsed / 2 ** 20 },
    ...{ codes: counts.filter((n) => n > 0).length, level: Math.sqrt(power) },
  }
}

const firstOfProcess = rows.length
while (made < samples && !stop.signal.aborted) {
  const row = await run(Math.min(samples, (Math.floor(made / ROW) + 1) * ROW))
  if (stop.signal.aborted) break
  rows.push(row)
  save()
  say(
    `${row.samples} samples, ${Math.round(row.samplesPerSecond)} samples/s, ` +
      `${row.residentMB.toFixed(1)} MiB, ${row.codes} codes, level ${row.level.toFixed(4)}`,
  )
}
if (stop.signal.aborted) {
  save()
  say(`stopped after ${made} samples; the same command goes on`)
  process.exit(130)
}

// states on their way to the disk come and go: what stays is the least of many rows
const mine = rows.slice(firstOfProcess).map((row) => row.residentMB)
const third = Math.ceil(mine.length / 3)
const growth =
  // the first third is left out: the first state on disk is still to come there
  Math.min(...mine.slice(-third)) - Math.min(...mine.slice(-2 * third, -third), ...mine.slice(-1))
/** Not known of a process that made few rows. */
const isFlat = mine.length < 9 ? undefined : growth <= SLACK
const report = {
  model: options.narrow ? 'stream, heads of 16, random weights' : options.checkpoint,
  ...{ context: model.context, precision, cache, temperature: sampling.temperature, samples },
  hours: samples / audio.sampleRate / 3600,
  stateMB: host.runtime.header.stateBytes / 1e6,
  growthMiB: growth,
  isFlat: isFlat ?? 'too few rows to tell',
  counters: 'exact at every look',
  hash: hash.toString(16),
  machine: await machine(),
  rows,
}
mkdirSync(dirname(options.out), { recursive: true })
writeFileSync(`${options.out}.json`, `${JSON.stringify(report, null, 2)}\n`)
writeFileSync(`${options.out}.md`, render())
rmSync(STATE)
say(`${options.out}.md`)
if (isFlat === false) {
  say(`the memory of the process grew by ${growth.toFixed(1)} MiB`)
  process.exit(1)
}

function render(): string {
  const head = ['samples', 'samples/s', 'process MiB', 'heap MiB', 'codes used', 'level (RMS)']
  const cells = rows.map((row) => [
    row.samples.toLocaleString('en'),
    Math.round(row.samplesPerSecond).toLocaleString('en'),
    row.residentMB.toFixed(1),
    row.heapMB.toFixed(1),
    `${row.codes}`,
    row.level.toFixed(4),
  ])
  return `# Soak

${report.model} at context ${model.context.toLocaleString('en')}, ${precision} with caches of ${cache}, running free at temperature ${sampling.temperature} for
${samples.toLocaleString('en')} samples (${(report.hours * 60).toFixed(1)} minutes of audio at ${audio.sampleRate} Hz). After every ${LOOK} samples: all logits were
numbers, the caches had counted every sample, and every sample had drawn one random number. The least memory of the
process in the last third of the rows is ${growth.toFixed(1)} MiB above that of the middle third; the state takes ${report.stateMB.toFixed(1)} MB. FNV-1a of
all samples: ${report.hash}.

${table(head, cells)}

\`bash runs/soak.sh\`, run on:

\`\`\`json
${JSON.stringify(report.machine, null, 2)}
\`\`\`
`
}
