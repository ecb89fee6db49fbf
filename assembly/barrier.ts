/** Where the threads of a step wait for each other. */
import { BARRIER_BYTES } from '../src/stream/opcodes'

/** Looks at a counter before a thread goes to sleep: some 20 microseconds, longer than a part of a step. */
const LOOKS: u32 = 10_000
/** Nanoseconds of sleep after which a thread is given up. */
const PATIENCE: i64 = 10_000_000_000
/** Behind a thread's counter: how many sleep until it comes. */
const SLEEPERS: usize = 4

/**
 * Returns when every thread has come here. What one wrote before, the others see behind.
 *
 * @param counters one of each thread, each in its own line of the caches: how often it has come
 */
export function barrier(counters: usize, thread: u32, threads: u32): void {
  if (ASC_FEATURE_THREADS) {
    const mine = counters + <usize>thread * BARRIER_BYTES
    const times = load<u32>(mine) + 1
    atomic.store<u32>(mine, times)
    if (atomic.load<u32>(mine, SLEEPERS) > 0) atomic.notify(mine)
    for (let other: u32 = 0; other < threads; other++) {
      waitFor(counters + <usize>other * BARRIER_BYTES, times)
    }
  } else {
    unreachable()
  }
}

function waitFor(counter: usize, times: u32): void {
  let looks: u32 = 0
  while (true) {
    const now = atomic.load<u32>(counter)
    if (<i32>(now - times) >= 0) return
    if (++looks < LOOKS) continue
    // does not sleep if the counter changes before
    atomic.add<u32>(counter, 1, SLEEPERS)
    const answer = atomic.wait<u32>(counter, now, PATIENCE)
    atomic.sub<u32>(counter, 1, SLEEPERS)
    if (answer === AtomicWaitResult.TIMED_OUT) unreachable()
  }
}
