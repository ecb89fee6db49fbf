import { UsageError } from '../base/errors.js'

/**
 * The Fourier transform of `size` real numbers, with its tables ready: writes the bins 0 to size / 2
 * into `re` and `im` [size / 2 + 1]. Bin k is the sum of input[n] exp(-2 pi i k n / size).
 */
export type RealFft = (input: Float64Array, re: Float64Array, im: Float64Array) => void

/**
 * Plans a transform. Even and odd samples travel as one complex signal of half the size, through a
 * radix-2 transform, and are taken apart at the end.
 *
 * @throws UsageError when `size` is not a power of two from 2 on
 */
export function realFft(size: number): RealFft {
  if (!Number.isSafeInteger(size) || size < 2 || 2 ** Math.round(Math.log2(size)) !== size) {
    const fact = 'a Fourier transform needs a power of two'
    throw new UsageError({ fact, expected: '2, 4, 8, ...', got: String(size) })
  }
  const half = size / 2
  const cos = Float64Array.from({ length: half + 1 }, (_, k) => Math.cos((2 * Math.PI * k) / size))
  const sin = Float64Array.from({ length: half + 1 }, (_, k) => Math.sin((2 * Math.PI * k) / size))
  const order = bitReversal(half)
  const a = new Float64Array(half)
  const b = new Float64Array(half)

  return (input, re, im) => {
    for (let n = 0; n < half; n++) {
      const to = order[n]!
      a[to] = input[2 * n]!
      b[to] = input[2 * n + 1]!
    }
    for (let span = 1; span < half; span *= 2) {
      const stride = half / span // of the twiddles, which are those of `size`
      for (let block = 0; block < half; block += 2 * span) {
        for (let k = 0; k < span; k++) {
          const [c, s] = [cos[k * stride]!, sin[k * stride]!]
          const [i, j] = [block + k, block + k + span]
          const x = a[j]! * c + b[j]! * s
          const y = b[j]! * c - a[j]! * s
          a[j] = a[i]! - x
          b[j] = b[i]! - y
          a[i]! += x
          b[i]! += y
        }
      }
    }
    for (let k = 0; k <= half; k++) {
      // with Z the transform of even + i odd: even = (Z[k] + conj Z[-k]) / 2, odd likewise
      const [i, j] = [k === half ? 0 : k, k === 0 ? 0 : half - k]
      const evenRe = (a[i]! + a[j]!) / 2
      const evenIm = (b[i]! - b[j]!) / 2
      const oddRe = (b[i]! + b[j]!) / 2
      const oddIm = (a[j]! - a[i]!) / 2
      re[k] = evenRe + oddRe * cos[k]! + oddIm * sin[k]!
      im[k] = evenIm + oddIm * cos[k]! - oddRe * sin[k]!
    }
  }
}

function bitReversal(n: number): Uint32Array {
  const order = new Uint32Array(n)
  for (let i = 1; i < n; i++) order[i] = (order[i >> 1]! >> 1) | (i & 1 ? n >> 1 : 0)
  return order
}

export interface SpectrogramOptions {
  /** Samples in a window, a power of two. */
  fft: number
  /** Samples from one frame to the next. */
  hop: number
}

export interface Spectrogram {
  frames: number
  /** fft / 2 + 1; bin k is at k * sampleRate / fft. */
  bins: number
  /**
   * [frames, bins] power in decibels: a sine of amplitude 1 at the centre of a bin is at 0, and
   * silence at -120.
   */
  decibels: Float32Array
}

const SILENT = 1e-12

/**
 * Log-power spectrogram with Hann windows. Frame t is centred on sample t * hop, with silence before
 * the first and after the last sample; there are ceil(n / hop) frames.
 *
 * @param samples [n] in [-1, 1]
 * @throws UsageError when `fft` is not a power of two from 4 on, or `hop` is not a count
 */
export function spectrogram(samples: Float32Array, { fft, hop }: SpectrogramOptions): Spectrogram {
  if (!Number.isSafeInteger(hop) || hop < 1) {
    throw new UsageError({ fact: 'the hop of a spectrogram is not a count', got: String(hop) })
  }
  if (fft < 4) throw new UsageError({ fact: 'the window is too short for a spectrogram' })
  const transform = realFft(fft)
  // the sum of a Hann window is fft / 2, and half of a sine's amplitude is in the negative bins
  const window = Float64Array.from(
    { length: fft },
    (_, n) => (1 - Math.cos((2 * Math.PI * n) / fft)) * (2 / fft),
  )
  const bins = fft / 2 + 1
  const frames = Math.ceil(samples.length / hop)
  const decibels = new Float32Array(frames * bins)
  const input = new Float64Array(fft)
  const re = new Float64Array(bins)
  const im = new Float64Array(bins)
  for (let t = 0; t < frames; t++) {
    const start = t * hop - fft / 2
    const [from, to] = [Math.max(0, -start), Math.min(fft, samples.length - start)]
    input.fill(0)
    for (let n = from; n < to; n++) input[n] = samples[start + n]! * window[n]!
    transform(input, re, im)
    for (let k = 0; k < bins; k++) {
      const power = re[k]! * re[k]! + im[k]! * im[k]!
      decibels[t * bins + k] = 10 * Math.log10(power + SILENT)
    }
  }
  return { frames, bins, decibels }
}
