import { SILENCE } from '../audio/quantize.js'
import type { Engine, Program } from '../engine/index.js'
import { reshape, sizeOf, sum } from '../graph/index.js'
import { buildCausal, type CausalNetwork } from './causal-network.js'
import { type CausalPlan, planCausal } from './causal-plan.js'
import { zeros } from './flagship-programs.js'
import type { Arrays, Carried, Learner, Lesson, Score, Stage } from './model.js'

/**
 * Every sample of a segment is a target. A first pass over the stretches finds what is remembered
 * where each begins, without logits and losses; a second one, from the last stretch to the first,
 * computes losses and gradients and hands the gradients of what was remembered on to the stretch
 * before. So a segment of any length is learned from exactly, in the memory of one stretch.
 *
 * A segment starts as a piece does: nothing is remembered. Its first targets see less than others.
 * Not so where the network carries: a step is a segment of each of its streams, learned from at once,
 * and each starts with what was remembered at the end of the one before.
 */
export class CausalLearner implements Learner {
  readonly segmentLength: number
  readonly lead = 0
  readonly macsPerTarget: number
  readonly carried?: Carried
  readonly #batch: number
  readonly #time: number
  /** Stretch to what is remembered after it; there is none where a segment is one stretch. */
  readonly #advance: Program | undefined
  readonly #backward: Program
  readonly #backwardOut: Arrays
  /** Losses without gradients, compiled when they are first asked for. */
  #lossOnly: Program | undefined
  readonly #compileLossOnly: () => Promise<Program>
  readonly #gradients: Arrays = {}
  /** One run gives the gradients of a step: there is nothing to sum. */
  readonly #isOnce: boolean
  /** What is remembered before each stretch. */
  readonly #starts: Arrays[]
  /** And after the last one. */
  readonly #end: Arrays

  static async open(engine: Engine, network: CausalNetwork, stage: Stage): Promise<CausalLearner> {
    const plan = planCausal(network, stage)
    const { batch, count, time, stretch, backward } = plan
    const advance = count > 1 ? await engine.compile(stretch.next) : undefined
    const lossOnly = () => {
      const { nats, next } = buildCausal(network, time, 'float32', batch)
      return engine.compile({ nats: sum(reshape(nats, [batch, time]), [1]), ...next })
    }
    const back = { ...backward, ...(network.carries && stretch.next) }
    const isCarrying = network.carries ?? false
    return new CausalLearner(plan, isCarrying, advance, await engine.compile(back), lossOnly)
  }

  private constructor(
    { batch, count, time, stretch, backward }: CausalPlan,
    isCarrying: boolean,
    advance: Program | undefined,
    backwardProgram: Program,
    compileLossOnly: () => Promise<Program>,
  ) {
    this.segmentLength = count * time
    this.macsPerTarget = stretch.macs / (batch * time)
    this.#batch = batch
    this.#time = time
    this.#advance = advance
    this.#backward = backwardProgram
    this.#compileLossOnly = compileLossOnly
    this.#backwardOut = zeros(backward)
    this.#isOnce = isCarrying && count === 1
    for (const { name, shape } of stretch.p.declared.values()) {
      const once = this.#backwardOut[`grad.${name}`]!
      this.#gradients[name] = this.#isOnce ? once : new Float32Array(sizeOf(shape))
    }
    this.#starts = Array.from({ length: count }, () => zeros(stretch.states))
    this.#end = zeros(stretch.states)
    if (isCarrying) this.carried = { streams: batch, state: zeros(stretch.states) }
  }

  segmentsPerStep(targets: number): number {
    return this.carried ? this.#batch : Math.max(1, Math.round(targets / this.segmentLength))
  }

  /** Longer segments than those of a step where the state is carried: one of each stream. */
  heldOut(targets: number): { count: number; length: number } {
    const count = this.segmentsPerStep(targets)
    if (!this.carried) return { count, length: this.segmentLength }
    return { count, length: this.#time * Math.max(1, Math.round(targets / count / this.#time)) }
  }

  async learn(
    parameters: Arrays,
    segments: readonly Uint8Array[],
    _seed?: number,
    begins: readonly boolean[] = segments.map(() => true),
  ): Promise<Lesson> {
    if (!this.#isOnce) for (const total of Object.values(this.#gradients)) total.fill(0)
    const targets = segments.length * this.segmentLength
    const weight = Float32Array.of(1 / targets)
    let nats = 0
    for (let at = 0; at < segments.length; at += this.#batch) {
      const together = segments.slice(at, at + this.#batch)
      this.#begin(begins.slice(at, at + this.#batch))
      await this.#advanceOver(parameters, together)
      nats += await this.#learnBack(parameters, together, weight)
    }
    return { nats, targets, gradients: this.#gradients }
  }

  async score(parameters: Arrays, segments: readonly Uint8Array[]): Promise<Score> {
    this.#lossOnly ??= await this.#compileLossOnly()
    const [batch, time] = [this.#batch, this.#time]
    const total = { nats: 0, targets: 0 }
    for (let at = 0; at < segments.length; at += batch) {
      const together = segments.slice(at, at + batch)
      const { length } = together[0]!
      let states: Arrays = this.#starts[0]!
      for (const state of Object.values(states)) state.fill(0)
      for (let i = 0; (i + 1) * time < length; i++) {
        const feeds = { ...parameters, ...states, ...this.#cut(together, i) }
        const { nats, ...next } = await this.#lossOnly.run(feeds)
        // what is missing in the last batch is silence
        for (const sum of nats!.subarray(0, together.length)) total.nats += sum
        total.targets += together.length * time
        states = renamed(next as Arrays, 'next.', 'state.')
      }
    }
    return total
  }

  /** Before the first stretch: nothing, or what the step before left. */
  #begin(begins: readonly boolean[]): void {
    for (const [name, start] of Object.entries(this.#starts[0]!)) {
      const before = this.carried?.state[name]
      if (before) start.set(before)
      const size = start.length / this.#batch
      for (const [i, isNew] of begins.entries()) {
        if (isNew || !before) start.fill(0, i * size, (i + 1) * size)
      }
    }
  }

  /** Finds what is remembered where each stretch begins. */
  async #advanceOver(parameters: Arrays, segments: readonly Uint8Array[]): Promise<void> {
    if (!this.#advance) return
    for (const [i, start] of this.#starts.slice(0, -1).entries()) {
      const feeds = { ...parameters, ...start, ...this.#cut(segments, i) }
      await this.#advance.run(feeds, renamed(this.#starts[i + 1]!, 'state.', 'next.'))
    }
  }

  /** Losses and gradients, from the last stretch to the first. Returns the sum of nats. */
  async #learnBack(
    parameters: Arrays,
    segments: readonly Uint8Array[],
    weight: Float32Array,
  ): Promise<number> {
    // nothing comes back from behind the segment
    const later: Arrays = {}
    for (const [name, { length }] of Object.entries(this.#end)) {
      later[name.replace('state.', 'd.next.')] = new Float32Array(length)
    }
    const out = { ...this.#backwardOut, ...(this.carried && renamed(this.#end, 'state.', 'next.')) }
    let nats = 0
    for (const [i, start] of [...this.#starts.entries()].reverse()) {
      const feeds = { ...parameters, ...start, ...this.#cut(segments, i), ...later, weight }
      const found = await this.#backward.run(feeds, out)
      nats += found.nats![0]!
      for (const [name, total] of this.#isOnce ? [] : Object.entries(this.#gradients)) {
        const part = found[`grad.${name}`]!
        for (let at = 0; at < total.length; at++) total[at]! += part[at]!
      }
      for (const [name, array] of Object.entries(later)) {
        array.set(found[name.replace('d.next.', 'd.state.')]!)
      }
      // the last stretch comes first
      if (!this.carried || i < this.#starts.length - 1) continue
      for (const [name, state] of Object.entries(this.carried.state)) state.set(this.#end[name]!)
    }
    return nats
  }

  /** Inputs and targets of stretch `i`, segment after segment. */
  #cut(segments: readonly Uint8Array[], i: number): Record<'codes' | 'targets', Int32Array> {
    const [time, batch] = [this.#time, this.#batch]
    const at = i * time
    const codes = new Int32Array(batch * time).fill(SILENCE)
    const targets = new Int32Array(batch * time)
    for (const [row, segment] of segments.entries()) {
      codes.set(segment.subarray(at, at + time), row * time)
      targets.set(segment.subarray(at + 1, at + 1 + time), row * time)
    }
    return { codes, targets }
  }

  async dispose(): Promise<void> {
    for (const program of [this.#advance, this.#backward, this.#lossOnly]) await program?.dispose()
  }
}

/** The same arrays under names with another beginning. */
function renamed(arrays: Arrays, from: string, to: string): Arrays {
  return Object.fromEntries(Object.entries(arrays).map(([name, a]) => [name.replace(from, to), a]))
}
