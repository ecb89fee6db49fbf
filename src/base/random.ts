/**
 * Counter-based random numbers: Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random
 * numbers: as easy as 1, 2, 3", section 4). Only 32-bit adds, rotations and xors, so the same seed
 * gives the same integers in every runtime, and any position of the stream is reached at once.
 */

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const
const PARITY = 0x1bd11bda

/** One block of the cipher: writes two uint32 for counter `(c0, c1)` under key `(k0, k1)`. */
export function threefry2x32(
  k0: number,
  k1: number,
  c0: number,
  c1: number,
  out: Uint32Array,
): void {
  const k2 = PARITY ^ k0 ^ k1
  let x0 = (c0 + k0) | 0
  let x1 = (c1 + k1) | 0
  for (let group = 0; group < 5; group++) {
    const first = (group & 1) << 2
    for (let i = 0; i < 4; i++) {
      const r = ROTATIONS[first + i]!
      x0 = (x0 + x1) | 0
      x1 = (x1 << r) | (x1 >>> (32 - r))
      x1 ^= x0
    }
    // key injection after every fourth round, keys rotate through k0, k1, k2
    const s = (group + 1) % 3
    x0 = (x0 + (s === 0 ? k0 : s === 1 ? k1 : k2)) | 0
    x1 = (x1 + (s === 0 ? k1 : s === 1 ? k2 : k0) + group + 1) | 0
  }
  out[0] = x0
  out[1] = x1
}

/** Where a generator stands: all that is needed to continue it bit for bit. */
export interface RandomState {
  seed: number
  stream: number
  /** How many uint32 were drawn. */
  drawn: number
}

/** A seeded stream of random numbers whose state is three integers. */
export class Random {
  #block = new Uint32Array(2)
  #blockIndex = -1
  #drawn: number

  /**
   * @param seed any integer in [0, 2^32)
   * @param stream separates independent uses of one seed (initialisation, data order, dropout, ...)
   */
  constructor(
    readonly seed: number,
    readonly stream = 0,
    drawn = 0,
  ) {
    this.#drawn = drawn
  }

  static from(state: RandomState): Random {
    return new Random(state.seed, state.stream, state.drawn)
  }

  get state(): RandomState {
    return { seed: this.seed, stream: this.stream, drawn: this.#drawn }
  }

  /** The next integer in [0, 2^32). */
  uint32(): number {
    const index = Math.floor(this.#drawn / 2)
    if (index !== this.#blockIndex) {
      const high = Math.floor(index / 0x1_0000_0000)
      threefry2x32(this.seed | 0, this.stream | 0, index | 0, high | 0, this.#block)
      this.#blockIndex = index
    }
    return this.#block[this.#drawn++ & 1]!
  }

  /** The next number in [0, 1), of 53 random bits. */
  uniform(): number {
    const high = this.uint32() >>> 5
    const low = this.uint32() >>> 6
    return (high * 0x4000000 + low) / 0x20000000000000
  }

  /** An integer in [0, bound), without bias. */
  below(bound: number): number {
    return Math.floor(this.uniform() * bound)
  }

  /** The next number of the standard normal distribution (Box-Muller, cosine branch). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    return radius * Math.cos(2 * Math.PI * this.uniform())
  }

  /** A random order of 0..n-1 (Fisher-Yates). */
  permutation(n: number): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i)
    for (let i = n - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const kept = order[i]!
      order[i] = order[j]!
      order[j] = kept
    }
    return order
  }
}
