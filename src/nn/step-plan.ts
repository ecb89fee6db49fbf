/**
 * A model as a list of instructions for one sample: plain data that names vectors, ring buffers,
 * caches and weights. What executes it (src/stream) knows no model; what writes it knows no memory.
 */

/** Numbers of the current sample. */
export interface VectorSpec {
  readonly name: string
  readonly size: number
  readonly type: 'f32' | 'i32'
  /** The vector is a part of another, from `at` on. */
  readonly part?: { readonly of: string; readonly at: number }
}

/** The newest columns of a vector. */
export interface RingSpec {
  readonly name: string
  readonly channels: number
  /** Columns kept. */
  readonly length: number
}

/**
 * What attention remembers: a row per sample. Samples fall into phases, sample t into t mod `phases`;
 * each phase keeps its newest `window` rows of `groups` parts of `width` numbers.
 */
export interface CacheSpec {
  readonly name: string
  readonly phases: number
  readonly window: number
  readonly groups: number
  readonly width: number
}

/** Weights, the last axis contiguous. */
export interface Weight {
  readonly shape: readonly number[]
  readonly data: Float32Array
}

/**
 * What instructions do. Names of weights follow in brackets.
 *
 * - `embed` code -> y [n]: a row of [table: codes, n]
 * - `affine` x -> y: W x + b [W: outputs, inputs; b: outputs]; `relu`, `add` (to what is there) if 1
 * - `convolve` ring -> y: y = b + sum over taps of W_k x[t - k dilation] [W: outputs, taps, channels; b]
 * - `push` x -> ring
 * - `lookup` ring of one number -> y [n]: the sum over taps of rows of [tables: taps, rows, n], that of
 *   tap k at x[t - k] `scale` + `offset`, rounded
 * - `recur` x [3 n], u [3 n] -> h [n]: one step of a gated recurrent unit, from what its input and its
 *   last state give for r, z and n (src/graph/ops/gru.ts); h is the state less [first: n]
 * - `normalise` x -> y: zero mean, unit variance [scale; offset]; `epsilon`
 * - `gate` x [2 n] -> y [n]: tanh(first half) sigmoid(second half)
 * - `glu` x [2 n] -> y [n]: first half sigmoid(second half); `gelu` x -> y
 * - `oscillate` u [n], state -> y [n], and the state is moved on: `modes` complex states of every
 *   channel, s = a s + u, y = Re(sum of c s) + d u [modes: n, modes, 4: re a, im a, re c, im c; d: n]
 * - `add` a, b -> y; `copy` x -> y; `relu` x -> y
 * - `remember` x [groups width] -> cache
 * - `attend` q [groups heads, width], cache of keys, cache of values -> y [groups heads, width]
 *   [bias: groups heads, window: added to scores by distance in tokens]; `heads` of each group
 * - `curves` forecast (mean, 1 / scale, ...), numbers [3 curves] -> y, added: log-probabilities of
 *   levels under logistic curves [widths: curves; edges: levels - 1]
 */
export type Kernel =
  | 'embed'
  | 'affine'
  | 'convolve'
  | 'push'
  | 'lookup'
  | 'recur'
  | 'normalise'
  | 'gate'
  | 'glu'
  | 'gelu'
  | 'oscillate'
  | 'add'
  | 'copy'
  | 'relu'
  | 'remember'
  | 'attend'
  | 'curves'

/** Samples t, counted from 0, with t mod period = phase. */
export interface Every {
  readonly period: number
  readonly phase: number
}

export interface Instruction {
  readonly kernel: Kernel
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly weights: readonly string[]
  readonly numbers: Readonly<Record<string, number>>
  /** Runs at these samples alone; at others its output stays as it is. */
  readonly every?: Every
}

export interface StepPlan {
  /** Vectors that the host writes before every sample. */
  readonly inputs: readonly string[]
  /** The vector that the host reads after every sample. */
  readonly output: string
  readonly vectors: readonly VectorSpec[]
  readonly rings: readonly RingSpec[]
  readonly caches: readonly CacheSpec[]
  readonly weights: Readonly<Record<string, Weight>>
  readonly instructions: readonly Instruction[]
}

/** Multiply-accumulate operations of one step with full windows, on average over the samples. */
export function macsPerStep(plan: StepPlan): number {
  const sizes = new Map(plan.vectors.map(({ name, size }) => [name, size]))
  const caches = new Map(plan.caches.map((cache) => [cache.name, cache]))
  let macs = 0
  for (const { kernel, inputs, outputs, weights, every } of plan.instructions) {
    const share = 1 / (every?.period ?? 1)
    if (kernel === 'affine' || kernel === 'convolve') {
      macs += plan.weights[weights[0]!]!.data.length * share
    } else if (kernel === 'oscillate') {
      // a times s, and the real part of c times s
      macs += 6 * (plan.weights[weights[0]!]!.data.length / 4) * share
    } else if (kernel === 'attend') {
      // scores over the queries, sums over the results
      const numbers = sizes.get(inputs[0]!)! + sizes.get(outputs[0]!)!
      macs += numbers * caches.get(inputs[1]!)!.window * share
    }
  }
  return macs
}

/** Writes a plan line by line. Methods return the name of what they make. */
export class PlanBuilder {
  readonly #vectors = new Map<string, VectorSpec>()
  readonly #rings: RingSpec[] = []
  readonly #caches: CacheSpec[] = []
  readonly #weights: Record<string, Weight> = {}
  readonly #instructions: Instruction[] = []
  readonly #inputs: string[] = []
  #every: Every | undefined

  /** A vector that the host writes. */
  input(name: string, size: number, type: 'f32' | 'i32' = 'f32'): string {
    this.#inputs.push(name)
    this.#vectors.set(name, { name, size, type })
    return name
  }

  vector(name: string, size: number, part?: { of: string; at: number }): string {
    this.#vectors.set(name, { name, size, type: 'f32', ...(part ? { part } : {}) })
    return name
  }

  sizeOf(vector: string): number {
    return this.#vectors.get(vector)!.size
  }

  weight(name: string, shape: readonly number[], data: Float32Array): string {
    this.#weights[name] = { shape, data }
    return name
  }

  /** What an `oscillate` keeps of `channels`, zeros at first: four modes side by side, real and imaginary. */
  state(name: string, channels: number, modes: number): string {
    return this.vector(name, channels * Math.ceil(modes / 4) * 8)
  }

  /** Keeps the newest `length` columns of `x`, the current one among them. */
  ring(x: string, length: number): string {
    const name = `${x}.ring`
    this.#rings.push({ name, channels: this.sizeOf(x), length })
    this.#add('push', [x], [name])
    return name
  }

  cache(name: string, spec: Omit<CacheSpec, 'name'>): string {
    this.#caches.push({ name, ...spec })
    return name
  }

  /** Any instruction whose outputs were declared. */
  add(
    kernel: Kernel,
    inputs: readonly string[],
    output: string,
    weights: readonly string[] = [],
    numbers: Readonly<Record<string, number>> = {},
  ): string {
    this.#add(kernel, inputs, [output], weights, numbers)
    return output
  }

  /** What `write` adds runs at these samples alone. */
  every(every: Every, write: () => void): void {
    const outside = this.#every
    this.#every = every
    write()
    this.#every = outside
  }

  #add(
    kernel: Kernel,
    inputs: readonly string[],
    outputs: readonly string[],
    weights: readonly string[] = [],
    numbers: Readonly<Record<string, number>> = {},
  ): void {
    const every = this.#every
    this.#instructions.push({ kernel, inputs, outputs, weights, numbers, ...(every && { every }) })
  }

  build(output: string): StepPlan {
    return {
      inputs: this.#inputs,
      output,
      vectors: [...this.#vectors.values()],
      rings: this.#rings,
      caches: this.#caches,
      weights: this.#weights,
      instructions: this.#instructions,
    }
  }
}
