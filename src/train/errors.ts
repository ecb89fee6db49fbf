import { LongwaveError, UsageError } from '../base/errors.js'

/** A loss or a gradient is not a finite number any more. Exit 7. */
export class DivergedError extends LongwaveError {
  override name = 'DivergedError'
  override readonly exitCode = 7
}

/** A run is to go on with options other than those it began with. Exit 2. */
export class ContradictionError extends UsageError {
  override name = 'ContradictionError'
}

/** A folder already holds a run. Exit 2. */
export class RunExistsError extends UsageError {
  override name = 'RunExistsError'
}

/** The error for a new run in a folder that is taken. */
export function runExists(runDir: string): RunExistsError {
  return new RunExistsError({
    fact: `${runDir} already holds a run.`,
    hint: 'Add --resume to go on with it, or choose another --out.',
  })
}
