/** A long prompt through the engine into the caches of the sampler. */
import { openStream } from 'longwave/generate'
import { type FlagshipConfig, openModel } from 'longwave/models'
import { table } from './machine.js'

export interface PrimingRow {
  node: string
  model: string
  samples: number
  seconds: number
}

const RATE = 16_000

export async function measurePriming(
  models: readonly (readonly [string, FlagshipConfig])[],
  samples: number,
  say: (text: string) => void,
): Promise<PrimingRow[]> {
  const rows: PrimingRow[] = []
  const prompt = Uint8Array.from(
    { length: samples },
    (_, t) => 128 + 60 * Math.sin(0.05 * t) + 40 * Math.sin(0.313 * t),
  )
  for (const [model, config] of models) {
    const opened = openModel('flagship', config)
    const stream = await openStream(
      { model: opened, weights: opened.initialise(1) },
      { precision: 'int8', context: samples, calibration: prompt },
    )
    const start = performance.now()
    await stream.prime(prompt)
    const seconds = (performance.now() - start) / 1000
    await stream.dispose()
    say(`priming ${model}, ${samples}: ${seconds.toFixed(1)} s`)
    rows.push({ node: process.version, model, samples, seconds })
  }
  return rows
}

export function renderPriming(rows: readonly PrimingRow[]): string {
  if (rows.length === 0) return ''
  const cells = rows.map(({ node, model, samples, seconds }) => [
    node,
    model,
    samples.toLocaleString('en'),
    seconds.toFixed(1),
    (samples / RATE / seconds).toFixed(2),
  ])
  return `## Priming

The prompt goes through the engine on all cores; what the layers remember of it becomes int8 in the caches.

${table(['Node', 'model', 'samples', 's', 'x real time'], cells)}
`
}
