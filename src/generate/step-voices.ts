import { SILENCE } from '../audio/quantize.js'
import { UsageError } from '../base/errors.js'
import type { Engine } from '../engine/index.js'
import type { Arrays, StepForm } from '../models/index.js'
import { type CacheType, pack } from '../stream/index.js'
import { rangesOver } from './calibrate.js'
import { Turns } from './pause.js'
import { StepHost, type StepSnapshot } from './step-host.js'

export interface StepOptions {
  /** Samples of history that a prediction sees. */
  context: number
  precision: 'f32' | 'int8'
  /** Numbers of the caches. */
  cache: CacheType
  kernels: WebAssembly.Module
  /** Threads that do a step together, with kernels of theirs; one alone without. */
  team?: { threads: number; kernels: WebAssembly.Module } | undefined
  /** Real audio that tells how large activations become, for int8. */
  calibration?: Uint8Array | undefined
  /** Opened when the first prompt is long enough to need it; null, or nothing opened, for none. */
  engine: (() => Promise<Engine | undefined>) | null
  /** Whether the forecast stands still after a prompt. */
  hold: boolean
  /** How many streams there are. */
  voices: number
}

/** Samples between reports where the forecast alone hears a prompt. */
const STRETCH = 2000

/**
 * Generation by the step form of a model, of several voices that share its weights; the engine only
 * takes long prompts in.
 */
export class StepVoices {
  readonly #form: StepForm
  readonly #parameters: Arrays
  readonly #options: StepOptions
  /** Of every voice; all of one runtime. */
  #hosts: StepHost[] | undefined
  #turns = new Turns()

  constructor(form: StepForm, parameters: Arrays, options: StepOptions) {
    this.#form = form
    this.#parameters = parameters
    this.#options = options
    if (!needsRanges(options) || options.calibration) this.#hosts = this.#open(options.calibration)
  }

  #open(calibration: Uint8Array | undefined): StepHost[] {
    const { context, precision, cache, kernels, team, voices } = this.#options
    const [form, parameters] = [this.#form, this.#parameters]
    const ranges = needsRanges(this.#options)
      ? rangesOver(form, parameters, audible(calibration), kernels)
      : undefined
    const plan = form.plan(parameters, context)
    const { threads } = team ?? { threads: 1 }
    const packed = pack(plan, { precision, cache, threads, ...(ranges && { ranges }) })
    return StepHost.open({ ...form, kernels: team?.kernels ?? kernels, packed }, voices)
  }

  /** Takes a prompt in; what was there before in this voice is forgotten. */
  async prime(
    voice: number,
    codes: Uint8Array,
    onProgress: (samples: number) => void = () => {},
  ): Promise<void> {
    // the prompt itself tells how large activations become
    this.#hosts ??= this.#open(codes)
    const host = this.#hosts[voice]!
    await host.runtime.ready
    const { memory, absorb } = this.#form
    const { context } = this.#options
    // the first sample follows silence; the newest one is left to a step, which gives the logits
    const history = new Int32Array(codes.length)
    if (codes.length > 0) {
      history[0] = SILENCE
      history.set(codes.subarray(0, -1), 1)
    }
    host.reset()
    const isLong = absorb && history.length > memory
    const engine = isLong ? await this.#options.engine?.() : undefined
    if (isLong && engine) {
      const rings = history.length - memory
      await this.#hear(host, history.subarray(0, rings))
      await this.#step(host, history.subarray(rings), () => {})
      const known = await absorb({
        parameters: this.#parameters,
        ...{ engine, history, context, onProgress },
        take: (cache, phase, rows) => host.remember(cache, phase, rows),
      })
      host.setRemembered(known)
    } else {
      // caches bound what they remember by themselves
      const from = absorb ? 0 : Math.max(0, history.length + 1 - context)
      await this.#step(host, history.subarray(from), onProgress)
    }
    host.take(codes.at(-1) ?? SILENCE)
    if (this.#options.hold) host.hold()
  }

  async #hear(host: StepHost, codes: Int32Array): Promise<void> {
    for (let at = 0; at < codes.length; at += STRETCH) {
      host.hear(codes.subarray(at, at + STRETCH))
      await this.#turns.take()
    }
  }

  async #step(
    host: StepHost,
    codes: Int32Array,
    onProgress: (samples: number) => void,
  ): Promise<void> {
    for (let i = 0; i < codes.length; i++) {
      host.take(codes[i]!)
      const turn = this.#turns.take()
      if (!turn) continue
      onProgress(i + 1)
      await turn
    }
    onProgress(codes.length)
  }

  /** Logits of the next sample of a voice, [256]; its next sample reuses them. */
  logits(voice: number): Float32Array {
    return this.#primed[voice]!.logits
  }

  /** Appends a sample to each of some voices; `codes` go with `voices`. */
  async push(voices: readonly number[], codes: readonly number[]): Promise<void> {
    const hosts = this.#primed
    StepHost.takeTogether(
      voices.map((voice) => hosts[voice]!),
      codes,
    )
    await this.#turns.take()
  }

  snapshot(voice: number): StepSnapshot {
    return this.#primed[voice]!.snapshot()
  }

  restore(voice: number, snapshot: StepSnapshot): void {
    this.#primed[voice]!.restore(snapshot)
  }

  get #primed(): readonly StepHost[] {
    if (this.#hosts) return this.#hosts
    throw new UsageError({
      fact: 'The stream was not primed yet.',
      hint: 'prime it, if with nothing',
    })
  }

  dispose(): void {
    this.#hosts?.[0]?.runtime.dispose()
    this.#hosts = undefined
  }
}

const needsRanges = ({ precision, cache }: StepOptions) => precision === 'int8' || cache === 'int8'

function audible(calibration: Uint8Array | undefined): Uint8Array {
  if (calibration?.some((code) => code !== SILENCE)) return calibration
  throw new UsageError({
    fact: 'int8 needs to hear how large activations become on real audio.',
    expected: 'a prompt, or other audio as calibration',
    got: calibration && calibration.length > 0 ? 'silence' : 'nothing',
    hint: 'give a prompt, or use f32',
  })
}
