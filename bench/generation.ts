/** Our generation: samples/s of a preset's sampler, random weights. */
import { openStream } from 'longwave/generate'
import { openModel, presets } from 'longwave/models'
import { Random } from 'longwave/random'

const random = new Random(5)

/** Codes of a loud recording of nothing. */
export const noise = (samples: number) =>
  Uint8Array.from({ length: samples }, () => random.below(256))

/** Samples between two looks at the clock. */
const BLOCK = 320

export interface GenerationRate {
  /** Samples/s of the best block, and of the median one. */
  best: number
  median: number
}

/** @param threads that make a sample together */
export async function generationRate(
  preset: string,
  precision: 'f32' | 'int8',
  threads: number,
  seconds: number,
): Promise<GenerationRate> {
  const { family, config } = presets[preset]!
  const model = openModel(family, config)
  const calibration = noise(4000)
  const options = { precision, threads, calibration, engine: null, seed: 1 } as const
  const stream = await openStream({ model, weights: model.initialise(1) }, options)
  await stream.prime(noise(4000))
  const rates: number[] = []
  let last = performance.now()
  const end = last + 1000 * seconds
  for await (const { length } of stream.generate({ blockSize: BLOCK })) {
    const now = performance.now()
    rates.push((1000 * length) / (now - last))
    last = now
    if (now > end && rates.length > 2) break
  }
  await stream.dispose()
  const sorted = rates.slice(1).sort((a, b) => a - b) // the first compiles
  return { best: sorted.at(-1)!, median: sorted[Math.floor(sorted.length / 2)]! }
}
