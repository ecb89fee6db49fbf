import { basename, join, parse } from 'node:path'
import { Command } from 'commander'
import { z } from 'zod'
import { openTrained } from './checkpoint.js'
import { figures, make, makeVoices } from './continuation.js'
import {
  checkpointFlag,
  count,
  engineFlags,
  parseFlags,
  samplingFlags,
  seconds,
  withSampling,
} from './flags.js'
import { formatCount } from './numbers.js'
import { checkOutput, joined, writeAudio, writePicture } from './output.js'
import { progressLine } from './progress.js'
import { readPrompt } from './recording.js'
import { INTERRUPTED } from './stop.js'

const schema = z.object({
  checkpoint: checkpointFlag,
  prompt: z.string().min(1).optional(),
  promptSeconds: seconds('--prompt-seconds').optional(),
  seconds: seconds('--seconds', '--seconds S is missing: how much to make'),
  ...samplingFlags,
  voices: count('--voices').default(1),
  out: z.string({ error: '--out FILE.wav is missing: the file to write' }).min(1),
  picture: z.string().min(1).optional(),
  continuationOnly: z.boolean().default(false),
  json: z.boolean().default(false),
  ...engineFlags,
})

type Flags = z.infer<typeof schema>

/** `longwave generate --checkpoint C --seconds S --out FILE.wav`: new audio from a trained model. */
export function generateCommand(): Command {
  const command = new Command('generate')
    .description('let a trained model go on with a recording, or begin one')
    .option('--checkpoint <folder>', 'a model that was shipped, a run (its best step), or a step')
    .option('--prompt <file>', 'audio to go on from (default: silence)')
    .option('--prompt-seconds <s>', 'use only the beginning of the prompt')
    .option('--seconds <s>', 'how much to make')
  return withSampling(command)
    .option('--voices <n>', 'make n at a time, of this seed and the next, in numbered files')
    .option('--out <file>', 'WAV file, 16 bit: the prompt, then what is new')
    .option('--continuation-only', 'leave the prompt out of the file')
    .option('--picture <file>', 'PNG of the waveform and the spectrogram')
    .option('--json', 'print what was done as one JSON object')
    .option('--backend <name>', 'what takes the prompt in: cpu, webgpu or cuda (default: cpu)')
    .option('--threads <n>', 'that make a sample together; 0 for what is of use (default: 0)')
    .action(async (given) => {
      process.exitCode = await generate(parseFlags(schema, given, 'generate'))
    })
}

async function generate(flags: Flags): Promise<number> {
  const { out, picture, seed, precision, hold, temperature, topK, topP, backend, threads } = flags
  const cache = flags.cache ?? precision
  const trained = openTrained(flags.checkpoint)
  const { model, audio } = trained
  const context = flags.context ?? trained.context
  const prompt = await readPrompt(flags, audio)
  const line = progressLine()
  const outs = numbered(out, flags.voices)
  const pictures = picture === undefined ? [] : numbered(picture, flags.voices)
  for (const file of [...outs, ...pictures]) checkOutput(file, line.note)
  const engine = { backend, threads }
  const sampling = { temperature, ...(topK && { topK }), ...(topP && { topP }) }
  const samples = Math.max(1, Math.round(flags.seconds * audio.sampleRate))
  const wish = { prompt, samples, context, precision, cache, hold, sampling, seed, engine }
  const made =
    flags.voices > 1
      ? await makeVoices(trained, flags.voices, wish, line)
      : await make(trained, wish, line)
  const voices = Array.isArray(made.codes) ? made.codes : [made.codes]
  if (voices[0]!.length === 0) {
    line.note('Stopped before the first sample: nothing was written.')
    return INTERRUPTED
  }
  const before = flags.continuationOnly ? prompt.subarray(0, 0) : prompt
  for (const [i, codes] of voices.entries()) {
    const heard = joined(before, codes)
    writeAudio(outs[i]!, heard, audio)
    const drawn = pictures[i]
    if (drawn === undefined) continue
    await writePicture(drawn, heard, audio, { border: before.length, title: basename(outs[i]!) })
  }
  const report = {
    model: model.family,
    parameters: model.size,
    context,
    precision,
    cache,
    ...figures(voices, made, audio.sampleRate),
    promptSamples: prompt.length,
    ...{
      temperature,
      topK: topK ?? null,
      topP: topP ?? null,
      hold,
      seed,
      out,
      picture: picture ?? null,
      files: outs,
    },
  }
  process.stdout.write(
    `${flags.json ? JSON.stringify(report) : describe(report, audio.sampleRate)}\n`,
  )
  if (made.interrupted) line.note(`Stopped: ${outs.join(', ')} holds what there is.`)
  return made.interrupted ? INTERRUPTED : 0
}

type Report = ReturnType<typeof figures> & {
  context: number
  precision: string
  cache: string
  promptSamples: number
  seed: number
  files: string[]
}

/** The names of as many files: x.wav, or x-1.wav, x-2.wav, ... */
function numbered(file: string, voices: number): string[] {
  if (voices === 1) return [file]
  const { dir, name, ext } = parse(file)
  const digits = String(voices).length
  return Array.from({ length: voices }, (_, i) =>
    join(dir, `${name}-${String(i + 1).padStart(digits, '0')}${ext}`),
  )
}

function describe(report: Report, rate: number): string {
  const { precision, cache } = report
  const numbers = cache === precision ? precision : `${precision} with a cache of ${cache}`
  const { samples, promptSamples, samplesPerSecond, realTimeFactor, seconds } = report
  const time = (n: number) => `${(n / rate).toFixed(2)} s`
  const after = promptSamples > 0 ? `, after ${time(promptSamples)} of the prompt` : ''
  const { voices, files } = report
  const of = voices === 1 ? '' : `, of each of ${voices} voices`
  const together = voices === 1 ? '' : ' together'
  return [
    `${files.join(', ')}: ${time(samples)} of new audio${after}`,
    `${samples} samples in ${seconds.toFixed(1)} s${of}: ${formatCount(samplesPerSecond)} samples/s${together}, ` +
      `${realTimeFactor.toFixed(3)}x real time; context ${report.context}, ${numbers}, seed ${report.seed}`,
  ].join('\n')
}
