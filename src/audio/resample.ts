import { UsageError } from '../base/errors.js'
import { dot } from './dot.js'

/** Half width of the filter in zero crossings of the sinc at the lower of the two rates. */
const HALF_WIDTH = 64
/** Kaiser shape: about 100 dB of stop band (Kaiser and Schafer 1980). */
const BETA = 10.06
/** Cut-off as a share of the lower Nyquist rate: passes to 0.9, stops from 1.0. */
const CUTOFF = 0.95
/** Phases of the interpolated bank, per input sample, where the ratio has no small exact bank. */
const FINE_PHASES = 1024
/** Largest exact bank, in coefficients (8 bytes each). */
const MAX_BANK = 1 << 20

/** Modified Bessel function of the first kind, order 0. */
function bessel0(x: number): number {
  let sum = 1
  let term = 1
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2
    sum += term
  }
  return sum
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}

interface Bank {
  /** [phases + 1][taps]: row p is the filter for an output p / phases after an input. */
  coefficients: Float64Array
  phases: number
  taps: number
}

function checkRates(from: number, to: number): void {
  if (from > 0 && to > 0 && Number.isFinite(from) && Number.isFinite(to)) return
  throw new UsageError({
    fact: 'A sample rate must be a positive number.',
    expected: 'two rates in Hz',
    got: `${from} and ${to}`,
  })
}

/** The last bank: files of a folder mostly have one rate. */
let lastBank: { phases: number; scale: number; bank: Bank } | undefined

function bankOf(phases: number, scale: number): Bank {
  if (lastBank?.phases !== phases || lastBank.scale !== scale) {
    lastBank = { phases, scale, bank: buildBank(phases, scale) }
  }
  return lastBank.bank
}

function buildBank(phases: number, scale: number): Bank {
  const half = Math.ceil(HALF_WIDTH / scale)
  const taps = 2 * half
  const coefficients = new Float64Array((phases + 1) * taps)
  const norm = bessel0(BETA)
  for (let p = 0; p <= phases; p++) {
    const row = coefficients.subarray(p * taps, (p + 1) * taps)
    let sum = 0
    for (let k = 0; k < taps; k++) {
      // tap k meets the input at (k - half + 1) from the one at or before the output
      const t = (k - half + 1 - p / phases) * scale
      const edge = 1 - (t / HALF_WIDTH) ** 2
      const window = edge <= 0 ? 0 : bessel0(BETA * Math.sqrt(edge)) / norm
      const angle = Math.PI * CUTOFF * t
      const sinc = angle === 0 ? 1 : Math.sin(angle) / angle
      row[k] = window * sinc
      sum += row[k]!
    }
    // unit gain at 0 Hz for every phase, so that a constant stays constant
    for (let k = 0; k < taps; k++) row[k]! /= sum
  }
  return { coefficients, phases, taps }
}

/**
 * A streaming resampler: polyphase windowed sinc, linear phase, no delay. Any split of the input
 * into blocks gives the same bits. After `flush` the total output length is
 * round(input length * to / from); the signal is taken as 0 outside the input.
 */
export class Resampler {
  readonly #from: number
  readonly #to: number
  readonly #bank: Bank
  /** Set for an exact bank: output n lies at input n * step / phases. */
  readonly #step: number
  readonly #half: number
  #held: Float64Array
  /** Input position of `held[0]`; negative while the zeros before the input are held. */
  #heldStart: number
  #heldLength: number
  #received = 0
  #produced = 0

  /**
   * @param from rate of the input in Hz, any positive number
   * @param to rate of the output in Hz, any positive number
   * @throws UsageError when a rate is not a positive finite number
   */
  constructor(from: number, to: number) {
    checkRates(from, to)
    this.#from = from
    this.#to = to
    const scale = Math.min(1, to / from)
    const taps = 2 * Math.ceil(HALF_WIDTH / scale)
    const divisor = Number.isInteger(from) && Number.isInteger(to) ? gcd(from, to) : 0
    const exact = divisor > 0 && (to / divisor) * taps <= MAX_BANK
    this.#step = exact ? from / divisor : 0
    // a lower cut-off varies more slowly between phases, so fewer of them do
    const phases = exact ? to / divisor : Math.max(16, Math.ceil(FINE_PHASES * scale))
    this.#bank = bankOf(phases, scale)
    this.#half = taps / 2
    this.#held = new Float64Array(taps * 2)
    this.#heldStart = -this.#half
    this.#heldLength = this.#half
  }

  /** Takes the next input samples [n] and returns the outputs that they complete. */
  push(block: Float32Array): Float32Array {
    this.#append(block)
    this.#received += block.length
    // output at position c needs the inputs to c + half
    const last = this.#received - 1 - this.#half
    const ready = last < 0 ? 0 : Math.floor((last * this.#to) / this.#from)
    return this.#produce(ready)
  }

  /** The rest of the output. The resampler takes no input afterwards. */
  flush(): Float32Array {
    this.#append(new Float32Array(this.#half + 1))
    return this.#produce(Math.round((this.#received * this.#to) / this.#from))
  }

  #append(block: Float32Array): void {
    const needed = this.#heldLength + block.length
    if (needed > this.#held.length) {
      const grown = new Float64Array(Math.max(needed, this.#held.length * 2))
      grown.set(this.#held.subarray(0, this.#heldLength))
      this.#held = grown
    }
    this.#held.set(block, this.#heldLength)
    this.#heldLength = needed
  }

  /** Makes the outputs up to (not with) index `end` and forgets inputs that no later one needs. */
  #produce(end: number): Float32Array {
    const start = this.#produced
    if (end <= start) return new Float32Array(0)
    const out = new Float32Array(end - start)
    const { coefficients, phases, taps } = this.#bank
    const held = this.#held
    // first tap of an output at input position c is c - half + 1
    const shift = 1 - this.#half - this.#heldStart
    for (let n = start; n < end; n++) {
      if (this.#step > 0) {
        const at = n * this.#step
        const position = Math.floor(at / phases)
        out[n - start] = dot(
          coefficients,
          (at - position * phases) * taps,
          held,
          position + shift,
          taps,
        )
      } else {
        const at = (n * this.#from) / this.#to
        const position = Math.floor(at)
        const phase = (at - position) * phases
        const row = Math.floor(phase)
        const low = dot(coefficients, row * taps, held, position + shift, taps)
        const high = dot(coefficients, (row + 1) * taps, held, position + shift, taps)
        out[n - start] = low + (phase - row) * (high - low)
      }
    }
    this.#produced = end
    const next = Math.floor((end * this.#from) / this.#to) - this.#half
    const drop = Math.min(Math.max(0, next - this.#heldStart), this.#heldLength)
    held.copyWithin(0, drop, this.#heldLength)
    this.#heldStart += drop
    this.#heldLength -= drop
    return out
  }
}

/**
 * Resamples [n] to [round(n * to / from)]. Equal rates return a copy.
 * @throws UsageError when a rate is not a positive finite number
 */
export function resample(samples: Float32Array, from: number, to: number): Float32Array {
  checkRates(from, to)
  if (from === to) return samples.slice()
  const resampler = new Resampler(from, to)
  const head = resampler.push(samples)
  const tail = resampler.flush()
  const out = new Float32Array(head.length + tail.length)
  out.set(head)
  out.set(tail, head.length)
  return out
}
