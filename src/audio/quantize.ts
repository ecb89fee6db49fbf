import { UsageError } from '../base/errors.js'

/** Code of silence in both quantizers: it decodes to exactly 0. */
export const SILENCE = 128

export type QuantizerName = 'mu-law' | 'linear'

export const QUANTIZER_NAMES: readonly QuantizerName[] = ['mu-law', 'linear']

/** Maps samples in [-1, 1] to 256 codes and back. Mid-tread: silence is code 128 exactly. */
export interface Quantizer {
  readonly name: QuantizerName
  readonly levels: 256
  /**
   * Samples [n] to codes [n]. Samples outside [-1, 1] take the nearest end. Samples must be
   * numbers: `decodeAudio` and `prepare` reject NaN before it gets here.
   */
  encode(samples: Float32Array): Uint8Array
  /** Codes [n] to samples [n] in [-1, 1]. */
  decode(codes: Uint8Array): Float32Array
  /** [256] the sample in [-1, 1] of each code. */
  readonly table: Float32Array
}

const MU = 255
const LOG_1_MU = Math.log(1 + MU)

/** Compands a sample in [-1, 1] to [-1, 1] (ITU-T G.711, continuous form). */
function compress(x: number): number {
  const y = Math.log(1 + MU * Math.abs(x)) / LOG_1_MU
  return x < 0 ? -y : y
}

/** Inverse of `compress`. */
function expand(y: number): number {
  const x = ((1 + MU) ** Math.abs(y) - 1) / MU
  return y < 0 ? -x : x
}

function build(
  name: QuantizerName,
  forward: (x: number) => number,
  inverse: (y: number) => number,
): Quantizer {
  const table = Float32Array.from({ length: 256 }, (_, code) => inverse((code - SILENCE) / SILENCE))
  return {
    name,
    levels: 256,
    table,
    encode(samples) {
      const codes = new Uint8Array(samples.length)
      for (let i = 0; i < samples.length; i++) {
        const code = SILENCE + Math.round(SILENCE * forward(samples[i]!))
        codes[i] = Math.max(0, Math.min(255, code))
      }
      return codes
    },
    decode(codes) {
      const samples = new Float32Array(codes.length)
      for (let i = 0; i < codes.length; i++) samples[i] = table[codes[i]!]!
      return samples
    },
  }
}

const QUANTIZERS: Readonly<Record<QuantizerName, Quantizer>> = {
  'mu-law': build('mu-law', compress, expand),
  linear: build(
    'linear',
    (x) => x,
    (y) => y,
  ),
}

/**
 * The quantizer of that name.
 * @throws UsageError when there is none.
 */
export function quantizer(name: string): Quantizer {
  if (!Object.hasOwn(QUANTIZERS, name)) {
    throw new UsageError({
      fact: `There is no quantizer named "${name}".`,
      expected: QUANTIZER_NAMES.join(' or '),
      got: name,
    })
  }
  return QUANTIZERS[name as QuantizerName]
}
