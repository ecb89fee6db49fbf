/** What the sampler is compared with: no memory at all, and another model in another framework. */
import { Engine } from 'longwave/engine'
import { flagshipPresets, openModel } from 'longwave/models'
import { generationRate, noise } from './generation.js'
import { table } from './machine.js'
import { peer } from './peers.js'

export interface BesideRow {
  node: string
  what: string
  samplesPerSecond: number
}

const RATE = 16_000
const CONTEXT = 128_000

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
  add(
    'WaveNet 4.24M, this sampler, f32, 1 thread',
    (await generationRate('wavenet', 'f32', 1, seconds)).median,
  )
  add(
    'WaveNet 4.24M, this sampler, int8, 1 thread',
    (await generationRate('wavenet', 'int8', 1, seconds)).median,
  )
  for (const threads of [1, 2]) {
    const plural = threads === 1 ? '' : 's'
    const what = `WaveNet 4.24M, PyTorch with cached layers, f32, ${threads} thread${plural}`
    const flags = ['--torch-threads', '1', '--blas-threads', `${threads}`]
    const found = peer('wavenet', ['generate', ...flags, '--seconds', `${seconds}`])
    add(what, found?.report.samplesPerSecond?.median)
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
