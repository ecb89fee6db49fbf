/** The threads that help with steps: Workers over one shared memory. */
import { LongwaveError, messageOf } from '../base/errors.js'
import { startThread } from './start.js'
import { type Duty, SIGNAL, SIGNAL_BYTES } from './thread.js'

/** The most threads that may share a step. */
export const MOST_THREADS = 8

export class Team {
  readonly #signal: Int32Array
  #isReady = false
  #isStopped = false
  /** When all of them can step. */
  readonly ready: Promise<void>

  constructor(duties: readonly Duty[], memory: WebAssembly.Memory, signal: number) {
    this.#signal = new Int32Array(memory.buffer, signal, SIGNAL_BYTES / 4)
    this.ready = Promise.all(duties.map(startThread)).then(
      () => {
        this.#isReady = !this.#isStopped
      },
      (error) => {
        throw new LongwaveError(
          {
            fact: 'A thread of the sampler could not be started.',
            got: messageOf(error),
            hint: 'use one thread',
          },
          { cause: error },
        )
      },
    )
    this.ready.catch(() => {}) // whoever waits for it hears of it
  }

  /** Lets them begin a step of a state. */
  begin(state: number): void {
    if (!this.#isReady) {
      throw new LongwaveError({
        fact: 'The threads of the stream are not ready.',
        expected: 'a stream that was primed, and not disposed of',
      })
    }
    const signal = this.#signal
    signal[SIGNAL.state] = state
    Atomics.store(signal, SIGNAL.step, (Atomics.load(signal, SIGNAL.step) + 1) & 0x3fffffff)
    if (Atomics.load(signal, SIGNAL.sleepers) > 0) Atomics.notify(signal, SIGNAL.step)
  }

  /** Ends them. */
  stop(): void {
    this.#isReady = false
    this.#isStopped = true // also those that are still on their way
    Atomics.store(this.#signal, SIGNAL.step, SIGNAL.stop)
    Atomics.notify(this.#signal, SIGNAL.step)
  }
}
