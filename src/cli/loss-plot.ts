import { renameSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { FileError, messageOf } from '../base/errors.js'
import { linePlot, type PlotSeries } from '../eval/plot.js'
import { readMetrics, type StepMetrics } from '../train/index.js'

/** More points than a screen has columns tell nothing. */
const POINTS = 500

/** Bits per sample over targets seen, in training (mean of neighbouring steps) and held out. */
export function lossCurves(metrics: readonly StepMetrics[]): PlotSeries[] {
  const size = Math.max(1, Math.ceil(metrics.length / POINTS))
  const groups = Array.from({ length: Math.ceil(metrics.length / size) }, (_, i) =>
    metrics.slice(i * size, (i + 1) * size),
  )
  const train = groups.map((group) => {
    const mean = group.reduce((sum, { bits }) => sum + bits, 0) / group.length
    return [group.at(-1)!.targets, mean] as const
  })
  const heldOut = metrics.flatMap(({ targets, heldOutBits }) =>
    heldOutBits === undefined ? [] : [[targets, heldOutBits] as const],
  )
  return [
    { name: 'training', points: train },
    { name: 'held-out', points: heldOut },
  ].filter(({ points }) => points.length > 0)
}

/** Writes loss.svg of a run, whole at any moment. */
export function writeLossPlot(runDir: string): void {
  const path = join(runDir, 'loss.svg')
  const svg = linePlot({
    title: basename(runDir),
    x: { label: 'targets seen' },
    y: { label: 'bits per sample' },
    series: lossCurves(readMetrics(runDir)),
  })
  try {
    writeFileSync(`${path}.tmp`, svg)
    renameSync(`${path}.tmp`, path)
  } catch (error) {
    throw new FileError(
      { fact: `${path} cannot be written.`, got: messageOf(error) },
      { cause: error },
    )
  }
}
