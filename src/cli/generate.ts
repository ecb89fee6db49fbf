import { basename } from 'node:path'
import { Command } from 'commander'
import { z } from 'zod'
import { Engine } from '../engine/index.js'
import { openTrained, type Trained } from './checkpoint.js'
import { figures, INTERRUPTED, make } from './continuation.js'
import { checkpointFlag, count, engineFlags, number, parseFlags, seconds } from './flags.js'
import { formatCount } from './numbers.js'
import { checkOutput, joined, writeAudio, writePicture } from './output.js'
import { progressLine } from './progress.js'
import { readRecording } from './recording.js'

const schema = z.object({
  checkpoint: checkpointFlag,
  prompt: z.string().min(1).optional(),
  promptSeconds: seconds('--prompt-seconds').optional(),
  seconds: seconds('--seconds', '--seconds S is missing: how much to make'),
  context: count('--context').optional(),
  temperature: number('--temperature', 'a number from 0', { from: 0 }).default(1),
  topK: number('--top-k', 'a whole number from 1 to 256', {
    from: 1,
    to: 256,
    whole: true,
  }).optional(),
  topP: number('--top-p', 'a share above 0, at most 1', { above: 0, to: 1 }).optional(),
  seed: number('--seed', 'a whole number from 0 to 4294967295', {
    from: 0,
    to: 0xffffffff,
    whole: true,
  }).default(0),
  out: z.string({ error: '--out FILE.wav is missing: the file to write' }).min(1),
  picture: z.string().min(1).optional(),
  continuationOnly: z.boolean().default(false),
  json: z.boolean().default(false),
  backend: engineFlags.backend,
  // the work of one sample is too small to be shared
  threads: count('--threads', 0).default(1),
})

type Flags = z.infer<typeof schema>

/** `longwave generate --checkpoint C --seconds S --out FILE.wav`: new audio from a trained model. */
export function generateCommand(): Command {
  return new Command('generate')
    .description('let a trained model go on with a recording, or begin one')
    .option('--checkpoint <folder>', 'a model that was shipped, a run (its best step), or a step')
    .option('--prompt <file>', 'audio to go on from (default: silence)')
    .option('--prompt-seconds <s>', 'use only the beginning of the prompt')
    .option('--seconds <s>', 'how much to make')
    .option('--context <samples>', "samples of history (default: the model's own)")
    .option('--temperature <t>', '1 as the model learned it, 0 always the likeliest (default: 1)')
    .option('--top-k <n>', 'draw from the n likeliest codes')
    .option('--top-p <share>', 'draw from the likeliest codes that hold this share')
    .option('--seed <n>', 'the same seed gives the same samples (default: 0)')
    .option('--out <file>', 'WAV file, 16 bit: the prompt, then what is new')
    .option('--continuation-only', 'leave the prompt out of the file')
    .option('--picture <file>', 'PNG of the waveform and the spectrogram')
    .option('--json', 'print what was done as one JSON object')
    .option('--backend <name>', 'cpu, webgpu or cuda (default: cpu)')
    .option('--threads <n>', 'inside one operation; 0 for all cores (default: 1)')
    .action(async (given) => {
      process.exitCode = await generate(parseFlags(schema, given, 'generate'))
    })
}

async function generate(flags: Flags): Promise<number> {
  const { out, picture, seed, temperature, topK, topP, backend, threads } = flags
  const trained = openTrained(flags.checkpoint)
  const { model, audio } = trained
  const context = flags.context ?? trained.context
  const prompt = await readPrompt(flags, trained)
  const line = progressLine()
  checkOutput(out, line.note)
  if (picture !== undefined) checkOutput(picture, line.note)
  const engine = await Engine.open({ backend, threads })
  const sampling = { temperature, ...(topK && { topK }), ...(topP && { topP }) }
  const samples = Math.max(1, Math.round(flags.seconds * audio.sampleRate))
  const made = await make(trained, engine, { prompt, samples, context, sampling, seed }, line)
  if (made.codes.length === 0) {
    line.note('Stopped before the first sample: nothing was written.')
    return INTERRUPTED
  }
  const before = flags.continuationOnly ? prompt.subarray(0, 0) : prompt
  const heard = joined(before, made.codes)
  writeAudio(out, heard, audio)
  if (picture !== undefined) {
    await writePicture(picture, heard, audio, { border: before.length, title: basename(out) })
  }
  const report = {
    model: model.family,
    parameters: model.size,
    context,
    ...figures(made, audio.sampleRate),
    promptSamples: prompt.length,
    ...{ temperature, topK: topK ?? null, topP: topP ?? null, seed, out, picture: picture ?? null },
  }
  process.stdout.write(
    `${flags.json ? JSON.stringify(report) : describe(report, audio.sampleRate)}\n`,
  )
  if (made.interrupted) line.note(`Stopped: ${out} holds what there is.`)
  return made.interrupted ? INTERRUPTED : 0
}

async function readPrompt(flags: Flags, { audio }: Trained): Promise<Uint8Array> {
  const { prompt, promptSeconds = Number.POSITIVE_INFINITY } = flags
  if (prompt === undefined) return new Uint8Array(0)
  const codes = (await readRecording(prompt, audio)).codes()
  return codes.subarray(0, Math.max(1, Math.round(promptSeconds * audio.sampleRate)))
}

type Report = ReturnType<typeof figures> & {
  context: number
  promptSamples: number
  seed: number
  out: string
}

function describe(report: Report, rate: number): string {
  const { samples, promptSamples, samplesPerSecond, realTimeFactor, seconds } = report
  const time = (n: number) => `${(n / rate).toFixed(2)} s`
  const after = promptSamples > 0 ? `, after ${time(promptSamples)} of the prompt` : ''
  return [
    `${report.out}: ${time(samples)} of new audio${after}`,
    `${samples} samples in ${seconds.toFixed(1)} s: ${formatCount(samplesPerSecond)} samples/s, ` +
      `${realTimeFactor.toFixed(3)}x real time; context ${report.context}, seed ${report.seed}`,
  ].join('\n')
}
