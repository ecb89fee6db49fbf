/** The table for a reader: Markdown, and curves of held-out bits. */
import { linePlot } from 'longwave/eval'
import { threadsFlag } from '../command.js'
import { table } from '../machine.js'
import { PUBLISHED, PUBLISHED_DATA, WHAT_DIFFERS } from './published.js'
import type { Budget, ModelResult, Row, SetResult } from './results.js'
import { difference, type ScoreOf } from './scores.js'

/** From here on a context is that of a network that never forgets. */
const UNBOUNDED = 2 ** 24

const whole = (n: number) => Math.round(n).toLocaleString('en')
const count = (n: number) => (n < 1e5 ? whole(n) : `${(n / 1e6).toFixed(2)}M`)
const bits = (n: number) => n.toFixed(4)
const plusMinus = (n: number | null) => (n === null ? '' : ` ± ${bits(n)}`)
const or = <T>(value: T | null | undefined, show: (value: T) => string) =>
  value === null || value === undefined ? '-' : show(value)

function contextOf({ trained }: Row): string {
  const { context, trainedOn } = trained
  if (context >= UNBOUNDED) return `unbounded; trained on ${whole(trainedOn)}`
  return whole(context)
}

function duration(seconds: number): string {
  if (seconds < 600) return `${seconds.toFixed(0)} s`
  return `${(seconds / 60).toFixed(0)} min`
}

const orNotYet = (head: string[], rows: string[][]) =>
  rows.length > 0 ? table(head, rows) : 'Not done yet.'

const scoreCell = (score: ScoreOf) =>
  `${bits(score.bits)}${plusMinus(score.error)} (${bits(score.nats)})`

/** Whether a model is trained and scored wholly. */
export const isDone = ({ seconds }: SetResult, model: ModelResult, budget: Budget): boolean =>
  Object.keys(seconds).every((set) => {
    const found = model[budget]?.scores[set]
    return found?.test !== undefined && found.valid !== undefined
  })

/** Both tables of a budget, as far as they are known, and what is missing. */
function results(set: SetResult, budget: Budget): string {
  const waiting = set.models.filter((model) => !isDone(set, model, budget))
  return [
    ...(waiting.length > 0
      ? [`Not done yet: ${waiting.map(({ label }) => label).join('; ')}.`]
      : []),
    ...(rowsOf(set, budget).length > 0
      ? [trainingTable(set, budget), scoreTable(set, budget)]
      : []),
  ].join('\n\n')
}

/** How each model was trained. */
function trainingTable(set: SetResult, budget: Budget): string {
  const head = ['model', 'parameters', 'context', 'targets', 'steps', 'learning rate', 'wall time']
  const rows = rowsOf(set, budget).map(({ label, rate, row }) => {
    const { trained } = row
    const cut = trained.share < 1 ? ` (${Math.round(100 * trained.share)}% of its schedule)` : ''
    return [
      label,
      count(trained.parameters),
      contextOf(row),
      `${count(trained.targets)}${cut}`,
      whole(trained.steps),
      `${rate}`,
      duration(trained.seconds),
      whole(trained.targetsPerSecond),
      `${whole(trained.memoryMB)} MB`,
    ]
  })
  return table([...head, 'training targets/s', 'memory'], rows)
}

/** Bits of each model; behind those of a test split what it needs more than the first model. */
function scoreTable(set: SetResult, budget: Budget): string {
  const shown = rowsOf(set, budget)
  const ours = set.models[0]?.[budget]
  const columns = Object.keys(set.seconds).flatMap((name) => [
    { head: `${name}, test`, cell: (row: Row) => or(row.scores[name]?.test, scoreCell) },
    {
      head: 'more',
      cell: (row: Row) => {
        const [score, first] = [row.scores[name]?.test, ours?.scores[name]?.test]
        if (!score || !first || row === ours) return '-'
        const more = difference(score, first)
        return `${bits(more.bits)}${plusMinus(more.error)}`
      },
    },
    { head: `${name}, valid`, cell: (row: Row) => or(row.scores[name]?.valid, scoreCell) },
  ])
  const rows = shown.map(({ label, row }) => [label, ...columns.map(({ cell }) => cell(row))])
  return table(['model', ...columns.map(({ head }) => head)], rows)
}

const rowsOf = (set: SetResult, budget: Budget) =>
  set.models.flatMap(({ label, rate, [budget]: row }) => (row ? [{ label, rate, row }] : []))

/** How recordings became samples. */
const scalingOf = ({ rescale }: SetResult['options']) =>
  rescale > 0
    ? `**every window of ${rescale} s rescaled by its own minimum and maximum**, and a piece of its own: not comparable with recordings at their own levels`
    : 'fixed scaling'

const threadsOf = ({ threads }: SetResult['options']) =>
  threads > 0 ? `on ${threads} thread${threads > 1 ? 's' : ''} ` : ''

/** What was typed, but for the folders. */
function commands(set: SetResult): string {
  const { limit, threads } = set.options
  const shared = threadsFlag(threads)
    .map((word) => ` ${word}`)
    .join('')
  const lines = (['equalTargets', 'equalTime'] as const).flatMap((budget) =>
    rowsOf(set, budget).map(({ row }) => {
      const time = budget === 'equalTime' ? ` --minutes ${set.options.minutes}` : ''
      return `longwave train --data DATA --out RUN ${row.trained.flags.join(' ')}${time}${shared}`
    }),
  )
  lines.push(
    `longwave eval --checkpoint RUN/ckpt/LAST --data SET --split test --limit ${limit} --json${shared}`,
  )
  return ['```sh', ...lines, '```'].join('\n')
}

function referenceTable({ reference }: SetResult): string {
  const rows = Object.entries(reference).flatMap(([name, splits]) =>
    Object.entries(splits).map(([split, found]) => [
      `${name}, ${split}`,
      ...[found.strongPredictor, found.linearPredictor, found.orderZero].map(bits),
    ]),
  )
  return orNotYet(['bits/sample', 'strong predictor', 'linear, order 32', 'order 0'], rows)
}

function speedTable({ models }: SetResult): string {
  const head = ['model', 'MMAC/sample', 'int8: samples/s', 'real-time factor', 'f32: samples/s']
  const rows = models
    .filter(({ speed }) => speed?.int8 || speed?.f32)
    .map(({ label, speed, cost }) => [
      label,
      or(cost, ({ mmacs }) => mmacs.toFixed(2)),
      or(speed?.int8, (s) => whole(s.samplesPerSecond)),
      or(speed?.int8, (s) => s.realTimeFactor.toFixed(3)),
      or(speed?.f32, (s) => whole(s.samplesPerSecond)),
      or(speed?.f32, (s) => s.realTimeFactor.toFixed(3)),
      or(cost, ({ memoryMB }) => `${memoryMB.toFixed(1)} MB`),
    ])
  return orNotYet([...head, 'real-time factor', 'sampler, f32'], rows)
}

function trialTable({ models }: SetResult): string {
  const rows = models
    .filter(({ trials }) => trials.length > 0)
    .map(({ label, trials, rate }) => [
      label,
      trials.map((t) => `${t.rate}: ${or(t.heldOutBits, bits)}`).join(', '),
      or(rate, String),
    ])
  return orNotYet(['model', 'rate: held-out bits', 'taken'], rows)
}

/** Where the best rate is the lowest or the highest tried. */
function atTheEdge({ trials, rate }: ModelResult): boolean {
  return trials.length > 1 && (rate === trials[0]!.rate || rate === trials.at(-1)!.rate)
}

function section(set: SetResult): string {
  const { options, machine, seconds, models } = set
  const minutes = Object.entries(seconds).map(([name, splits]) => {
    const each = Object.entries(splits).map(([s, n]) => `${s} ${(n / 60).toFixed(1)}`)
    return `${name}: ${each.join(', ')} minutes`
  })
  const edges = models.filter(atTheEdge).map(({ label }) => label)
  const commits = models.flatMap(({ equalTargets, equalTime }) =>
    [equalTargets, equalTime].flatMap((row) => (row ? [row.commit] : [])),
  )
  const equalTime =
    options.minutes > 0
      ? `
### The same wall time: ${options.minutes} minutes of training

Held-out scores on the way and checkpoints are among the minutes, not in the wall time of the steps below. A model whose run of the first table took as long stands
here with that run.

${results(set, 'equalTime')}
`
      : ''
  return `## ${set.name}

${options.rate} Hz, 8-bit mu-law, ${scalingOf(options)}. ${minutes.join('; ')}. Trained on all sets together, scored apart, on the first
${options.limit} s of each piece. About ${whole(options.targetsPerStep)} targets a step; seed ${options.seed}. Bits/sample ± the standard error over pieces
(nats in brackets). "More" is what a model needs more than ${models[0]?.label ?? 'the first'}, with the standard error of this difference
piece by piece. Weights are the last of each run; memory is that of the training process. Wall time and training targets/s are those of the run's own
steps, without held-out scores and checkpoints, ${threadsOf(options)}on a machine that may have had other work: quiet figures side by side are in bench-models.md.

### The same targets: ${count(options.targets)}

${results(set, 'equalTargets')}
${equalTime}
### Without training

${referenceTable(set)}

### Generation, one thread

${speedTable(set)}

After one second of the bundled recording, with the weights of the first table; ${options.seconds} s are made. Times of a machine that may
have had other work: quiet figures side by side are in bench-models.md.

### Learning rates

Each tried for ${count(options.trialTargets)} targets, and scored on segments of the validation splits, with the whole schedule over as many.${
    edges.length > 0 ? ` At the edge of what was tried: ${edges.join('; ')}.` : ''
  }

${trialTable(set)}

### Commands

${commands(set)}

Machine: ${machine.cpu} (${machine.features}), ${machine.cores} cores, ${machine.memoryGB} GiB, Node ${machine.node}, ONNX Runtime
${machine.onnxruntime}, ${machine.date}; trained at commit ${[...new Set(commits)].join(', ') || machine.commit}.
`
}

function published(): string {
  const rows = PUBLISHED.map((p) => [p.model, p.parameters, p.context, p.nll, p.unit, p.source])
  return `## What papers print

${PUBLISHED_DATA}

${table(['model', 'parameters', 'context', 'NLL/sample', 'unit', 'source'], rows)}

What differs here:

${WHAT_DIFFERS.map((line) => `- ${line}`).join('\n')}
`
}

/** The whole of table1.md. */
export function renderTable(sets: readonly SetResult[], curves: readonly string[]): string {
  const pictures = curves.map((file) => `![Held-out bits/sample as training goes](${file})`)
  return `# The comparison

WaveNet, SampleRNN, SaShiMi and the flagship, trained, scored and played by the same commands on the same recordings
(\`runs/table1.sh\`).

${sets.map(section).join('\n')}
${pictures.join('\n\n')}

${published()}`
}

/** Held-out bits against targets, or against minutes: an SVG; undefined where nothing was scored. */
export function curves(set: SetResult, budget: Budget): string | undefined {
  const series = set.models.flatMap((model) => {
    const points = (model[budget]?.trained.curve ?? []).map(
      ([targets, seconds, bits]) =>
        [budget === 'equalTargets' ? targets : seconds / 60, bits] as const,
    )
    return points.length > 0 ? [{ name: model.label, points }] : []
  })
  if (series.length === 0) return undefined
  return linePlot({
    title: `${set.name}: bits/sample on held-out segments (other segments for other models)`,
    x: { label: budget === 'equalTargets' ? 'targets' : 'minutes of training' },
    y: { label: 'bits/sample' },
    series,
  })
}
