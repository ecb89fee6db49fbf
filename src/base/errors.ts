/** What a person needs to act on a failure. */
export interface Failure {
  /** The fact, in one sentence. */
  fact: string
  /** What was expected. */
  expected?: string
  /** What was found. */
  got?: string
  /** What to do about it. */
  hint?: string
}

/**
 * Base of every error that Longwave throws on purpose. Each failure has its own subclass with a
 * stable `exitCode`; the command line prints `describe()` and never a stack trace.
 */
export class LongwaveError extends Error {
  override name = 'LongwaveError'
  /** Exit status of the command line for this class of failure. */
  readonly exitCode: number = 1
  readonly failure: Failure

  constructor(failure: Failure, options?: { cause?: unknown }) {
    super(failure.fact, options)
    this.failure = failure
  }

  /** The failure in lines for a person: fact, expected, got, hint. */
  describe(): string {
    const { fact, expected, got, hint } = this.failure
    const lines = [fact]
    if (expected !== undefined) lines.push(`  expected: ${expected}`)
    if (got !== undefined) lines.push(`  got:      ${got}`)
    if (hint !== undefined) lines.push(`  hint:     ${hint}`)
    return lines.join('\n')
  }
}

/** A command or a function was called with arguments that do not make sense. Exit 2. */
export class UsageError extends LongwaveError {
  override name = 'UsageError'
  override readonly exitCode = 2
}

/** A file or folder is missing, unreadable or not writable. Exit 3. */
export class FileError extends LongwaveError {
  override name = 'FileError'
  override readonly exitCode = 3
}

/** The message of anything that was thrown, on one line. */
export function messageOf(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  return text.replace(/\s+/g, ' ').trim()
}
