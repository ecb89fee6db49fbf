import type { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Played {
  samples: number
  /** Times that a reader at real time found nothing, and how long it waited in all. */
  underruns: number
  silentSeconds: number
}

export interface PlayOptions {
  sampleRate: number
  /** Seconds that the reader may be given ahead of real time, against the moods of the machine. */
  ahead: number
  /** Ends between two blocks. */
  signal: AbortSignal
  /** Told after every block. */
  onBlock?: (played: Played) => void
}

/**
 * Hands samples to a reader as raw PCM (signed 16 bits, little-endian) at the pace of the clock, never
 * faster. Ends with the samples, by the signal, or when the reader has gone.
 *
 * @param blocks samples in [-1, 1]
 * @throws what writing fails with, other than a reader that has gone
 */
export async function playTo(
  out: Writable,
  blocks: AsyncIterable<Float32Array>,
  { sampleRate, ahead, signal, onBlock }: PlayOptions,
): Promise<Played> {
  const played: Played = { samples: 0, underruns: 0, silentSeconds: 0 }
  const reader = watch(out, signal)
  /** When the reader hears the first sample; later by every silence. */
  let start: number | undefined
  /** Seconds until the reader has heard all that it was given. */
  const left = () => (start ?? now()) + played.samples / sampleRate - now()
  try {
    for await (const block of blocks) {
      await wait(left() - ahead, reader.signal)
      if (reader.signal.aborted) break
      const silence = -left()
      if (start === undefined) start = now()
      else if (silence > 0) {
        played.underruns++
        played.silentSeconds += silence
        start += silence
      }
      const isFull = !out.write(toPcm(block))
      played.samples += block.length
      onBlock?.(played)
      if (!isFull) continue
      await reader.drained()
      // a reader that is slower than the clock has enough to hear
      start += Math.max(0, ahead - left())
    }
    await reader.settled()
  } finally {
    reader.release()
  }
  if (reader.failure) throw reader.failure
  return played
}

const now = () => performance.now() / 1000

async function wait(seconds: number, signal: AbortSignal): Promise<void> {
  if (seconds <= 0 || signal.aborted) return
  await sleep(seconds * 1000, undefined, { signal }).catch(() => {})
}

/** Notices when the reader of a pipe goes. */
function watch(out: Writable, stop: AbortSignal) {
  const end = new AbortController()
  const watching = {
    /** Set when there is nobody to write for. */
    signal: end.signal,
    failure: undefined as Error | undefined,
    /** Waits for room, or for the end. */
    drained: () =>
      new Promise<void>((resolve) => {
        out.once('drain', resolve)
        end.signal.addEventListener('abort', () => resolve(), { once: true })
        if (!out.writableNeedDrain || end.signal.aborted) resolve()
      }),
    /** Waits until all writes have come through, or failed. */
    settled: () =>
      new Promise<void>((resolve) => {
        if (end.signal.aborted) return resolve()
        out.write(new Uint8Array(), (error) => {
          if (error) onError(error)
          resolve()
        })
      }),
    release() {
      stop.removeEventListener('abort', onEnd)
      out.off('close', onEnd)
      // errors stay heard: a write that is under way may fail later still
    },
  }
  const onEnd = () => end.abort()
  const onError = (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && !end.signal.aborted) watching.failure = error
    end.abort()
  }
  out.on('error', onError).on('close', onEnd)
  stop.addEventListener('abort', onEnd)
  if (stop.aborted) end.abort()
  return watching
}

function toPcm(samples: Float32Array): Uint8Array {
  const bytes = new Uint8Array(2 * samples.length)
  const view = new DataView(bytes.buffer)
  for (const [i, x] of samples.entries()) {
    // as in the WAV files that generate writes
    view.setInt16(2 * i, Math.max(-32768, Math.min(32767, Math.round(32768 * x))), true)
  }
  return bytes
}
