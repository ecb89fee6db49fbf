/** What a thread that helps with steps does. */

/** What a thread is told to begin with. */
export interface Duty {
  /** With threads; instantiated over `memory`. */
  kernels: WebAssembly.Module
  memory: WebAssembly.Memory
  /** Address of the thread's program. */
  program: number
  /** Address of the signal. */
  signal: number
}

/** Words of the signal, each in a line of the caches of its own: a count of steps; */
export const STEP = 0
/** the address of the state that is stepped; */
export const STATE = 16
/** how many threads sleep. */
export const SLEEPERS = 32
export const SIGNAL_BYTES = 192
/** The count of steps that ends a thread. */
export const STOP = -1

/**
 * Does a program whenever the signal changes, until that says stop. It is sent to Workers as text (in
 * bundles there is no file of it), so that it knows nothing of what is around it here.
 *
 * @param ready told when the thread will notice a step
 */
export function work({ kernels, memory, program, signal }: Duty, ready: () => void): void {
  const [STEP, STATE, SLEEPERS, STOP] = [0, 16, 32, -1]
  const LOOKS = 100_000 // before it goes to sleep: about a millisecond
  const { exports } = new WebAssembly.Instance(kernels, { env: { memory } })
  const run = exports.run as (program: number, state: number) => number
  const words = new Int32Array(memory.buffer, signal)
  let step = Atomics.load(words, STEP!)
  ready()
  while (step !== STOP) {
    let now = step
    for (let looks = 0; looks < LOOKS && now === step; looks++) now = Atomics.load(words, STEP!)
    if (now === step) {
      Atomics.add(words, SLEEPERS!, 1)
      Atomics.wait(words, STEP!, step)
      Atomics.sub(words, SLEEPERS!, 1)
      continue
    }
    step = now
    if (step !== STOP) run(program, words[STATE!]! >>> 0)
  }
}
