import type { Engine, Program } from '../engine/index.js'
import { sizeOf, sum } from '../graph/index.js'
import { buildCausal, type CausalNetwork } from './causal-network.js'
import { type CausalPlan, planCausal } from './causal-plan.js'
import { zeros } from './flagship-programs.js'
import type { Arrays, Learner, Lesson, Score, Stage } from './model.js'

/**
 * Every sample of a segment is a target. A first pass over the stretches finds what is remembered
 * where each begins, without logits and losses; a second one, from the last stretch to the first,
 * computes losses and gradients and hands the gradients of what was remembered on to the stretch
 * before. So a segment of any length is learned from exactly, in the memory of one stretch.
 *
 * A segment starts as a piece does: nothing is remembered. Its first targets see less than others.
 */
export class CausalLearner implements Learner {
  readonly segmentLength: number
  readonly lead = 0
  readonly macsPerTarget: number
  readonly #time: number
  /** Stretch to what is remembered after it; there is none where a segment is one stretch. */
  readonly #advance: Program | undefined
  readonly #backward: Program
  readonly #backwardOut: Arrays
  /** Losses without gradients, compiled when they are first asked for. */
  #lossOnly: Program | undefined
  readonly #compileLossOnly: () => Promise<Program>
  readonly #gradients: Arrays = {}
  /** What is remembered before each stretch. */
  readonly #starts: Arrays[]
  /** And after the last one. */
  readonly #end: Arrays

  static async open(engine: Engine, network: CausalNetwork, stage: Stage): Promise<CausalLearner> {
    const plan = planCausal(network, stage)
    const { count, time, stretch, backward } = plan
    const advance = count > 1 ? await engine.compile(stretch.next) : undefined
    const lossOnly = () => {
      const { nats, next } = buildCausal(network, time)
      return engine.compile({ nats: sum(nats), ...next })
    }
    return new CausalLearner(plan, advance, await engine.compile(backward), lossOnly)
  }

  private constructor(
    { count, time, stretch, backward }: CausalPlan,
    advance: Program | undefined,
    backwardProgram: Program,
    compileLossOnly: () => Promise<Program>,
  ) {
    this.segmentLength = count * time
    this.macsPerTarget = stretch.macs / time
    this.#time = time
    this.#advance = advance
    this.#backward = backwardProgram
    this.#compileLossOnly = compileLossOnly
    this.#backwardOut = zeros(backward)
    for (const { name, shape } of stretch.p.declared.values()) {
      this.#gradients[name] = new Float32Array(sizeOf(shape))
    }
    this.#starts = Array.from({ length: count }, () => zeros(stretch.states))
    this.#end = zeros(stretch.states)
  }

  segmentsPerStep(targets: number): number {
    return Math.max(1, Math.round(targets / this.segmentLength))
  }

  async learn(parameters: Arrays, segments: readonly Uint8Array[]): Promise<Lesson> {
    for (const total of Object.values(this.#gradients)) total.fill(0)
    const targets = segments.length * this.segmentLength
    const weight = Float32Array.of(1 / targets)
    let nats = 0
    for (const codes of segments) {
      await this.#advanceOver(parameters, codes)
      nats += await this.#learnBack(parameters, codes, weight)
    }
    return { nats, targets, gradients: this.#gradients }
  }

  async score(parameters: Arrays, segments: readonly Uint8Array[]): Promise<Score> {
    this.#lossOnly ??= await this.#compileLossOnly()
    let nats = 0
    for (const codes of segments) {
      for (const [i, start] of this.#starts.entries()) {
        const feeds = { ...parameters, ...start, ...this.#cut(codes, i) }
        nats += (await this.#lossOnly.run(feeds, this.#after(i))).nats![0]!
      }
    }
    return { nats, targets: segments.length * this.segmentLength }
  }

  /** Finds what is remembered where each stretch begins. */
  async #advanceOver(parameters: Arrays, codes: Uint8Array): Promise<void> {
    if (!this.#advance) return
    for (const [i, start] of this.#starts.slice(0, -1).entries()) {
      const feeds = { ...parameters, ...start, ...this.#cut(codes, i) }
      await this.#advance.run(feeds, this.#after(i))
    }
  }

  /** Losses and gradients, from the last stretch to the first. Returns the sum of nats. */
  async #learnBack(parameters: Arrays, codes: Uint8Array, weight: Float32Array): Promise<number> {
    // nothing comes back from behind the segment
    const later: Arrays = {}
    for (const [name, { length }] of Object.entries(this.#end)) {
      later[name.replace('state.', 'd.next.')] = new Float32Array(length)
    }
    let nats = 0
    for (const [i, start] of [...this.#starts.entries()].reverse()) {
      const feeds = { ...parameters, ...start, ...this.#cut(codes, i), ...later, weight }
      const found = await this.#backward.run(feeds, this.#backwardOut)
      nats += found.nats![0]!
      for (const [name, total] of Object.entries(this.#gradients)) {
        const part = found[`grad.${name}`]!
        for (let at = 0; at < total.length; at++) total[at]! += part[at]!
      }
      for (const [name, array] of Object.entries(later)) {
        array.set(found[name.replace('d.next.', 'd.state.')]!)
      }
    }
    return nats
  }

  /** Where what is remembered after stretch `i` is written. */
  #after(i: number): Arrays {
    const entries = Object.entries(this.#starts[i + 1] ?? this.#end)
    return Object.fromEntries(entries.map(([name, a]) => [name.replace('state.', 'next.'), a]))
  }

  /** Inputs and targets of stretch `i`. */
  #cut(codes: Uint8Array, i: number): Record<'codes' | 'targets', Int32Array> {
    const at = i * this.#time
    return {
      codes: Int32Array.from(codes.subarray(at, at + this.#time)),
      targets: Int32Array.from(codes.subarray(at + 1, at + 1 + this.#time)),
    }
  }

  async dispose(): Promise<void> {
    for (const program of [this.#advance, this.#backward, this.#lossOnly]) await program?.dispose()
  }
}
