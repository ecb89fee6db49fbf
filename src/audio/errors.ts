import { LongwaveError } from '../base/errors.js'

/** Bytes that were offered as audio cannot be read as audio. Exit 4. */
export class AudioDecodeError extends LongwaveError {
  override name = 'AudioDecodeError'
  override readonly exitCode = 4
}

/** The failure of a file that ends before what its header promises. */
export function truncated(what: string, expected: string, got: string): AudioDecodeError {
  return new AudioDecodeError({
    fact: `The ${what} is truncated: it ends before what its header claims.`,
    expected,
    got,
    hint: 'Copy or download the file again.',
  })
}

/** The failure of a file whose content contradicts itself. */
export function damaged(what: string, got: string): AudioDecodeError {
  return new AudioDecodeError({
    fact: `The ${what} is damaged.`,
    got,
    hint: 'Copy the file again or convert it to WAV or FLAC.',
  })
}
