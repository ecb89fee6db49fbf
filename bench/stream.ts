/**
 * npm run bench:stream [-- --seconds 5] [-- --contexts 128000,512000,1000000] [-- --only sampler]
 *
 * The sampler on one and two threads: samples/s and real-time factor at 16 kHz of the preset `stream`
 * (random weights, full windows), and of the same with narrow heads, beside the rate of the product's
 * kernel alone over as many weights; several voices; what it is compared with; priming. Writes
 * docs/results/bench-stream.json and .md; rows of other versions of Node stay, so that a second run with
 * another Node completes the table.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type FlagshipConfig, flagshipPresets, openModel } from 'longwave/models'
import { flagshipPlan } from 'longwave/models/flagship-plan'
import { Random } from 'longwave/random'
import {
  Calibration,
  hasRelaxedSimd,
  loadKernels,
  macsPerStep,
  pack,
  type StepPlan,
  StreamRuntime,
} from 'longwave/stream'
import { type BesideRow, measureBeside, renderBeside } from './beside.js'
import { machine, table } from './machine.js'
import { measurePriming, type PrimingRow, renderPriming } from './priming.js'
import { measureVoices, renderVoices, type VoicesRow } from './voices.js'

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    contexts: { type: 'string', default: '128000,512000,1000000' },
    only: { type: 'string' },
  },
})
const seconds = Number(options.seconds)
const contexts = options.contexts.split(',').map(Number)
const OUT = 'docs/results/bench-stream'
const RATE = 16_000
const THREADS = [1, 2]
/** Samples of one measurement: few, so that some slices are undisturbed on a machine with other work. */
const SLICE = 40

const say = (text: string) => process.stderr.write(`${text}\n`)

const WIDE = flagshipPresets.stream
const MODELS: [string, FlagshipConfig][] = [
  ['stream', WIDE],
  ['stream, heads of 16', { ...WIDE, headWidth: 16 }],
]

interface Row {
  node: string
  model: string
  context: number
  precision: 'f32' | 'int8'
  threads: number
  /** Multiply-adds of a sample, in millions; and without those that a zero spares. */
  mmacs: number
  visited: number
  /** Microseconds of a sample: the median slice and the best. */
  microseconds: number
  best: number
  samplesPerSecond: number
  realTimeFactor: number
  /** The rate of the best slice over visited multiply-adds, as a part of the kernel's alone on as many threads. */
  ceiling: number
  stateMB: number
}

const median = (numbers: number[]) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!

/** Microseconds of one call of `work`, slice by slice, for a while. */
function slices(work: (i: number) => void, calls: number): number[] {
  const times: number[] = []
  const end = performance.now() + 1000 * seconds
  let i = 0
  while (performance.now() < end || times.length < 5) {
    const start = performance.now()
    for (let k = 0; k < calls; k++) work(i++)
    times.push((1000 * (performance.now() - start)) / calls)
  }
  return times
}

/** A sound of two tones: random weights do not care which. */
const sound = (t: number) => 0.4 * Math.sin(0.05 * t) + 0.2 * Math.sin(0.313 * t)

function stepper(runtime: StreamRuntime): (t: number) => void {
  const x = runtime.vector('x')
  return (t) => {
    x[0] = sound(t)
    runtime.step()
  }
}

/** The share of multiply-adds whose input is not zero: rectifiers leave zeros, which int8 skips. */
function visitedShare(plan: StepPlan, runtime: StreamRuntime): number {
  const vectors = new Map(plan.vectors.map(({ name }) => [name, runtime.vector(name)]))
  const pushed = new Map(
    plan.instructions
      .filter(({ kernel }) => kernel === 'push')
      .map(({ inputs, outputs }) => [outputs[0]!, inputs[0]!]),
  )
  const step = stepper(runtime)
  let visited = 0
  const samples = 100
  for (let t = 0; t < samples; t++) {
    step(t)
    for (const { kernel, inputs, weights } of plan.instructions) {
      if (kernel !== 'affine' && kernel !== 'convolve') continue
      const x = vectors.get(pushed.get(inputs[0]!) ?? inputs[0]!)!
      const density = x.reduce((n, v) => n + (v !== 0 ? 1 : 0), 0) / x.length
      visited += plan.weights[weights[0]!]!.data.length * density
    }
  }
  const all = plan.instructions
    .filter(({ kernel }) => kernel === 'affine' || kernel === 'convolve')
    .reduce((sum, { weights }) => sum + plan.weights[weights[0]!]!.data.length, 0)
  const attention = macsPerStep(plan) - all
  return (visited / samples + attention) / macsPerStep(plan)
}

/** Gigabytes of caches written once: pages that nobody wrote would be read from one cached page. */
function fillCaches(runtime: StreamRuntime): void {
  const { header } = runtime
  const { buffer } = runtime.vector('x')
  const random = new Random(7)
  const noise = Float32Array.from({ length: 4096 }, () => random.normal())
  const bytes = Int8Array.from(noise, (v) => 40 * v)
  for (const { at, type, phases, phaseBytes, window } of Object.values(header.caches)) {
    const start = header.state + at
    const pattern = new Uint8Array((type === 'f32' ? noise : bytes).buffer)
    for (let done = 0; done < phases * phaseBytes; done += pattern.length) {
      const part = pattern.subarray(0, Math.min(pattern.length, phases * phaseBytes - done))
      new Uint8Array(buffer, start + done).set(part)
    }
    runtime.setRemembered(window * phases)
  }
}

/** Multiply-adds per microsecond of the product's kernel alone, over as many weights. */
function kernelRate(kernels: WebAssembly.Module, precision: 'f32' | 'int8', weights: number) {
  const [inputs, blocks] = [1792, Math.ceil(weights / 1792 / 32)]
  const outputs = 32 * blocks
  const size = precision === 'f32' ? 4 : 1
  const memory = new WebAssembly.Memory({ initial: 3 + ((inputs * outputs * size) >> 16) + 1 })
  const { exports } = new WebAssembly.Instance(kernels, { env: { memory } })
  const w = 0x20000
  const random = new Random(3)
  if (size === 4) {
    new Float32Array(memory.buffer, w).set(
      Float32Array.from({ length: inputs * outputs }, (_, i) => (i % 7) - 3),
    )
  } else
    new Uint8Array(memory.buffer, w).forEach((_, i, all) => {
      all[i] = i * 37
    })
  new Float32Array(memory.buffer, 0x10000, inputs).forEach((_, i, all) => {
    all[i] = random.normal()
  })
  const { matvecF32, matvecInt8 } = exports as Record<string, (...n: number[]) => void>
  const [x, y, scales] = [0x10000, 0x14000, 0x18000]
  const work =
    precision === 'f32'
      ? () => matvecF32!(w, scales, x, inputs, outputs, y, 0)
      : () => matvecInt8!(w, scales, scales, x, inputs, outputs, y, 0)
  const best = slices(work, 50).reduce((a, b) => Math.min(a, b))
  return (inputs * outputs) / best
}

async function measure(): Promise<Row[]> {
  const rows: Row[] = []
  for (const [model, config] of MODELS) {
    const parameters = openModel('flagship', config).initialise(1)
    const small = flagshipPlan(config, parameters, 2000)
    const probe = new StreamRuntime(await loadKernels(), pack(small, { precision: 'f32' }))
    const calibration = new Calibration(small, probe)
    const step = stepper(probe)
    for (let t = 0; t < 3000; t++) {
      step(t)
      if (t % 10 === 0) calibration.observe()
    }
    const { ranges } = calibration
    const weights = macsPerStep(flagshipPlan(config, parameters, 2000))
    for (const precision of ['int8', 'f32'] as const) {
      const kernels = await loadKernels({ exact: precision === 'int8' })
      const rate = kernelRate(kernels, precision, weights)
      say(`kernel alone, ${precision}: ${(rate / 1000).toFixed(1)} GMAC/s`)
      for (const context of contexts) {
        const plan = flagshipPlan(config, parameters, context)
        const mmacs = macsPerStep(plan) / 1e6
        let visited = mmacs
        for (const threads of THREADS) {
          const own = await loadKernels({ exact: precision === 'int8', threads: threads > 1 })
          const runtime = new StreamRuntime(own, pack(plan, { precision, ranges, threads }))
          await runtime.ready
          fillCaches(runtime)
          const go = stepper(runtime)
          for (let t = 0; t < 2500; t++) go(t)
          const times = slices(go, SLICE)
          // float32 visits everything
          if (precision === 'int8' && threads === 1) visited = mmacs * visitedShare(plan, runtime)
          const best = times.reduce((a, b) => Math.min(a, b))
          const microseconds = median(times)
          runtime.dispose()
          rows.push({
            ...{ node: process.version, model, context, precision, threads, mmacs, visited },
            ...{ microseconds, best, samplesPerSecond: 1e6 / microseconds },
            realTimeFactor: 1e6 / microseconds / RATE,
            ceiling: (visited * 1e6) / best / rate / threads,
            stateMB: runtime.header.stateBytes / 1e6,
          })
          say(
            `${model}, ${context}, ${precision}, ${threads}: ${microseconds.toFixed(1)} us, best ${best.toFixed(1)}`,
          )
        }
      }
    }
  }
  return rows
}

interface Results {
  rows: Row[]
  voices: VoicesRow[]
  beside: BesideRow[]
  priming: PrimingRow[]
}

function render({ rows, voices, beside, priming }: Results, about: object): string {
  const head = ['Node', 'model', 'context', 'numbers', 'threads', 'MMAC (visited)']
  const rest = ['us/sample (best)', 'samples/s', 'real-time factor', 'of the ceiling', 'state MB']
  const cells = rows.map((row) => [
    row.node,
    row.model,
    row.context.toLocaleString('en'),
    row.precision,
    `${row.threads}`,
    `${row.mmacs.toFixed(2)} (${row.visited.toFixed(2)})`,
    `${row.microseconds.toFixed(1)} (${row.best.toFixed(1)})`,
    Math.round(row.samplesPerSecond).toLocaleString('en'),
    row.realTimeFactor.toFixed(2),
    `${Math.round(100 * row.ceiling)}%`,
    row.stateMB.toFixed(0),
  ])
  return `# The sampler

Random weights, full windows; caches in the same numbers as the weights. A real-time factor of 1
is 16,000 samples/s. The ceiling is the product's kernel alone over as many weights, on as many threads, in the same
run; multiply-adds
whose input is zero are not counted where they are skipped (int8, behind rectifiers: with random weights about half
of the inputs there). Medians of slices of ${SLICE} samples, the best slice in brackets; on a machine with other work
only the best says something.

${table([...head, ...rest], cells)}

${renderVoices(voices)}
${renderBeside(beside)}
${renderPriming(priming)}
\`npm run bench:stream\`, last run on:

\`\`\`json
${JSON.stringify(about, null, 2)}
\`\`\`
`
}

const wants = (part: string) => options.only === undefined || options.only.split(',').includes(part)
const found: Results = {
  rows: wants('sampler') ? await measure() : [],
  voices: wants('voices') ? await measureVoices(seconds) : [],
  beside: wants('beside') ? await measureBeside(seconds, say) : [],
  priming: wants('priming') ? await measurePriming(MODELS, Math.max(...contexts), say) : [],
}
const about = { ...(await machine()), relaxedSimd: hasRelaxedSimd() }
const before: Partial<Results> = existsSync(`${OUT}.json`)
  ? JSON.parse(readFileSync(`${OUT}.json`, 'utf8'))
  : {}
/** Rows of other versions of Node stay, and those that were not asked for. */
function merged<Row extends { node: string }>(old: Row[] = [], now: Row[]): Row[] {
  return now.length === 0 ? old : [...old.filter(({ node }) => node !== process.version), ...now]
}
const all: Results = {
  rows: merged(before.rows, found.rows),
  voices: merged(before.voices, found.voices),
  beside: merged(before.beside, found.beside),
  priming: merged(before.priming, found.priming),
}
mkdirSync('docs/results', { recursive: true })
writeFileSync(`${OUT}.json`, `${JSON.stringify({ machine: about, ...all }, null, 2)}\n`)
writeFileSync(`${OUT}.md`, render(all, about))
say(`${OUT}.md`)
process.exit() // threads of disposed streams may still be on their way out
