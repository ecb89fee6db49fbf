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
