import type { Baselines } from './baselines.js'
import type { EvalResult, PieceResult } from './evaluate.js'

/** What a row shows: over whole pieces, over the common targets, and how fast. */
type Row = (name: string, whole: string[], common: string[], speed: string) => string[]

/**
 * What `longwave eval` prints for a person.
 *
 * @param rescale samples of the windows that were rescaled, where they were
 */
export function formatEvaluation(
  results: readonly EvalResult[],
  baselines: Baselines | null,
  rescale?: number,
): string {
  const { model, parameters, bitsPerSample, samples, pieces } = results[0]!
  const longest = Math.max(...results.map(({ context }) => context))
  const isWhole = bitsPerSample !== null
  const compares = results.length > 1 || !isWhole
  const row: Row = (name, whole, common, speed) => [
    name,
    ...(isWhole ? whole : []),
    ...(compares ? common : []),
    speed,
  ]
  const rows = [
    row('', ['bits/sample', '+-', 'nats'], ['same targets', '+-'], 'samples/s'),
    ...results.map((result) =>
      row(
        `context ${result.context}`,
        [bits(result.bitsPerSample), bits(result.standardError), bits(result.natsPerSample)],
        [bits(result.commonBitsPerSample), bits(result.commonStandardError)],
        result.samplesPerSecond.toFixed(0),
      ),
    ),
    ...baselineRows(baselines, isWhole, row),
  ]
  const targets = pieces.reduce((sum, { commonSamples }) => sum + commonSamples, 0)
  const scored = isWhole ? `${samples} samples` : `${targets} of ${samples} samples`
  const words = [
    `${model}, ${parameters} parameters; ${plural(pieces.length, 'piece')}, ${scored}`,
    table(rows),
    '+- is the standard error over pieces.',
  ]
  if (rescale !== undefined) {
    words.push(
      `Every piece is a window of ${rescale} samples, rescaled by its own minimum and maximum: not comparable ` +
        'with recordings at their own levels.',
    )
  }
  if (compares) {
    words.push(
      `Same targets: those with ${longest} samples of history, or the last half of a piece that is ` +
        'too short; their +- is that of what the context changes, piece by piece.',
    )
  }
  if (isWhole) words.push('', table(historyRows(results)))
  return [...words, '', table(pieceRows(results, isWhole))].join('\n')
}

function baselineRows(baselines: Baselines | null, isWhole: boolean, row: Row): string[][] {
  if (baselines === null) return []
  const one = (name: string, value: number, common?: number) =>
    row(
      name,
      [bits(value), '-', bits(value * Math.LN2)],
      [common === undefined ? '-' : bits(common), '-'],
      '-',
    )
  const { linearPredictor, commonLinearPredictor, strongPredictor, commonStrongPredictor } =
    baselines
  const adaptive = [
    one('linear predictor, order 32', linearPredictor, commonLinearPredictor),
    one('strong predictor, order 160', strongPredictor, commonStrongPredictor),
  ]
  // of whole pieces alone
  const simple = [one('order-0 entropy', baselines.orderZero), one('uniform', baselines.uniform)]
  return isWhole ? [...adaptive, ...simple] : adaptive
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

function pieceRows(results: readonly EvalResult[], isWhole: boolean): string[][] {
  const mean = isWhole ? 'bitsPerSample' : 'commonBitsPerSample'
  const count = isWhole ? 'samples' : 'commonSamples'
  return [
    ['bits/sample of each piece', 'samples', ...results.map(({ context }) => `${context}`)],
    ...results[0]!.pieces.map((piece, i) => [
      piece.name,
      `${piece[count]}`,
      ...results.map(({ pieces }) => bits(pieces[i]![mean])),
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
