import { Command } from 'commander'
import { z } from 'zod'
import { UsageError } from '../base/errors.js'
import { SPLITS } from '../data/index.js'
import { Engine } from '../engine/index.js'
import {
  baselines,
  contextCurve,
  type EvalProgress,
  type EvalResult,
  evaluate,
  formatEvaluation,
  type Recording,
} from '../eval/index.js'
import { openTrained, type Trained } from './checkpoint.js'
import { checkpointFlag, counts, engineFlags, parseFlags, seconds } from './flags.js'
import { formatCount, formatDuration } from './numbers.js'
import { checkOutput, writeOutput } from './output.js'
import { type Progress, progressLine } from './progress.js'
import { limited, type Recordings, readRecording, readSplit } from './recording.js'

const schema = z.object({
  checkpoint: checkpointFlag,
  data: z.string().min(1).optional(),
  split: z.enum(SPLITS, { error: `--split takes ${SPLITS.join(', ')}` }).default('test'),
  audio: z.array(z.string()).optional(),
  context: counts('--context').optional(),
  common: z.boolean().default(false),
  limit: seconds('--limit').optional(),
  reference: z.boolean().default(true),
  plot: z.string().min(1, '--plot takes a file').optional(),
  json: z.boolean().default(false),
  ...engineFlags,
})

type Flags = z.infer<typeof schema>

/** `longwave eval --checkpoint C --audio FILE...`: bits per sample of recordings. */
export function evalCommand(): Command {
  return new Command('eval')
    .description('score recordings with a trained model: bits per sample, beside simple predictors')
    .option('--checkpoint <folder>', 'a model that was shipped, a run (its best step), or a step')
    .option('--data <dataset>', 'score the pieces of a dataset that prepare made')
    .option('--split <name>', `of the dataset: ${SPLITS.join(', ')} (default: test)`)
    .option('--audio <files...>', 'score audio files')
    .option('--context <list>', "samples of history, such as 8000,128k (default: the model's own)")
    .option(
      '--common',
      'score only the targets that all contexts share: those after the longest (of one context: after itself)',
    )
    .option('--limit <seconds>', 'score only the beginning of each piece')
    .option('--plot <file>', 'SVG of bits per sample against context, with standard errors')
    .option('--no-reference', 'leave out the simple predictors')
    .option('--json', 'print the results as one JSON object')
    .option('--backend <name>', 'cpu, webgpu or cuda (default: cpu)')
    .option('--threads <n>', 'inside one operation; 0 for all cores (default: 0)')
    .action(async (given) => run(parseFlags(schema, given, 'eval')))
}

async function run(flags: Flags): Promise<void> {
  if ((flags.data === undefined) === (flags.audio === undefined)) {
    throw new UsageError({
      fact: 'What to score is given by either --data DATASET or --audio FILE...',
      got: flags.data === undefined ? 'neither' : 'both',
    })
  }
  const trained = openTrained(flags.checkpoint)
  const { recordings: whole, rescale } = await read(flags, trained)
  const recordings = limited(whole, flags.limit, trained.audio)
  const contexts = flags.context ?? [trained.context]
  const line = progressLine()
  if (flags.plot !== undefined) checkOutput(flags.plot, line.note)
  try {
    const results = await score(flags, trained, recordings, contexts, line)
    const beside = flags.reference
      ? baselines(recordings, trained.audio.quantizer.table, Math.max(...contexts), (name) =>
          line.update(() => `linear predictor | ${name}`),
        )
      : null
    line.end()
    if (flags.plot !== undefined) {
      const what = rescale === undefined ? 'recordings' : 'windows, each rescaled by itself'
      writeOutput(flags.plot, contextCurve(results, `${recordings.length} held-out ${what}`))
    }
    const text = flags.json
      ? JSON.stringify({ results, reference: beside, rescale: rescale ?? null })
      : formatEvaluation(results, beside, rescale)
    process.stdout.write(`${text}\n`)
  } finally {
    line.end()
  }
}

async function read({ data, split, audio = [] }: Flags, trained: Trained): Promise<Recordings> {
  if (data !== undefined) return readSplit(data, split, trained.audio)
  const recordings: Recording[] = []
  for (const path of audio) recordings.push(await readRecording(path, trained.audio))
  return { recordings }
}

async function score(
  { backend, threads, common }: Flags,
  { model, weights, context: own }: Trained,
  recordings: readonly Recording[],
  contexts: readonly number[],
  line: Progress,
): Promise<EvalResult[]> {
  for (const context of contexts.filter((context) => context > own)) {
    line.note(`Context ${context} is longer than the ${own} samples that the model was made for.`)
  }
  const engine = await Engine.open({ backend, threads })
  const scorer = await model.scorer(engine, weights)
  try {
    return await evaluate(model, scorer, recordings, contexts, {
      onlyCommon: common,
      onProgress: (progress) => line.update(() => describe(progress)),
    })
  } finally {
    await scorer.dispose()
  }
}

function describe({ name, context, samples, total, seconds }: EvalProgress): string {
  const speed = samples / seconds
  return [
    name,
    `context ${formatCount(context)}`,
    `${formatCount(samples)}/${formatCount(total)} samples`,
    `${formatCount(speed)} samples/s`,
    `${formatDuration((total - samples) / speed)} left`,
  ].join(' | ')
}
