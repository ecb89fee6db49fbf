/**
 * A thread that helps with steps: the script of a Worker, in Node and in browsers. It does its program
 * whenever the signal changes, until that says stop.
 */

/** What a thread is told to begin with. */
export interface Duty {
  /** With threads; instantiated over `memory`. */
  kernels: WebAssembly.Module
  memory: WebAssembly.Memory
  /** Address of the thread's program. */
  program: number
  /** Address of the signal (see `Signal`). */
  signal: number
}

/** Words of the signal, each in a line of the caches of its own. */
export enum Signal {
  /** Counts steps. */
  Step = 0,
  /** Address of the state that is stepped. */
  State = 16,
  /** How many threads sleep. */
  Sleepers = 32,
}
export const SIGNAL_BYTES = 192
/** A count of steps that ends the thread. */
export const STOP = -1

/** Looks at the signal before a thread goes to sleep: about a millisecond. */
const LOOKS = 100_000

/** Works until stopped. */
export function work({ kernels, memory, program, signal }: Duty, tellReady: () => void): void {
  const { exports } = new WebAssembly.Instance(kernels, { env: { memory } })
  const run = exports.run as (program: number, state: number) => number
  const words = new Int32Array(memory.buffer, signal, SIGNAL_BYTES / 4)
  let step = Atomics.load(words, Signal.Step)
  tellReady()
  while (true) {
    let now = step
    for (let looks = 0; looks < LOOKS && now === step; looks++) {
      now = Atomics.load(words, Signal.Step)
    }
    if (now === step) {
      Atomics.add(words, Signal.Sleepers, 1)
      Atomics.wait(words, Signal.Step, step)
      Atomics.sub(words, Signal.Sleepers, 1)
      continue
    }
    if (now === STOP) return
    step = now
    run(program, words[Signal.State]! >>> 0)
  }
}
