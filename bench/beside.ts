/** What the sampler is compared with: no memory at all, and another model in another framework. */
import { spawnSync } from 'node:child_process'
import { Engine } from 'longwave/engine'
import { openStream } from 'longwave/generate'
import { flagshipPresets, openModel, wavenetPresets } from 'longwave/models'
import { Random } from 'longwave/random'
import { table } from './machine.js'

export interface BesideRow {
  node: string
  what: string
  samplesPerSecond: number
}

const RATE = 16_000
const CONTEXT = 128_000

const random = new Random(5)
const noise = (samples: number) => Uint8Array.from({ length: samples }, () => random.below(256))

/** A window of the preset `stream` through the network once: what a sample costs where nothing is kept. */
async function recomputed(): Promise<number> {
  const model = openModel('flagship', flagshipPresets.stream)
  const engine = await Engine.open()
  const generator = await openModel('flagship', flagshipPresets.stream).generator(
    engine,
    model.initialise(1),
    CONTEXT,
  )
  const window = noise(CONTEXT)
  await generator.prime(window.subarray(0, 4000))
  const start = performance.now()
  await generator.prime(window)
  await generator.logits()
  const seconds = (performance.now() - start) / 1000
  await generator.dispose()
  return 1 / seconds
}

async function ourWaveNet(precision: 'f32' | 'int8', seconds: number): Promise<number> {
  const model = openModel('wavenet', wavenetPresets.wavenet)
  const options = { precision, calibration: noise(4000), engine: null, seed: 1 } as const
  const stream = await openStream({ model, weights: model.initialise(1) }, options)
  await stream.prime(noise(4000))
  let samples = 0
  const start = performance.now()
  const end = start + 1000 * seconds
  for await (const block of stream.generate({ blockSize: 100 })) {
    samples += block.length
    if (performance.now() > end) break
  }
  const rate = (1000 * samples) / (performance.now() - start)
  await stream.dispose()
  return rate
}

function torchWaveNet(threads: number, seconds: number, say: (text: string) => void) {
  const command = ['bench/peers/wavenet_torch.py', `--threads=${threads}`, `--seconds=${seconds}`]
  const { status, stdout, stderr, error } = spawnSync('/usr/bin/python3', command, {
    encoding: 'utf8',
  })
  if (status === 0) return (JSON.parse(stdout) as { samplesPerSecond: number }).samplesPerSecond
  say(`skipped: ${error?.message ?? stderr.trim().split('\n').at(-1)}`)
  return undefined
}

export async function measureBeside(
  seconds: number,
  say: (text: string) => void,
): Promise<BesideRow[]> {
  const rows: BesideRow[] = []
  const add = (what: string, samplesPerSecond: number | undefined) => {
    if (samplesPerSecond === undefined) return
    say(`${what}: ${samplesPerSecond.toFixed(samplesPerSecond < 10 ? 3 : 0)} samples/s`)
    rows.push({ node: process.version, what, samplesPerSecond })
  }
  add(
    '`stream`, 128,000, the whole window again for every sample (engine, 2 threads)',
    await recomputed(),
  )
  add('WaveNet 4.24M, this sampler, f32, 1 thread', await ourWaveNet('f32', seconds))
  add('WaveNet 4.24M, this sampler, int8, 1 thread', await ourWaveNet('int8', seconds))
  for (const threads of [1, 2]) {
    const plural = threads === 1 ? '' : 's'
    const what = `WaveNet 4.24M, PyTorch with cached layers, f32, ${threads} thread${plural}`
    add(what, torchWaveNet(threads, seconds, say))
  }
  return rows
}

export function renderBeside(rows: readonly BesideRow[]): string {
  if (rows.length === 0) return ''
  const cells = rows.map(({ node, what, samplesPerSecond: rate }) => [
    node,
    what,
    rate < 10 ? rate.toFixed(3) : Math.round(rate).toLocaleString('en'),
    (rate / RATE).toPrecision(2),
  ])
  return `## Beside it

${table(['Node', 'what', 'samples/s', 'real-time factor'], cells)}
`
}
