/** Flagships and streams that the sampler is tested with. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { quantizer } from '../../src/audio/quantize.js'
import type { FlagshipConfig } from '../../src/models/flagship.js'
import { flagshipPlan } from '../../src/models/flagship-plan.js'
import { FORECAST_WIDTH, Forecaster } from '../../src/models/forecast.js'
import type { Arrays } from '../../src/models/model.js'
import type { StepPlan } from '../../src/nn/step-plan.js'
import { Calibration } from '../../src/stream/calibrate.js'
import { hasRelaxedSimd } from '../../src/stream/kernels.js'
import { type PackOptions, pack } from '../../src/stream/pack.js'
import type { Ranges } from '../../src/stream/precision.js'
import { StreamRuntime } from '../../src/stream/runtime.js'

export const VALUES = quantizer('mu-law').table

/** The compiled kernels, as the build leaves them. */
export function kernels(name = hasRelaxedSimd() ? 'kernels-relaxed.wasm' : 'kernels.wasm') {
  return new WebAssembly.Module(readFileSync(join('dist', 'stream', name)))
}

/** Feeds codes to a stream as a host does. */
export class Feed {
  readonly runtime: StreamRuntime
  readonly #forecaster = new Forecaster(VALUES)
  readonly #row = new Float32Array(FORECAST_WIDTH)

  constructor(packed: Uint8Array) {
    this.runtime = new StreamRuntime(kernels(), packed)
  }

  /** Logits after a sample; the array is reused. */
  push(code: number): Float32Array {
    const { runtime } = this
    const { inputs } = runtime.header
    if (inputs.includes('x')) runtime.vector('x')[0] = VALUES[code]!
    if (inputs.includes('codes')) runtime.integers('codes')[0] = code
    if (inputs.includes('forecast')) {
      this.#forecaster.run([code], this.#row)
      runtime.vector('forecast').set(this.#row)
    }
    return runtime.step()
  }
}

/** Ranges of a model's activations over codes. */
export function rangesOf(plan: StepPlan, codes: ArrayLike<number>): Ranges {
  const feed = new Feed(pack(plan, { precision: 'f32' }))
  const calibration = new Calibration(plan, feed.runtime)
  for (let i = 0; i < codes.length; i++) {
    feed.push(codes[i]!)
    calibration.observe()
  }
  return calibration.ranges
}

export function openFeed(
  config: FlagshipConfig,
  parameters: Arrays,
  context: number,
  options: PackOptions = { precision: 'f32' },
): Feed {
  return new Feed(pack(flagshipPlan(config, parameters, context), options))
}
