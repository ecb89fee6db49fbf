/** Samples at full scale in a row that count as clipping. */
const RUN = 3
/** Frame for the measure of silence, in seconds. */
const FRAME = 0.02
/** Mean square of -60 dBFS. */
const SILENT = 1e-6

/** Counts clipped samples over blocks: all samples in runs of 3 or more at full scale. */
export class ClipCounter {
  readonly #full: number
  readonly #runs: number[]
  clipped = 0

  /** @param bitDepth of the source; the largest sample of 8 bits is 127/128 */
  constructor(channels: number, bitDepth: number | undefined) {
    this.#full = bitDepth !== undefined && bitDepth <= 8 ? 127 / 128 : 32767 / 32768
    this.#runs = new Array<number>(channels).fill(0)
  }

  /** Takes a block of [channels][n] samples of the source. */
  push(block: readonly Float32Array[]): void {
    block.forEach((channel, c) => {
      let run = this.#runs[c]!
      for (let i = 0; i < channel.length; i++) {
        if (Math.abs(channel[i]!) >= this.#full) {
          run++
          if (run === RUN) this.clipped += RUN
          else if (run > RUN) this.clipped++
        } else {
          run = 0
        }
      }
      this.#runs[c] = run
    })
  }
}

/** Measures which share of 20 ms frames has a mean level under -60 dBFS. */
export class SilenceMeter {
  readonly #size: number
  #sum = 0
  #filled = 0
  #frames = 0
  #silent = 0

  /** @param rate in Hz */
  constructor(rate: number) {
    this.#size = Math.max(1, Math.round(rate * FRAME))
  }

  /** Takes the next mono samples [n]. */
  push(samples: Float32Array): void {
    for (let i = 0; i < samples.length; i++) {
      this.#sum += samples[i]! * samples[i]!
      if (++this.#filled === this.#size) this.#close()
    }
  }

  /** The share in [0, 1]; a started frame counts. */
  share(): number {
    if (this.#filled > 0) this.#close()
    return this.#frames === 0 ? 0 : this.#silent / this.#frames
  }

  #close(): void {
    if (this.#sum / this.#filled < SILENT) this.#silent++
    this.#frames++
    this.#sum = 0
    this.#filled = 0
  }
}
