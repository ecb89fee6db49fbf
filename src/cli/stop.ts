import type { Progress } from './progress.js'

/** Exit status of what Ctrl-C ended before its end. */
export const INTERRUPTED = 130

/**
 * Ends work by Ctrl-C: the first one sets the signal, a second one ends the process.
 *
 * @param line told, for the person, what comes now
 */
export function stopOnSignal(line: Progress, note?: string) {
  const stop = new AbortController()
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(INTERRUPTED)
    if (note !== undefined) line.note(note)
    stop.abort()
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  return {
    signal: stop.signal,
    release: () => process.off('SIGINT', onSignal).off('SIGTERM', onSignal),
  }
}
