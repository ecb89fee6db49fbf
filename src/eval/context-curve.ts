import type { EvalResult } from './evaluate.js'
import { linePlot } from './plot.js'

/** Bits/sample against context, on the same targets, with standard errors: an SVG. */
export function contextCurve(results: readonly EvalResult[], title: string): string {
  const points = [...results]
    .sort((a, b) => a.context - b.context)
    .map(
      ({ context, commonBitsPerSample, commonStandardError }) =>
        [context, commonBitsPerSample, commonStandardError ?? 0] as const,
    )
  const { model } = results[0]!
  return linePlot({
    title,
    x: { label: 'context, samples', log: true },
    y: { label: 'bits/sample' },
    series: [{ name: model, points }],
  })
}
