import { constants } from 'node:buffer'
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { AudioDecodeError, downmix, openAudio, quantizer, Resampler } from '../audio/index.js'
import { InterruptedError } from './errors.js'
import type { CodesMeta } from './manifest.js'
import { ClipCounter, SilenceMeter } from './measure.js'
import { Rescaler } from './rescale.js'

/** Shorter recordings are not used, in seconds. */
export const SHORTEST = 0.1

const READ_BLOCK = 1 << 24

/** The bytes of a file and their sha256 in hex. */
export async function readSource(path: string): Promise<{ bytes: Uint8Array; sha256: string }> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    if (size > constants.MAX_LENGTH) {
      throw new AudioDecodeError({
        fact: 'The file is too large to be read at once.',
        expected: `at most ${constants.MAX_LENGTH} bytes`,
        got: `${size} bytes`,
        hint: 'Split it in parts.',
      })
    }
    const bytes = Buffer.allocUnsafeSlow(size)
    const hash = createHash('sha256')
    let filled = 0
    while (filled < size) {
      const length = Math.min(READ_BLOCK, size - filled)
      const { bytesRead } = await file.read(bytes, filled, length, filled)
      if (bytesRead === 0) break
      hash.update(bytes.subarray(filled, filled + bytesRead))
      filled += bytesRead
    }
    return { bytes: bytes.subarray(0, filled), sha256: hash.digest('hex') }
  } finally {
    await file.close()
  }
}

/** Codes of a recording and what was seen on the way. */
export interface Conversion {
  /** [samples] at the rate asked for. */
  codes: Uint8Array
  format: string
  originalRate: number
  originalChannels: number
  clipped: number
  silent: number
}

/**
 * Decodes, downmixes, resamples and quantizes block by block: beside the bytes and the codes only
 * one block is in memory, and one window where windows are rescaled. Otherwise levels are kept.
 * @param onBlock told the seconds that are done, after each block
 * @throws AudioDecodeError when it cannot be decoded, or is shorter than 0.1 s or than a window
 */
export async function convert(
  bytes: Uint8Array,
  { sampleRate: rate, quantizer: name, rescale }: CodesMeta,
  signal?: AbortSignal,
  onBlock: (seconds: number) => void = () => undefined,
): Promise<Conversion> {
  const stream = openAudio(bytes)
  const clips = new ClipCounter(stream.channels, stream.bitDepth)
  const silence = new SilenceMeter(rate)
  const resampler = stream.sampleRate === rate ? undefined : new Resampler(stream.sampleRate, rate)
  const rescaler = rescale === undefined ? undefined : new Rescaler(rescale)
  const { encode } = quantizer(name)
  const parts: Uint8Array[] = []
  let read = 0
  const keep = (mono: Float32Array) => {
    silence.push(mono)
    parts.push(encode(rescaler === undefined ? mono : rescaler.push(mono)))
  }
  for await (const block of stream.blocks()) {
    clips.push(block)
    const mono = downmix(block)
    read += mono.length
    keep(resampler === undefined ? mono : resampler.push(mono))
    await setImmediate() // lets Ctrl-C in
    throwIfStopped(signal)
    onBlock(read / stream.sampleRate)
  }
  if (resampler !== undefined) keep(resampler.flush())
  const codes = Buffer.concat(parts)
  const shortest = rescale === undefined ? SHORTEST : rescale / rate
  if (codes.length < shortest * rate) {
    throw new AudioDecodeError({
      fact: 'The recording is too short.',
      expected: `${shortest} s or more`,
      got: `${(read / stream.sampleRate).toFixed(3)} s`,
    })
  }
  return {
    codes,
    format: stream.format,
    originalRate: stream.sampleRate,
    originalChannels: stream.channels,
    clipped: clips.clipped,
    silent: silence.share(),
  }
}

/** @throws InterruptedError when the signal is set */
export function throwIfStopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return
  throw new InterruptedError({
    fact: 'Stopped. What is finished is kept.',
    hint: 'Run the same command again to go on.',
  })
}
