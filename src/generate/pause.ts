/** Milliseconds that work without waiting may take before others get a turn. */
const TURN = 10

/** Lets timers, signals and input have a turn now and then; of a time when nothing else waits. */
export class Turns {
  #last = performance.now()

  /** @returns something to wait for when it is time */
  take(): Promise<void> | undefined {
    if (performance.now() - this.#last < TURN) return undefined
    return pause().then(() => {
      this.#last = performance.now()
    })
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') return setImmediate(resolve)
    // browsers make repeated timers wait for 4 ms; messages come at once
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
}
