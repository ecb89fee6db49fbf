/** The AudioWorklet: plays what the Worker makes, and counts what comes too late. */
import { Reader } from './channel.js'
import type { Played } from './messages.js'

declare const registerProcessor: (name: string, processor: unknown) => void
declare const AudioWorkletProcessor: new () => { readonly port: MessagePort }

/** How loud the loudest peaks may be: three times those of the recording. */
const CEILING = 0.35
/** What a peak counts of, one sample later: a third after 0.1 s at 16 kHz. */
const FADING = 0.9993

/** Render quanta (128 samples) between reports: 48 ms at 16 kHz. */
const REPORT = 6

class Player extends AudioWorkletProcessor {
  #reader: Reader | undefined
  readonly #played: Played = {
    ...{ state: 'waiting', samples: 0, buffered: 0 },
    ...{ underruns: 0, silence: 0 },
  }
  #quanta = 0
  #peak = 0

  constructor() {
    super()
    // the page hands over the way to the Worker
    this.port.onmessage = ({ ports: [worker] }) => {
      this.#reader = new Reader(worker!)
    }
  }

  /** The first output is what the model made; the second spares ears its bursts. */
  process(_: unknown, [[output], [spared]]: [[Float32Array], [Float32Array]]): boolean {
    const reader = this.#reader
    if (!reader) return true
    const played = this.#played
    if (reader.isPlaying) {
      const missing = output.length - reader.take(output)
      played.state = missing > 0 && reader.hasEnded ? 'ended' : 'playing'
      if (missing > 0 && !reader.hasEnded) {
        played.underruns++
        played.silence += missing
        played.state = 'waiting'
        reader.starve()
      }
    } else if (played.samples > 0 && played.state === 'waiting') {
      played.silence += output.length
    }
    this.#spare(output, spared)
    played.samples = reader.read
    played.buffered = reader.buffered
    const isOver = played.state === 'ended' || (reader.hasEnded && !reader.isPlaying)
    if (isOver) played.state = 'ended'
    if (isOver || this.#quanta++ % REPORT === 0) this.port.postMessage(played)
    return !isOver
  }

  #spare(from: Float32Array, to: Float32Array): void {
    for (let i = 0; i < from.length; i++) {
      this.#peak = Math.max(Math.abs(from[i]!), this.#peak * FADING)
      to[i] = from[i]! * Math.min(1, CEILING / this.#peak || 1)
    }
  }
}

registerProcessor('longwave-player', Player)
