import { LongwaveError } from '../base/errors.js'

/** A model gives logits that are not numbers. Exit 7, as a training that diverges. */
export class NoDistributionError extends LongwaveError {
  override name = 'NoDistributionError'
  override readonly exitCode = 7
}
