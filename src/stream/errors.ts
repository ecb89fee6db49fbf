import { LongwaveError } from '../base/errors.js'

/** A packed model is damaged, of another version, or not one. Exit 3. */
export class PackedModelError extends LongwaveError {
  override name = 'PackedModelError'
  override readonly exitCode = 3
}

/** A step plan asks for what the sampler cannot do. Exit 2. */
export class PlanError extends LongwaveError {
  override name = 'PlanError'
  override readonly exitCode = 2
}
