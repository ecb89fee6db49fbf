import type { Baselines } from './baselines.js'
import type { EvalResult, PieceResult } from './evaluate.js'

/** What `longwave eval` prints for a person. */
export function formatEvaluation(
  results: readonly EvalResult[],
  baselines: Baselines | null,
): string {
  const { model, parameters, samples, pieces } = results[0]!
  const longest = Math.max(...results.map(({ context }) => context))
  const several = results.length > 1
  const rows = [
    ['', 'bits/sample', '+-', 'nats', ...(several ? ['same targets', '+-'] : []), 'samples/s'],
    ...results.map((result) => [
      `context ${result.context}`,
      bits(result.bitsPerSample),
      bits(result.standardError),
      bits(result.natsPerSample),
      ...(several ? [bits(result.commonBitsPerSample), bits(result.commonStandardError)] : []),
      result.samplesPerSecond.toFixed(0),
    ]),
    ...baselineRows(baselines, several),
  ]
  const words = [
    `${model}, ${parameters} parameters; ${plural(pieces.length, 'piece')}, ${samples} samples`,
    table(rows),
    '+- is the standard error over pieces.',
  ]
  if (several) {
    words.push(
      `Same targets: those with ${longest} samples of history, or the last half of a piece that is ` +
        'too short; their +- is that of what the context changes, piece by piece.',
    )
  }
  return [...words, '', table(historyRows(results)), '', table(pieceRows(results))].join('\n')
}

function baselineRows(baselines: Baselines | null, several: boolean): string[][] {
  if (baselines === null) return []
  const row = (name: string, value: number, common?: number) => [
    name,
    bits(value),
    '-',
    bits(value * Math.LN2),
    ...(several ? [common === undefined ? '-' : bits(common), '-'] : []),
    '-',
  ]
  return [
    row('linear predictor, order 32', baselines.linearPredictor, baselines.commonLinearPredictor),
    row('strong predictor, order 160', baselines.strongPredictor, baselines.commonStrongPredictor),
    row('order-0 entropy', baselines.orderZero),
    row('uniform', baselines.uniform),
  ]
}

/** Targets with the history that was asked for, and those at the beginning of a piece. */
function historyRows(results: readonly EvalResult[]): string[][] {
  return [
    ['', 'full context', 'samples', 'shorter history', 'samples'],
    ...results.map(({ context, pieces }) => {
      const full = over(pieces, 'fullContextBits', 'fullContextSamples')
      const short = over(pieces, 'shortHistoryBits', 'shortHistorySamples')
      return [`context ${context}`, bits(full.mean), `${full.n}`, bits(short.mean), `${short.n}`]
    }),
  ]
}

function pieceRows(results: readonly EvalResult[]): string[][] {
  return [
    ['bits/sample of each piece', 'samples', ...results.map(({ context }) => `${context}`)],
    ...results[0]!.pieces.map(({ name, samples }, i) => [
      name,
      `${samples}`,
      ...results.map(({ pieces }) => bits(pieces[i]!.bitsPerSample)),
    ]),
  ]
}

type Means = 'fullContextBits' | 'shortHistoryBits'
type Counts = 'fullContextSamples' | 'shortHistorySamples'

function over(pieces: readonly PieceResult[], mean: Means, count: Counts) {
  const n = pieces.reduce((sum, piece) => sum + piece[count], 0)
  const sum = pieces.reduce((all, piece) => all + piece[count] * (piece[mean] ?? 0), 0)
  return { n, mean: n > 0 ? sum / n : null }
}

const bits = (value: number | null) => (value === null ? '-' : value.toFixed(4))

const plural = (n: number, word: string) => `${n} ${word}${n === 1 ? '' : 's'}`

/** Rows in columns, the first column of words, the others of numbers. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  const pad = (cell: string, i: number) =>
    i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')
}
