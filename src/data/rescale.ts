/**
 * Cuts a signal in windows of one length and maps each from its own minimum and maximum to [-1, 1], as SaShiMi's
 * pipeline does before it quantises (Goel et al. 2022). A window of one value becomes silence. What is left over at the
 * end, shorter than a window, is dropped, as it is there.
 */
export class Rescaler {
  readonly #window: Float32Array
  #filled = 0

  /** @param samples in a window */
  constructor(samples: number) {
    this.#window = new Float32Array(samples)
  }

  /** Takes the next samples [n]; gives all windows that are whole now, one after the other. */
  push(samples: Float32Array): Float32Array {
    const { length } = this.#window
    const whole = Math.floor((this.#filled + samples.length) / length)
    const out = new Float32Array(whole * length)
    let at = 0
    for (let window = 0; window < whole; window++) {
      const end = at + length - this.#filled
      this.#window.set(samples.subarray(at, end), this.#filled)
      out.set(rescaled(this.#window), window * length)
      this.#filled = 0
      at = end
    }
    this.#window.set(samples.subarray(at), this.#filled)
    this.#filled += samples.length - at
    return out
  }
}

function rescaled(window: Float32Array): Float32Array {
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  for (let i = 0; i < window.length; i++) {
    min = Math.min(min, window[i]!)
    max = Math.max(max, window[i]!)
  }
  return window.map((x) => (max > min ? (2 * (x - min)) / (max - min) - 1 : 0))
}
