import type { Recordable, Tape } from '../../base/tape.js'

/** The last values of a signal, newest first. */
export interface History extends Recordable {
  /** The newest value is at `start`; zeros stand for what was before the first. */
  readonly values: Float64Array
  readonly start: number
  push(value: number): void
}

/** @param length how many values are asked for at a time */
export function history(length: number): History {
  const room = 4096
  const state = {
    values: new Float64Array(length + room),
    start: room,
    push(value: number) {
      if (state.start === 0) {
        state.values.copyWithin(room, 0, length)
        state.start = room
      }
      state.values[--state.start] = value
    },
    record(tape: Tape) {
      tape.array(state.values)
      state.start = tape.number(state.start)
    },
  }
  return state
}

/** Inner product of `n` values; four sums at once, as one chain of additions would wait for itself. */
export function dot(
  a: Float64Array,
  aStart: number,
  b: Float64Array,
  bStart: number,
  n: number,
): number {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  let i = 0
  for (; i + 3 < n; i += 4) {
    s0 += a[aStart + i]! * b[bStart + i]!
    s1 += a[aStart + i + 1]! * b[bStart + i + 1]!
    s2 += a[aStart + i + 2]! * b[bStart + i + 2]!
    s3 += a[aStart + i + 3]! * b[bStart + i + 3]!
  }
  for (; i < n; i++) s0 += a[aStart + i]! * b[bStart + i]!
  return s0 + s1 + (s2 + s3)
}
