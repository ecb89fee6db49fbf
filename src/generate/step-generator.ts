import { SILENCE } from '../audio/quantize.js'
import { UsageError } from '../base/errors.js'
import type { Engine } from '../engine/index.js'
import type { Arrays, Generator, StepForm } from '../models/index.js'
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
  /** Real audio that tells how large activations become, for int8. */
  calibration?: Uint8Array | undefined
  /** Opened when the first prompt is long enough to need it; null, or nothing opened, for none. */
  engine: (() => Promise<Engine | undefined>) | null
}

/** Samples between reports where the forecast alone hears a prompt. */
const STRETCH = 2000

/** Generation by the step form of a model; the engine only takes long prompts in. */
export class StepGenerator implements Generator {
  readonly #form: StepForm
  readonly #parameters: Arrays
  readonly #options: StepOptions
  #host: StepHost | undefined
  #logits: Float32Array = new Float32Array()
  #turns = new Turns()

  constructor(form: StepForm, parameters: Arrays, options: StepOptions) {
    this.#form = form
    this.#parameters = parameters
    this.#options = options
    if (!needsRanges(options) || options.calibration) this.#host = this.#open(options.calibration)
  }

  #open(calibration: Uint8Array | undefined): StepHost {
    const { context, precision, cache, kernels } = this.#options
    const [form, parameters] = [this.#form, this.#parameters]
    const ranges = needsRanges(this.#options)
      ? rangesOver(form, parameters, audible(calibration), kernels)
      : undefined
    const plan = form.plan(parameters, context)
    const packed = pack(plan, { precision, cache, ...(ranges && { ranges }) })
    return new StepHost({ ...form, kernels, packed })
  }

  async prime(codes: Uint8Array, onProgress: (samples: number) => void = () => {}): Promise<void> {
    // the prompt itself tells how large activations become
    this.#host ??= this.#open(codes)
    const host = this.#host
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
        take: (cache, phase, rows) => host.runtime.remember(cache, phase, 0, rows),
      })
      host.runtime.setRemembered(known)
    } else {
      await this.#step(host, history, onProgress)
    }
    this.#logits = host.take(codes.at(-1) ?? SILENCE)
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

  async logits(): Promise<Float32Array> {
    return this.#logits
  }

  async push(code: number): Promise<void> {
    this.#logits = this.#primed.take(code)
    await this.#turns.take()
  }

  snapshot(): StepSnapshot {
    return this.#primed.snapshot()
  }

  restore(snapshot: StepSnapshot): void {
    this.#primed.restore(snapshot)
    this.#logits = this.#primed.logits
  }

  get #primed(): StepHost {
    if (this.#host) return this.#host
    throw new UsageError({
      fact: 'The stream was not primed yet.',
      hint: 'prime it, if with nothing',
    })
  }

  async dispose(): Promise<void> {
    this.#host = undefined
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
