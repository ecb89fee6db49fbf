/** What the lowering of an instruction works with: a plan, its places in memory, and the thread whose program is written. */
import type { StepPlan } from '../nn/step-plan.js'
import { PlanError } from './errors.js'
import type { CachePlace, CacheType, PackedHeader, Place } from './format.js'
import { Constants, State } from './memory-plan.js'
import { POSITION_BYTES } from './opcodes.js'
import { type Cache, placeCache, placeRing, type Ring, Thread } from './places.js'
import type { Ranges, Scheme } from './precision.js'
import { type Share, type Sharing, share } from './sharing.js'

export interface Lowering {
  scheme: Scheme
  /** Numbers of the caches. */
  cache: CacheType
  /** Scales of an int8 cache. */
  cacheRanges: Ranges['caches'] | undefined
  /** Threads that do a step together. */
  threads: number
}

export class Scope {
  readonly constants = new Constants()
  readonly state = new State()
  readonly threads: readonly Thread[]
  /** The one whose program is being written. */
  thread: Thread
  /** By name; a part's address counts from its whole. */
  readonly #vectors = new Map<string, Place>()
  /** The vector that a part belongs to. */
  readonly #owners = new Map<string, string>()
  /** Whole vectors that threads share, the inputs among them. */
  readonly #shared = new Map<string, number>()
  readonly #caches = new Map<string, Cache>()
  readonly #sharing: Sharing

  constructor(
    readonly plan: StepPlan,
    readonly lowering: Lowering,
  ) {
    for (const { name, part } of plan.vectors) this.#owners.set(name, part?.of ?? name)
    this.#sharing = share(plan, lowering.threads, (name) => this.#ownerOf(name))
    this.threads = Array.from({ length: lowering.threads }, (_, index) => new Thread(index))
    this.thread = this.threads[0]!
  }

  /** Gives the vectors and the caches their places. */
  place(): void {
    this.#placeVectors()
    const { cache: type, cacheRanges } = this.lowering
    for (const cache of this.plan.caches) {
      const ranges = cacheRanges?.[cache.name]
      this.#caches.set(cache.name, placeCache(this.state, this.constants, cache, type, ranges))
    }
  }

  /** Goes on with the program of a thread, and gives it what it has for itself. */
  enter(thread: Thread): void {
    this.thread = thread
    for (const ring of this.plan.rings) {
      const source = this.lowering.scheme.sources.get(ring.name)
      thread.rings.set(ring.name, placeRing(this.state, ring, source))
    }
    for (const { name } of this.plan.caches) {
      thread.positions.set(name, this.state.add(POSITION_BYTES))
    }
  }

  #placeVectors(): void {
    const { inputs, vectors } = this.plan
    for (const { name, size, type, part } of vectors) {
      this.#vectors.set(name, { at: 4 * (part?.at ?? 0), size, type })
      if (part) continue
      if (inputs.includes(name) || this.#sharing.shared.has(name)) {
        this.#shared.set(name, this.state.add(4 * size))
        continue
      }
      for (const { places } of this.threads) places.set(name, this.state.add(4 * size))
    }
  }

  #ownerOf(vector: string): string {
    return this.#owners.get(vector) ?? vector
  }

  /** Where the thread has a vector. */
  vector(vector: string): Place {
    const place = this.#vectors.get(vector) ?? unknown('vector', vector)
    const owner = this.#ownerOf(vector)
    const whole = this.#shared.get(owner) ?? this.thread.places.get(owner)
    return { ...place, at: place.at + (whole ?? unknown('vector', owner)) }
  }

  at(vector: string): number {
    return this.vector(vector).at
  }

  ring(name: string): Ring {
    return this.thread.rings.get(name) ?? unknown('ring', name)
  }

  cache(name: string): Cache {
    return this.#caches.get(name) ?? unknown('cache', name)
  }

  weight(name: string): Float32Array {
    return (this.plan.weights[name] ?? unknown('weight', name)).data
  }

  /** Integers of a vector that is written again are no longer true. */
  forget(output: string): void {
    const { integers } = this.thread
    for (const name of integers.keys()) {
      if (this.#ownerOf(name) === this.#ownerOf(output)) integers.delete(name)
    }
  }

  /** Where the host finds vectors, those of the first thread, and caches. */
  places(): Pick<PackedHeader, 'vectors' | 'caches'> {
    this.thread = this.threads[0]!
    const vectors = this.plan.vectors.map(({ name }) => [name, this.vector(name)] as const)
    return { vectors: Object.fromEntries(vectors), caches: this.#cachePlaces() }
  }

  /** What the host needs to write rows itself. */
  #cachePlaces(): Record<string, CachePlace> {
    const type = this.lowering.cache
    const places = [...this.#caches].map(([name, cache]) => {
      const { at, phases, window, groups, width, padded, rowBytes, phaseBytes, factors } = cache
      const sizes = { phases, window, groups, width, padded, rowBytes, phaseBytes }
      const positions = this.threads.map((thread) => thread.positions.get(name)!)
      return [name, { at, positions, type, ...sizes, factors }] as const
    })
    return Object.fromEntries(places)
  }

  /** How the threads share an instruction of the plan. */
  shareOf(index: number): Share {
    return this.#sharing.shares.get(this.plan.instructions[index]!)!
  }
}

function unknown(what: string, name: string): never {
  throw new PlanError({
    fact: `The step plan uses a ${what} that it does not declare.`,
    expected: `a ${what} of the plan`,
    got: name,
  })
}
