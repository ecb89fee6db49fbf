/** What a thread that helps with steps does. */

/** What a thread is told to begin with. */
export interface Duty {
  /** With threads; instantiated over `memory`. */
  kernels: WebAssembly.Module
  memory: WebAssembly.Memory
  /** Address of the thread's program. */
  program: number
  /** Address of the signal, and what lies there. */
  signal: number
  words: typeof SIGNAL
}

/** The signal: words, each in a line of the caches of its own, and what they say. */
export const SIGNAL = {
  /** Counts steps. */
  step: 0,
  /** The address of the state that is stepped. */
  state: 16,
  /** How many threads sleep. */
  sleepers: 32,
  /** The count of steps that ends a thread. */
  stop: -1,
} as const
export const SIGNAL_BYTES = 192

/**
 * Does a program whenever the signal changes, until that says stop. It is sent to Workers as text (in
 * bundles there is no file of it), so that it knows nothing of what is around it here.
 *
 * @param ready told when the thread will notice a step
 */
export function work(duty: Duty, ready: () => void): void {
  const LOOKS = 100_000 // before it goes to sleep: about a millisecond
  const { program, memory, words } = duty
  const { exports } = new WebAssembly.Instance(duty.kernels, { env: { memory } })
  const run = exports.run as (program: number, state: number) => number
  const signal = new Int32Array(memory.buffer, duty.signal)
  let step = Atomics.load(signal, words.step)
  ready()
  while (step !== words.stop) {
    let now = step
    for (let looks = 0; looks < LOOKS && now === step; looks++) {
      now = Atomics.load(signal, words.step)
    }
    if (now === step) {
      Atomics.add(signal, words.sleepers, 1)
      Atomics.wait(signal, words.step, step)
      Atomics.sub(signal, words.sleepers, 1)
      continue
    }
    step = now
    if (step !== words.stop) run(program, signal[words.state]! >>> 0)
  }
}
