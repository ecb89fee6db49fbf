import { FORECAST_LEAD } from '../models/forecast.js'
import type { Arrays, StepForm } from '../models/model.js'
import { Calibration, pack, type Ranges } from '../stream/index.js'
import { StepHost } from './step-host.js'

/** Samples over which ranges are looked for: a quarter of a second, with the filling of the rings. */
const SAMPLES = 4000

/**
 * How large the activations of a model become over the newest samples of a recording, by running it in
 * float32. They hardly depend on the context, so the shortest will do.
 *
 * @param codes real audio
 */
export function rangesOver(
  form: StepForm,
  parameters: Arrays,
  codes: Uint8Array,
  kernels: WebAssembly.Module,
): Ranges {
  const plan = form.plan(parameters, 1)
  const host = new StepHost({ ...form, kernels, packed: pack(plan, { precision: 'f32' }) })
  const calibration = new Calibration(plan, host.runtime)
  const from = Math.max(0, codes.length - SAMPLES)
  host.hear(codes.subarray(Math.max(0, from - FORECAST_LEAD), from))
  for (const code of codes.subarray(from)) {
    host.take(code)
    calibration.observe()
  }
  return calibration.ranges
}
