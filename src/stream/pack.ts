/** A step plan and its weights as one buffer that the sampler runs (see format.ts). */
import type { StepPlan } from '../nn/step-plan.js'
import { PlanError } from './errors.js'
import { type CacheType, encodePacked } from './format.js'
import { lower } from './lower.js'
import { FLOAT32, int8Scheme, type Ranges } from './precision.js'

export interface PackOptions {
  precision: 'f32' | 'int8'
  /** Numbers of the caches; as `precision` if not given. */
  cache?: CacheType
  /** From `calibrate`; needed for int8. */
  ranges?: Ranges
  /** Threads that do a step together; 1 by default. */
  threads?: number
}

export function pack(
  plan: StepPlan,
  { precision, cache = precision, ranges, threads = 1 }: PackOptions,
): Uint8Array {
  if (!ranges && (precision === 'int8' || cache === 'int8')) {
    throw new PlanError({
      fact: 'Packing as int8 needs to know how large activations become.',
      expected: 'ranges from a calibration on real audio',
      got: 'none',
    })
  }
  return encodePacked(
    lower(plan, {
      scheme: precision === 'int8' ? int8Scheme(plan, ranges!) : FLOAT32,
      cache,
      cacheRanges: cache === 'int8' ? ranges!.caches : undefined,
      threads,
    }),
  )
}
