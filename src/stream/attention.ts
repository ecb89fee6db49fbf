/** Attention over what is remembered. */
import type { Instruction } from '../nn/step-plan.js'
import { CACHE_BYTES } from './format.js'
import { ATTENTION_TILE, Opcode } from './opcodes.js'
import type { Scope } from './scope.js'
import type { Parts } from './sharing.js'

const ATTEND = {
  f32: Opcode.AttendF32,
  f16: Opcode.AttendF16,
  int8: Opcode.AttendInt8,
} as const

/** Every thread writes the row, the same bytes: cheaper than to wait for one of them. */
export function remember(scope: Scope, x: string, name: string): void {
  const { at, phases, phaseBytes, rowBytes, window, groups, width, padded, factors } =
    scope.cache(name)
  const position = scope.thread.positions.get(name)!
  const rows = [position, at, phases, phaseBytes, rowBytes, window]
  const common = [...rows, scope.at(x), groups, width, padded]
  const { cache: type } = scope.lowering
  if (type === 'int8') scope.thread.words.add(Opcode.RememberInt8, ...common, factors)
  else scope.thread.words.add(type === 'f16' ? Opcode.RememberF16 : Opcode.RememberF32, ...common)
}

/** One query per head over the rows of the caches. */
export function attend(
  scope: Scope,
  { inputs, outputs, weights, numbers }: Instruction,
  parts: Parts,
): void {
  const [keys, values] = [scope.cache(inputs[1]!), scope.cache(inputs[2]!)]
  const { phaseBytes, rowBytes, window, padWindow, width, padded } = keys
  const { cache: type } = scope.lowering
  // a part is some of the groups, or some of the heads of the only one
  const part = parts[scope.thread.index]
  const byGroups = keys.groups > 1
  const [group, groups] = part && byGroups ? [part[0], part[1] - part[0]] : [0, keys.groups]
  const [head, heads] = part && !byGroups ? [part[0], part[1] - part[0]] : [0, numbers.heads!]
  const first = group * numbers.heads! + head
  const all = groups * heads
  // kept twice and backwards, so that the scores of any slot order find theirs in one stretch
  const byDistance = scope.weight(weights[0]!)
  const unit = type === 'int8' ? Math.LOG2E : 1 // of the logarithms that scores are
  const bias = new Float32Array(all * 2 * padWindow)
  for (let h = 0; h < all; h++) {
    for (let i = 0; i < 2 * window; i++) {
      const distance = (2 * window - 1 - i) % window
      bias[h * 2 * padWindow + i] = unit * byDistance[(first + h) * window + distance]!
    }
  }
  const tile = type === 'f16' ? Math.min(ATTENTION_TILE, padWindow) * groups * padded : 0
  const scratch = scope.state.add(4 * (all * (2 * padded + padWindow) + tile))
  const rows = group * padded * CACHE_BYTES[type]
  const numbersOf = 4 * first * width
  scope.thread.words.add(
    ATTEND[type],
    ...[scope.thread.positions.get(inputs[1]!)!, keys.at + rows, values.at + rows],
    ...[phaseBytes, rowBytes, window, padWindow, groups, heads, width, padded],
    ...[scope.at(inputs[0]!) + numbersOf, scope.constants.add(bias), scratch],
    scope.at(outputs[0]!) + numbersOf,
    ...[keys.scales, values.scales].map((scales) => scales + 4 * group * padded),
  )
}
