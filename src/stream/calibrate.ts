import type { StepPlan } from '../nn/step-plan.js'
import type { Ranges } from './precision.js'
import type { StreamRuntime } from './runtime.js'

/**
 * Finds how large every vector becomes: call it after each step of a float32 stream over a recording.
 * The ranges hold for any context of the same model.
 */
export class Calibration {
  readonly #vectors: { name: string; view: Float32Array; most: number }[]
  readonly #caches: { name: string; view: Float32Array; most: Float32Array }[]

  constructor(plan: StepPlan, runtime: StreamRuntime) {
    this.#vectors = plan.vectors
      .filter(({ type }) => type === 'f32')
      .map(({ name }) => ({ name, view: runtime.vector(name), most: 0 }))
    this.#caches = plan.instructions
      .filter(({ kernel }) => kernel === 'remember')
      .map(({ inputs, outputs }) => {
        const view = runtime.vector(inputs[0]!)
        return { name: outputs[0]!, view, most: new Float32Array(view.length) }
      })
  }

  observe(): void {
    for (const vector of this.#vectors) {
      for (const x of vector.view) vector.most = Math.max(vector.most, Math.abs(x))
    }
    for (const { view, most } of this.#caches) {
      for (let i = 0; i < view.length; i++) most[i] = Math.max(most[i]!, Math.abs(view[i]!))
    }
  }

  get ranges(): Ranges {
    return {
      vectors: Object.fromEntries(this.#vectors.map(({ name, most }) => [name, most])),
      caches: Object.fromEntries(this.#caches.map(({ name, most }) => [name, most])),
    }
  }
}
