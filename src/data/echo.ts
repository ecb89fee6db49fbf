/** Signals that only a long memory can predict. */
import { Random } from '../base/random.js'

export interface EchoOptions {
  samples: number
  /** Samples after which the signal comes again. */
  delay: number
  seed: number
  /** What is drawn from, each as likely as the others. Default: four levels of 8-bit mu-law. */
  codes?: readonly number[]
}

export const ECHO_CODES: readonly number[] = [32, 96, 160, 224]

/**
 * Random codes whose first `delay` are a motif that comes again and again: x[t] = x[t - delay]. Any
 * `delay` codes in a row are independent and even, so a model that sees fewer than `delay` samples
 * cannot expect to pay less than log2(codes) bits for any of them, however large or well trained it
 * is; one that sees `delay` of them can pay nothing from the second time on.
 *
 * @returns [samples]
 */
export function echo({ samples, delay, seed, codes = ECHO_CODES }: EchoOptions): Uint8Array {
  const random = new Random(seed, 0xec40)
  const x = new Uint8Array(samples)
  for (let t = 0; t < samples; t++)
    x[t] = t < delay ? codes[random.below(codes.length)]! : x[t - delay]!
  return x
}
