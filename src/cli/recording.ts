import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { AudioDecodeError, decodeAudio, downmix, resample } from '../audio/index.js'
import { FileError, messageOf, UsageError } from '../base/errors.js'
import { openDataset, type Split } from '../data/index.js'
import type { Recording } from '../eval/index.js'
import type { ModelAudio } from './checkpoint.js'

/**
 * The codes of an audio file as a model hears it: mono, at the model's rate, in its levels.
 *
 * @throws FileError when it cannot be read
 * @throws AudioDecodeError that names the file when it is not audio, or holds no sample
 */
export async function readRecording(path: string, audio: ModelAudio): Promise<Recording> {
  const bytes = read(path)
  try {
    const { channels, sampleRate } = await decodeAudio(bytes)
    const codes = audio.quantizer.encode(resample(downmix(channels), sampleRate, audio.sampleRate))
    if (codes.length === 0) throw new AudioDecodeError({ fact: 'The recording holds no sample.' })
    return recording(basename(path), codes)
  } catch (thrown) {
    if (!(thrown instanceof AudioDecodeError)) throw thrown
    const { fact, ...rest } = thrown.failure
    throw new AudioDecodeError({ fact: `${path}: ${fact}`, ...rest }, { cause: thrown })
  }
}

/** The prompt of a verb that makes audio: nothing where there is none. Throws as `readRecording`. */
export async function readPrompt(
  flags: { prompt?: string | undefined; promptSeconds?: number | undefined },
  audio: ModelAudio,
): Promise<Uint8Array> {
  const { prompt, promptSeconds = Number.POSITIVE_INFINITY } = flags
  if (prompt === undefined) return new Uint8Array(0)
  const codes = (await readRecording(prompt, audio)).codes()
  return codes.subarray(0, Math.max(1, Math.round(promptSeconds * audio.sampleRate)))
}

function read(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new FileError({ fact: `${path} cannot be read.`, got: messageOf(cause) }, { cause })
  }
}

/** What is scored at once. */
export interface Recordings {
  recordings: Recording[]
  /** As dataset.json has it: samples of the windows that were rescaled, or nothing. */
  rescale?: number | undefined
}

/**
 * The recordings of one split of a dataset.
 *
 * @throws UsageError when its codes stand for something else than the model's
 */
export function readSplit(dir: string, split: Split, audio: ModelAudio): Recordings {
  const { meta, pieces } = openDataset(dir)
  const mine = `${audio.sampleRate} Hz, ${audio.quantizer.name}`
  const theirs = `${meta.sampleRate} Hz, ${meta.quantizer}`
  if (mine !== theirs) {
    throw new UsageError({
      fact: `The codes of ${dir} do not mean what the model's codes mean.`,
      expected: `${mine}, as the model was trained`,
      got: `${theirs} in the dataset`,
      hint: `longwave prepare FOLDER --rate ${audio.sampleRate} --quantizer ${audio.quantizer.name} --out OTHER`,
    })
  }
  const recordings = pieces(split)
  if (recordings.length > 0) return { recordings, rescale: meta.rescale }
  const sizes = Object.entries(meta.splits).map(([name, { files }]) => `${name} ${files}`)
  throw new UsageError({
    fact: `The split ${split} of ${dir} is empty.`,
    expected: 'a split with recordings',
    got: sizes.join(', '),
  })
}

/** At most the first `seconds` of every recording. */
export function limited(
  recordings: readonly Recording[],
  seconds: number | undefined,
  { sampleRate }: ModelAudio,
): Recording[] {
  if (seconds === undefined) return [...recordings]
  const most = Math.max(1, Math.round(seconds * sampleRate))
  return recordings.map((one) => ({
    name: one.name,
    samples: Math.min(one.samples, most),
    codes: () => one.codes().subarray(0, most),
  }))
}

export const recording = (name: string, codes: Uint8Array): Recording => ({
  name,
  samples: codes.length,
  codes: () => codes,
})
