/**
 * Copies of what adaptive code remembers. It names its arrays and numbers once, in one order, to a
 * tape that either takes them down or gives them back, so that saving and restoring cannot differ.
 */
export interface Tape {
  array(values: Float64Array): void
  /** Returns the number that goes on: its own, or the one taken down before. */
  number(value: number): number
}

/** What can be copied, and gone back to. */
export interface Recordable {
  record(tape: Tape): void
}

/** Everything that `from` remembers. */
export function saveState(from: Recordable): Float64Array {
  const parts: Float64Array[] = []
  from.record({
    array: (values) => void parts.push(values),
    number: (value) => {
      parts.push(Float64Array.of(value))
      return value
    },
  })
  const saved = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    saved.set(part, at)
    at += part.length
  }
  return saved
}

/** Makes `into`, of the same kind as what was saved, remember the same. */
export function restoreState(into: Recordable, saved: Float64Array): void {
  let at = 0
  into.record({
    array: (values) => {
      values.set(saved.subarray(at, at + values.length))
      at += values.length
    },
    number: () => saved[at++]!,
  })
}
