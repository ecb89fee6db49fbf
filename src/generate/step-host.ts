/**
 * Feeds codes to the step form of a model. Imports neither the engine nor anything of Node, so that it
 * runs in a Worker and in an AudioWorklet too.
 */
import { LongwaveError } from '../base/errors.js'
import { restoreState, saveState } from '../base/tape.js'
import { FORECAST_WIDTH, Forecaster } from '../models/forecast.js'
import type { StepForm } from '../models/model.js'
import { checksumOf } from '../stream/format.js'
import { type Snapshot, StreamRuntime } from '../stream/runtime.js'

/** All that a host needs; plain data that can be posted to a Worker. */
export interface PackedStep extends Pick<StepForm, 'feeds' | 'values'> {
  kernels: WebAssembly.Module
  /** From `pack`. */
  packed: Uint8Array
}

/** All that a stream remembers. */
export interface StepSnapshot {
  /** Checksum of the packed model, which gives the state its meaning. */
  model: number
  state: Snapshot
  forecast?: Float64Array
}

/** A voice of a runtime, its only one or one of several. */
export class StepHost {
  readonly runtime: StreamRuntime
  readonly #voice: number
  readonly #values: Float32Array
  readonly #model: number
  readonly #value: Float32Array | undefined
  readonly #code: Int32Array | undefined
  readonly #row: Float32Array | undefined
  #forecaster: Forecaster

  /** @param place where the voice lies; by default in a runtime of its own */
  constructor(step: PackedStep, place: { runtime: StreamRuntime; voice: number } = alone(step)) {
    const { packed, feeds, values } = step
    const { runtime, voice } = place
    const fed = (kind: string) => Object.keys(feeds).find((name) => feeds[name] === kind)
    const [value, code, row] = [fed('value'), fed('code'), fed('forecast')]
    this.runtime = runtime
    this.#voice = voice
    this.#values = values
    this.#model = checksumOf(packed)
    this.#value = value === undefined ? undefined : runtime.vector(value, voice)
    this.#code = code === undefined ? undefined : runtime.integers(code, voice)
    this.#row =
      row === undefined ? undefined : runtime.vector(row, voice).subarray(0, FORECAST_WIDTH)
    this.#forecaster = new Forecaster(values)
  }

  /** Opens several voices over the same weights. */
  static open(step: PackedStep, voices: number): StepHost[] {
    const runtime = new StreamRuntime(step.kernels, step.packed, voices)
    return Array.from({ length: voices }, (_, voice) => new StepHost(step, { runtime, voice }))
  }

  /** Takes a sample of each of some voices of one runtime, in less time than one by one. */
  static takeTogether(hosts: readonly StepHost[], codes: readonly number[]): void {
    if (hosts.length === 1) {
      hosts[0]!.take(codes[0]!)
      return
    }
    for (const [i, host] of hosts.entries()) host.#feed(codes[i]!)
    hosts[0]?.runtime.stepVoices(hosts.map((host) => host.#voice))
  }

  /** Takes a sample. Returns the logits of the next, [256]; the next call reuses them. */
  take(code: number): Float32Array {
    this.#feed(code)
    return this.runtime.step(this.#voice)
  }

  #feed(code: number): void {
    if (this.#value) this.#value[0] = this.#values[code]!
    if (this.#code) this.#code[0] = code
    if (this.#row) this.#forecaster.run([code], this.#row)
  }

  /** Logits after the newest sample. */
  get logits(): Float32Array {
    return this.runtime.output(this.#voice)
  }

  /** Lets the forecast alone know samples that the network does not remember. */
  hear(codes: ArrayLike<number>): void {
    if (this.#row) this.#forecaster.run(codes)
  }

  /** Lets the forecast stand still from here on. */
  hold(): void {
    this.#forecaster.hold()
  }

  /** Writes what a cache remembers of the first tokens of a phase. */
  remember(cache: string, phase: number, rows: Float32Array): void {
    this.runtime.remember(cache, phase, 0, rows, this.#voice)
  }

  /** Tells the caches that they have come by `samples` samples. */
  setRemembered(samples: number): void {
    this.runtime.setRemembered(samples, this.#voice)
  }

  /** Begins as before the first sample. */
  reset(): void {
    this.runtime.reset(this.#voice)
    this.#forecaster = new Forecaster(this.#values)
  }

  snapshot(): StepSnapshot {
    return {
      model: this.#model,
      state: this.runtime.snapshot(this.#voice),
      ...(this.#row && { forecast: saveState(this.#forecaster) }),
    }
  }

  /** Goes back to a snapshot of this or of another host of the same packed model. */
  restore({ model, state, forecast }: StepSnapshot): void {
    if (model !== this.#model) {
      throw new LongwaveError({
        fact: 'The snapshot is not of this model.',
        expected: 'one of a stream of the same weights, context and precision',
      })
    }
    this.runtime.restore(state, this.#voice)
    if (forecast) restoreState(this.#forecaster, forecast)
  }
}

const alone = ({ kernels, packed }: PackedStep) => ({
  runtime: new StreamRuntime(kernels, packed),
  voice: 0,
})
