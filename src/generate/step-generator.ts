import type { Arrays, Generator, StepForm } from '../models/index.js'
import type { StepSnapshot } from './step-host.js'
import { type StepOptions, StepVoices } from './step-voices.js'

/** A single voice as a generator. */
export class StepGenerator implements Generator {
  readonly #voices: StepVoices

  constructor(form: StepForm, parameters: Arrays, options: Omit<StepOptions, 'voices'>) {
    this.#voices = new StepVoices(form, parameters, { ...options, voices: 1 })
  }

  prime(codes: Uint8Array, onProgress?: (samples: number) => void): Promise<void> {
    return this.#voices.prime(0, codes, onProgress)
  }

  async logits(): Promise<Float32Array> {
    return this.#voices.logits(0)
  }

  push(code: number): Promise<void> {
    return this.#voices.push(FIRST, [code])
  }

  snapshot(): StepSnapshot {
    return this.#voices.snapshot(0)
  }

  restore(snapshot: StepSnapshot): void {
    this.#voices.restore(0, snapshot)
  }

  async dispose(): Promise<void> {
    this.#voices.dispose()
  }
}

const FIRST = [0]
