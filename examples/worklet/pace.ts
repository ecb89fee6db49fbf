/** Seconds of buffer that cover the moods of a machine. */
const MARGIN = 0.4
/** Seconds of buffer that an endless take of a model slower than real time begins with, each time. */
const REST = 5
/** Milliseconds of work before the speed is known. */
const TRIAL = 250
/** Share by which a model may slow down without a gap. */
const SLACK = 1.3

/** How fast a model is, and when playing may begin so that it never has to wait. */
export class Pace {
  readonly #rate: number
  readonly #total: number
  #samples = 0
  #ms = 0

  /**
   * @param rate samples played in a second
   * @param total samples of the take; Infinity for no end
   */
  constructor(rate: number, total: number) {
    this.#rate = rate
    this.#total = total
  }

  /** Takes the time that some samples took. */
  add(samples: number, ms: number): void {
    this.#samples += samples
    this.#ms += ms
    // what is longer ago than about two seconds counts less and less
    if (this.#ms < 2000) return
    this.#samples *= 0.9
    this.#ms *= 0.9
  }

  /** Samples made in a second of work; 0 when there is none yet. */
  get speed(): number {
    return this.#ms > 0 ? (1000 * this.#samples) / this.#ms : 0
  }

  /** Whether the model keeps up, also when it slows down a little. */
  get isFast(): boolean {
    return this.#ms >= TRIAL && this.speed > SLACK * this.#rate
  }

  /**
   * Making ends in `left / speed`, playing in `(buffered + left) / rate` seconds: none has to wait when
   * the first is the shorter one, since both go on evenly.
   *
   * @param made samples of the take so far
   * @param buffered samples that are not played yet
   * @returns 0 when playing may begin
   */
  secondsUntilStart(made: number, buffered: number): number {
    const [rate, speed] = [this.#rate, this.speed]
    if (this.#ms < TRIAL) return Number.POSITIVE_INFINITY
    const left = this.#total - made
    const enough = Number.isFinite(left)
      ? Math.max(MARGIN * rate, ((left * SLACK) / speed) * rate - left + MARGIN * rate)
      : (this.isFast ? MARGIN : REST) * rate
    // meanwhile the buffer grows, and less is left to be made
    return Math.max(0, enough - buffered) / Math.max(speed, SLACK * rate)
  }
}
