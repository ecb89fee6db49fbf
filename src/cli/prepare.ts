import { Command } from 'commander'
import { z } from 'zod'
import { QUANTIZER_NAMES } from '../audio/index.js'
import { UsageError } from '../base/errors.js'
import {
  DEFAULT_RATE,
  formatProgress,
  formatReport,
  NothingUsableError,
  type PrepareProgress,
  type PrepareReport,
  prepareDataset,
  RATES,
} from '../data/index.js'

const flags = z.object({
  out: z.string({ error: '--out DATASET is missing: the folder to write' }).min(1),
  rate: z.coerce
    .number({ error: '--rate takes a number of Hz, for example 16000' })
    .int('--rate takes a whole number of Hz')
    .min(RATES.min, `--rate takes ${RATES.min} Hz or more`)
    .max(RATES.max, `--rate takes ${RATES.max} Hz or less`),
  quantizer: z.enum(['mu-law', 'linear'], {
    error: `--quantizer takes ${QUANTIZER_NAMES.join(' or ')}`,
  }),
  split: z
    .string()
    .regex(/^[\d.]+,[\d.]+,[\d.]+$/, '--split takes three shares, for example 0.9,0.05,0.05')
    .transform((text) => text.split(',').map(Number))
    .pipe(z.tuple([z.number(), z.number(), z.number()]))
    .optional(),
  rescale: z.coerce.number({ error: '--rescale takes seconds, for example 8' }).optional(),
  json: z.boolean().default(false),
})

/** `longwave prepare FOLDER --out DATASET`: a folder of audio becomes a dataset. */
export function prepareCommand(): Command {
  return new Command('prepare')
    .description('make a dataset of a folder of audio: WAV, FLAC, MP3, Ogg; any rate, any channels')
    .argument('<folder>', 'folder of recordings; it is only read')
    .option(
      '--out <dataset>',
      'folder of the dataset (new, empty, or a dataset to bring up to date)',
    )
    .option('--rate <hz>', 'sample rate of the dataset', String(DEFAULT_RATE))
    .option('--quantizer <name>', `${QUANTIZER_NAMES.join(' or ')}`, 'mu-law')
    .option(
      '--split <shares>',
      'train,valid,test by the hash of each path (default: lists train.txt, valid.txt, test.txt ' +
        'or folders train/, valid/, test/ where there are, else 0.9,0.05,0.05)',
    )
    .option(
      '--rescale <seconds>',
      'cut recordings in windows so long, each rescaled by its own minimum and maximum, as ' +
        'SaShiMi was trained; figures cannot be compared with others (default: levels are kept)',
    )
    .option('--json', 'print the report as one JSON object')
    .action(prepare)
}

async function prepare(folder: string, given: unknown): Promise<void> {
  const parsed = flags.safeParse(given)
  if (!parsed.success) {
    throw new UsageError({
      fact: parsed.error.issues.map(({ message }) => message).join('; '),
      hint: 'longwave prepare FOLDER --out DATASET; see longwave prepare --help',
    })
  }
  const { out, rate, quantizer, split, rescale, json } = parsed.data
  const stop = new AbortController()
  const onInterrupt = () => stop.abort()
  process.once('SIGINT', onInterrupt)
  const show = (report: PrepareReport) =>
    process.stdout.write(`${json ? JSON.stringify(report) : formatReport(report)}\n`)
  const options = {
    ...{ rate, quantizer, signal: stop.signal },
    ...(split && { split }),
    ...(rescale !== undefined && { rescale }),
  }
  const line = progressLine(process.stderr)
  try {
    show(await prepareDataset(folder, out, options, line.update))
  } catch (thrown) {
    if (thrown instanceof NothingUsableError) show(thrown.report)
    throw thrown
  } finally {
    line.end()
    process.off('SIGINT', onInterrupt)
  }
}

/** Shows progress: one line that is rewritten on a terminal, else a line every 10 seconds. */
function progressLine(to: NodeJS.WriteStream) {
  let next = 0
  let shown = false
  return {
    update(progress: PrepareProgress): void {
      const last = progress.filesDone === progress.filesTotal
      if (!last && progress.elapsed < next) return
      next = progress.elapsed + (to.isTTY ? 0.1 : 10)
      const text = formatProgress(progress)
      if (to.isTTY) to.write(`\r\x1b[K${text.slice(0, (to.columns ?? 80) - 1)}`)
      else to.write(`${text}\n`)
      shown = true
    },
    /** Leaves the rewritten line. */
    end(): void {
      if (shown && to.isTTY) to.write('\n')
    },
  }
}
