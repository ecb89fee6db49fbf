import type { Writable } from 'node:stream'
import { Command } from 'commander'
import { z } from 'zod'
import { UsageError } from '../base/errors.js'
import { ModelStream } from '../generate/index.js'
import { openTrained, type Trained } from './checkpoint.js'
import { openMaker } from './continuation.js'
import {
  checkpointFlag,
  engineFlags,
  parseFlags,
  samplingFlags,
  seconds,
  withSampling,
} from './flags.js'
import { formatCount } from './numbers.js'
import { type Played, playTo } from './player.js'
import { type Progress, progressLine } from './progress.js'
import { readPrompt } from './recording.js'
import { INTERRUPTED, stopOnSignal } from './stop.js'

/** Seconds of a block: short enough to begin and to stop at once. */
const BLOCK = 0.02

const schema = z.object({
  checkpoint: checkpointFlag,
  prompt: z.string().min(1).optional(),
  promptSeconds: seconds('--prompt-seconds').optional(),
  seconds: seconds('--seconds').optional(),
  ahead: seconds('--ahead').default(0.2),
  ...samplingFlags,
  ...engineFlags,
})

type Flags = z.infer<typeof schema>

const players = (rate: number | string) =>
  `aplay -q -t raw -f S16_LE -c 1 -r ${rate}, or ffplay -nodisp -f s16le -ar ${rate} -i -`

/** `longwave play --checkpoint C | aplay ...`: a model live, as raw PCM. */
export function playCommand(out: Writable & { isTTY?: boolean } = process.stdout): Command {
  const command = new Command('play')
    .description('play a model live: raw PCM (s16le, mono, at its rate) to stdout in real time')
    .option('--checkpoint <folder>', 'a model that was shipped, a run (its best step), or a step')
    .option('--prompt <file>', 'audio to go on from (default: silence)')
    .option('--prompt-seconds <s>', 'use only the beginning of the prompt')
    .option('--seconds <s>', 'how much to play (default: until Ctrl-C)')
    .option('--ahead <s>', 'how far the player may be ahead of real time (default: 0.2)')
  return withSampling(command)
    .option('--backend <name>', 'what takes the prompt in: cpu, webgpu or cuda (default: cpu)')
    .option('--threads <n>', 'that make a sample together; 0 for what is of use (default: 0)')
    .addHelpText('after', `\nPipe it to ${players('RATE')}`)
    .action(async (given) => {
      process.exitCode = await play(parseFlags(schema, given, 'play'), out)
    })
}

async function play(flags: Flags, out: Writable & { isTTY?: boolean }): Promise<number> {
  const trained = openTrained(flags.checkpoint)
  const { sampleRate } = trained.audio
  if (out.isTTY) {
    throw new UsageError({
      fact: 'play writes raw samples, which a terminal cannot show.',
      expected: 'a player behind a pipe',
      hint: `longwave play ... | ${players(sampleRate)}`,
    })
  }
  const prompt = await readPrompt(flags, trained.audio)
  const line = progressLine()
  const { signal, release } = stopOnSignal(line)
  const { backend, threads, precision, cache, hold, seed, context = trained.context } = flags
  const engine = { backend, threads }
  const stream = new ModelStream(
    await openMaker(trained, { context, precision, cache, hold, engine }),
    seed,
  )
  try {
    await prime(stream, prompt, signal, line)
    line.note(`s16le, mono, ${sampleRate} Hz`)
    const began = performance.now()
    const played = await playTo(out, blocks(stream, flags, trained, signal), {
      ...{ sampleRate, ahead: flags.ahead, signal },
      onBlock: (now) => line.update(() => describe(now, sampleRate)),
    })
    const taken = (performance.now() - began) / 1000
    line.note(`${describe(played, sampleRate)}${advice(played, sampleRate, taken, precision)}`)
    // an endless stream has no other end than Ctrl-C
    return signal.aborted && flags.seconds !== undefined ? INTERRUPTED : 0
  } finally {
    line.end()
    release()
    await stream.dispose()
  }
}

async function prime(
  stream: ModelStream,
  prompt: Uint8Array,
  signal: AbortSignal,
  line: Progress,
): Promise<void> {
  const onProgress = (samples: number) => {
    signal.throwIfAborted()
    line.update(() => `prompt | ${formatCount(samples)}/${formatCount(prompt.length)}`)
  }
  await stream.prime(prompt, { onProgress }).catch((thrown) => {
    if (!signal.aborted) throw thrown
  })
}

async function* blocks(
  stream: ModelStream,
  { seconds, temperature, topK, topP }: Flags,
  { audio: { sampleRate, quantizer } }: Trained,
  signal: AbortSignal,
): AsyncGenerator<Float32Array, void, void> {
  const sizes = {
    blockSize: Math.max(1, Math.round(BLOCK * sampleRate)),
    ...(seconds !== undefined && { samples: Math.max(1, Math.round(seconds * sampleRate)) }),
  }
  const sampling = { temperature, ...(topK && { topK }), ...(topP && { topP }) }
  for await (const block of stream.generate({ ...sizes, ...sampling, signal })) {
    yield quantizer.decode(block)
  }
}

function describe({ samples, underruns, silentSeconds }: Played, rate: number): string {
  const silences =
    underruns === 0
      ? 'no underruns'
      : `${underruns} underrun${underruns === 1 ? '' : 's'}, ${silentSeconds.toFixed(2)} s of silence`
  return `played ${(samples / rate).toFixed(2)} s | ${silences}`
}

function advice(played: Played, rate: number, taken: number, precision: string): string {
  if (played.underruns === 0) return ''
  const speed = (played.samples / rate / taken).toFixed(2)
  const other = precision === 'f32' ? '--precision int8, ' : ''
  return `\nThe samples came at ${speed} of real time: try ${other}a shorter --context, a larger --ahead`
}
