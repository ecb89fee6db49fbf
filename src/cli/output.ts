import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { encodeWav } from '../audio/index.js'
import { wavePicture } from '../audio/picture.js'
import { FileError, messageOf } from '../base/errors.js'
import type { ModelAudio } from './checkpoint.js'

/**
 * Makes sure, before the work begins, that a file can be written at its end.
 *
 * @param note told when the file will be overwritten
 * @throws FileError
 */
export function checkOutput(path: string, note: (text: string) => void = () => {}): void {
  attempt(path, () => mkdirSync(dirname(path), { recursive: true }))
  if (!existsSync(path)) return
  if (statSync(path).isDirectory()) {
    throw new FileError({ fact: `${path} is a folder.`, expected: 'the name of a file' })
  }
  note(`${path} is there already and will be overwritten.`)
}

/** Writes codes as a WAV file of 16 bits. Throws a FileError. */
export function writeAudio(path: string, codes: Uint8Array, audio: ModelAudio): void {
  writeOutput(path, encodeWav([audio.quantizer.decode(codes)], audio.sampleRate))
}

/**
 * Draws the waveform and the spectrogram of codes as a PNG file. Throws a FileError.
 * @param border samples before which everything is of a prompt; 0 for no border
 */
export async function writePicture(
  path: string,
  codes: Uint8Array,
  { quantizer, sampleRate }: ModelAudio,
  { border, title }: { border: number; title: string },
): Promise<void> {
  const mark = border > 0 ? { mark: border / sampleRate } : {}
  writeOutput(path, await wavePicture(quantizer.decode(codes), sampleRate, { title, ...mark }))
}

/** @throws FileError */
export function writeOutput(path: string, bytes: Uint8Array | string): void {
  attempt(path, () => writeFileSync(path, bytes))
}

function attempt(path: string, work: () => void): void {
  try {
    work()
  } catch (cause) {
    throw new FileError({ fact: `${path} cannot be written.`, got: messageOf(cause) }, { cause })
  }
}

export function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}
