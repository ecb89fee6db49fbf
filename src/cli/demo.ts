import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { FileError } from '../base/errors.js'
import { Engine } from '../engine/index.js'
import { baselines, commonStart, evaluate, orderZeroBits, type Recording } from '../eval/index.js'
import { canHold } from '../generate/index.js'
import { openTrained, type Trained } from './checkpoint.js'
import { figures, make } from './continuation.js'
import { formatCount } from './numbers.js'
import { checkOutput, joined, writeAudio, writePicture } from './output.js'
import { type Progress, progressLine } from './progress.js'
import { readRecording, recording } from './recording.js'
import { INTERRUPTED } from './stop.js'

const CHECKPOINT = 'checkpoints/piano'
const SAMPLES = 'samples'
const AUDIO = /\.(wav|flac|mp3|ogg|oga|opus)$/i

/** Seconds whose samples are scored, each after a whole context: enough for two digits. */
const SCORED = 5
/** Seconds of the recording that are heard and drawn before what is new, and of what is new. */
const BEFORE = 2
const NEW = 2

/** The folder that `checkpoints` and `samples` lie in. */
const PACKAGE = fileURLToPath(new URL('../../', import.meta.url))

/** `longwave demo`: the bundled model scores the bundled recording and goes on with it. */
export function demoCommand(root = PACKAGE): Command {
  return new Command('demo')
    .description('score the bundled piano recording with the bundled model, and go on with it')
    .option('--out <folder>', 'where the audio and the picture go', 'out')
    .action(async ({ out }: { out: string }) => {
      process.exitCode = await demo(root, out)
    })
}

async function demo(root: string, out: string): Promise<number> {
  const trained = openTrained(bundled(root, CHECKPOINT))
  const file = recordingIn(root)
  const whole = await readRecording(file, trained.audio)
  const line = progressLine()
  say(`longwave: ${trained.model.family}, ${formatCount(trained.model.size)} parameters`)
  say(`Recording: ${whole.name}, ${time(whole.samples, trained)}, not in the training data\n`)
  await score(trained, await Engine.open(), whole, line)
  return proceed(trained, whole, out, line)
}

function bundled(root: string, path: string): string {
  if (existsSync(join(root, path))) return join(root, path)
  throw missing(path, join(root, path))
}

function recordingIn(root: string): string {
  const folder = join(root, SAMPLES)
  const names = existsSync(folder) ? readdirSync(folder).sort() : []
  const name = names.find((name) => AUDIO.test(name))
  if (name !== undefined) return join(folder, name)
  throw missing(`a recording in ${SAMPLES}`, `an audio file in ${folder}`)
}

function missing(what: string, expected: string): FileError {
  return new FileError({
    fact: `The demo needs ${what}, which is not there.`,
    expected,
    hint: 'It comes with the package: install it again, or check out the whole repository.',
  })
}

/** Scores the end of the recording, each sample after a whole context where it is long enough. */
async function score(trained: Trained, engine: Engine, whole: Recording, line: Progress) {
  const { model, weights, audio, context } = trained
  const length = context + SCORED * audio.sampleRate
  const codes = whole.codes().subarray(-length)
  const end = recording(whole.name, codes)
  const from = commonStart(codes.length, context)
  const scorer = await model.scorer(engine, weights)
  const [result] = await evaluate(model, scorer, [end], [context], {
    onProgress: ({ samples, total }) =>
      line.update(() => `scoring | ${formatCount(samples)}/${formatCount(total)} samples`),
  })
  await scorer.dispose()
  const beside = baselines([end], audio.quantizer.table, context)
  line.end()
  const bits = result!.commonBitsPerSample
  const rows: [string, number, string?][] = [
    ['uniform', beside.uniform],
    ['order-0 entropy', orderZeroBits([codes.subarray(from)])],
    ['linear predictor, order 32', beside.commonLinearPredictor],
    ['strong predictor, order 160', beside.commonStrongPredictor],
    ['the model', bits, `${(bits * Math.LN2).toFixed(3)} nats`],
  ]
  say(
    `Bits/sample of its last ${time(codes.length - from, trained)}, ${codes.length - from} samples`,
  )
  say(
    `after ${time(from, trained)} or more of history, of which the model uses up to ${time(context, trained)}:`,
  )
  for (const [name, value, more = ''] of rows) {
    say(`  ${name.padEnd(31)}${value.toFixed(3)}  ${more}`.trimEnd())
  }
}

/** Goes on from the middle of the recording. */
async function proceed(
  trained: Trained,
  whole: Recording,
  out: string,
  line: Progress,
): Promise<number> {
  const { audio, context } = trained
  const middle = Math.ceil(whole.samples / 2)
  const prompt = whole.codes().subarray(Math.max(0, middle - context), middle)
  const paths = {
    alone: join(out, 'continuation.wav'),
    after: join(out, 'with-prompt.wav'),
    picture: join(out, 'continuation.png'),
  }
  for (const path of Object.values(paths)) checkOutput(path)
  const wish = {
    samples: NEW * audio.sampleRate,
    context,
    sampling: { temperature: 1 },
    hold: canHold(trained.model), // else the bundled model bursts out sooner or later (docs/log.md)
    seed: 0,
  }
  const made = await make(trained, { prompt, ...wish }, line)
  if (made.codes.length === 0) return INTERRUPTED
  const { seconds, realTimeFactor } = figures([made.codes], made, audio.sampleRate)
  const heard = prompt.subarray(-BEFORE * audio.sampleRate)
  writeAudio(paths.alone, made.codes, audio)
  const both = joined(heard, made.codes)
  writeAudio(paths.after, both, audio)
  const title = `${whole.name}, then ${NEW} s of the model`
  await writePicture(paths.picture, both, audio, { border: heard.length, title })
  say(
    `\n${time(made.codes.length, trained)} of new audio after ${time(prompt.length, trained)} of it, ` +
      `in ${seconds.toFixed(1)} s (${realTimeFactor.toFixed(3)}x real time):`,
  )
  say(`  ${paths.alone}`)
  say(`  ${paths.after}, behind ${time(heard.length, trained)} of the recording`)
  say(`  ${paths.picture}, waveform and spectrogram of the same; a line marks the border`)
  return made.interrupted ? INTERRUPTED : 0
}

const time = (samples: number, { audio }: Trained) => `${(samples / audio.sampleRate).toFixed(1)} s`

const say = (text: string) => process.stdout.write(`${text}\n`)
