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

export class StepHost {
  readonly runtime: StreamRuntime
  readonly #values: Float32Array
  readonly #model: number
  readonly #value: Float32Array | undefined
  readonly #code: Int32Array | undefined
  readonly #row: Float32Array | undefined
  #forecaster: Forecaster

  constructor({ kernels, packed, feeds, values }: PackedStep) {
    const runtime = new StreamRuntime(kernels, packed)
    const fed = (kind: string) => Object.keys(feeds).find((name) => feeds[name] === kind)
    const [value, code, row] = [fed('value'), fed('code'), fed('forecast')]
    this.runtime = runtime
    this.#values = values
    this.#model = checksumOf(packed)
    this.#value = value === undefined ? undefined : runtime.vector(value)
    this.#code = code === undefined ? undefined : runtime.integers(code)
    this.#row = row === undefined ? undefined : runtime.vector(row).subarray(0, FORECAST_WIDTH)
    this.#forecaster = new Forecaster(values)
  }

  /** Takes a sample. Returns the logits of the next, [256]; the next call reuses them. */
  take(code: number): Float32Array {
    if (this.#value) this.#value[0] = this.#values[code]!
    if (this.#code) this.#code[0] = code
    if (this.#row) this.#forecaster.run([code], this.#row)
    return this.runtime.step()
  }

  /** Logits after the newest sample. */
  get logits(): Float32Array {
    return this.runtime.output()
  }

  /** Lets the forecast alone know samples that the network does not remember. */
  hear(codes: ArrayLike<number>): void {
    if (this.#row) this.#forecaster.run(codes)
  }

  /** Begins as before the first sample. */
  reset(): void {
    this.runtime.reset()
    this.#forecaster = new Forecaster(this.#values)
  }

  snapshot(): StepSnapshot {
    return {
      model: this.#model,
      state: this.runtime.snapshot(),
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
    this.runtime.restore(state)
    if (forecast) restoreState(this.#forecaster, forecast)
  }
}
