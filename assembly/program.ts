/** The interpreter: a call runs all instructions of a sample (see src/stream/opcodes.ts). */
import { Opcode } from '../src/stream/opcodes'
import { barrier } from './barrier'
import { attendF16, rememberF16 } from './attention-f16'
import { attendF32 } from './attention-f32'
import { attendInt8 } from './attention-int8'
import { rememberF32, rememberInt8 } from './cache'
import { curves } from './curves'
import { add, gate, gelu, glu, normalise, relu } from './elementwise'
import { lookup } from './lookup'
import { matvecF32 } from './matvec-f32'
import { matvecInt8, matvecInt8Sparse } from './matvec-int8'
import { matvecF32Voices } from './matvec-voices'
import { quantiseDense, quantiseSparse } from './quantise'
import { recur } from './recurrent'
import { advance, gather, gatherSparse } from './ring'
import { oscillate } from './state-space'

/** Operand `i` as a count or a constant's address. */
@inline
function n(pc: usize, i: usize): u32 {
  return load<u32>(pc + (i << 2))
}

@inline
function f(pc: usize, i: usize): f32 {
  return load<f32>(pc + (i << 2))
}

/** Runs an instruction over the state at `s`. Returns where the next one is, or 0 if there is no such opcode. */
function instruction(opcode: u32, pc: usize, s: usize): usize {
  switch (opcode) {
    case Opcode.Embed: {
      const bytes = <usize>n(pc, 2) << 2
      memory.copy(s + n(pc, 3), n(pc, 1) + <usize>load<u32>(s + n(pc, 0)) * bytes, bytes)
      pc += 16
      break
    }
    case Opcode.MatvecF32:
      matvecF32(n(pc, 0), n(pc, 1), s + n(pc, 2), n(pc, 3), n(pc, 4), s + n(pc, 5), n(pc, 6))
      pc += 28
      break
    case Opcode.MatvecInt8:
      matvecInt8(
        n(pc, 0),
        n(pc, 1),
        n(pc, 2),
        s + n(pc, 3),
        n(pc, 4),
        n(pc, 5),
        s + n(pc, 6),
        n(pc, 7),
      )
      pc += 32
      break
    case Opcode.MatvecInt8Sparse:
      matvecInt8Sparse(
        n(pc, 0),
        n(pc, 1),
        n(pc, 2),
        s + n(pc, 3),
        n(pc, 4),
        n(pc, 5),
        s + n(pc, 6),
        n(pc, 7),
        n(pc, 8),
      )
      pc += 36
      break
    case Opcode.QuantiseDense:
      quantiseDense(s + n(pc, 0), n(pc, 1), f(pc, 2), n(pc, 3), s + n(pc, 4))
      pc += 20
      break
    case Opcode.QuantiseSparse:
      quantiseSparse(s + n(pc, 0), n(pc, 1), f(pc, 2), n(pc, 3), s + n(pc, 4), n(pc, 5))
      pc += 24
      break
    case Opcode.PushF32:
      memory.copy(advance(s + n(pc, 0), n(pc, 1), n(pc, 2)), s + n(pc, 3), n(pc, 2))
      pc += 16
      break
    case Opcode.PushDense: {
      const column = advance(s + n(pc, 0), n(pc, 1), n(pc, 2))
      quantiseDense(s + n(pc, 3), n(pc, 4), f(pc, 5), n(pc, 6), column)
      pc += 28
      break
    }
    case Opcode.PushSparse: {
      const column = advance(s + n(pc, 0), n(pc, 1), n(pc, 2))
      quantiseSparse(s + n(pc, 3), n(pc, 4), f(pc, 5), n(pc, 6), column, n(pc, 7))
      pc += 32
      break
    }
    case Opcode.Gather:
      gather(s + n(pc, 0), n(pc, 1), n(pc, 2), n(pc, 3), n(pc, 4), n(pc, 5), s + n(pc, 6))
      pc += 28
      break
    case Opcode.GatherSparse:
      gatherSparse(
        s + n(pc, 0),
        n(pc, 1),
        n(pc, 2),
        n(pc, 3),
        n(pc, 4),
        n(pc, 5),
        n(pc, 6),
        s + n(pc, 7),
        n(pc, 8),
      )
      pc += 36
      break
    case Opcode.Normalise:
      normalise(s + n(pc, 0), n(pc, 1), n(pc, 2), n(pc, 3), f(pc, 4), s + n(pc, 5))
      pc += 24
      break
    case Opcode.Gate:
      gate(s + n(pc, 0), n(pc, 1), s + n(pc, 2))
      pc += 12
      break
    case Opcode.Glu:
      glu(s + n(pc, 0), n(pc, 1), s + n(pc, 2))
      pc += 12
      break
    case Opcode.Gelu:
      gelu(s + n(pc, 0), n(pc, 1), s + n(pc, 2))
      pc += 12
      break
    case Opcode.Oscillate:
      oscillate(
        s + n(pc, 0),
        s + n(pc, 1),
        n(pc, 2),
        n(pc, 3),
        n(pc, 4),
        n(pc, 5),
        s + n(pc, 6),
      )
      pc += 28
      break
    case Opcode.Add:
      add(s + n(pc, 0), s + n(pc, 1), n(pc, 2), s + n(pc, 3))
      pc += 16
      break
    case Opcode.Copy:
      memory.copy(s + n(pc, 2), s + n(pc, 0), <usize>n(pc, 1) << 2)
      pc += 12
      break
    case Opcode.Relu:
      relu(s + n(pc, 0), n(pc, 1), s + n(pc, 2))
      pc += 12
      break
    case Opcode.RememberF32:
      rememberF32(
        s + n(pc, 0),
        s + n(pc, 1),
        n(pc, 2),
        n(pc, 3),
        n(pc, 4),
        n(pc, 5),
        s + n(pc, 6),
        n(pc, 7),
        n(pc, 8),
        n(pc, 9),
      )
      pc += 40
      break
    case Opcode.RememberF16:
      rememberF16(
        s + n(pc, 0),
        s + n(pc, 1),
        n(pc, 2),
        n(pc, 3),
        n(pc, 4),
        n(pc, 5),
        s + n(pc, 6),
        n(pc, 7),
        n(pc, 8),
        n(pc, 9),
      )
      pc += 40
      break
    case Opcode.RememberInt8:
      rememberInt8(
        s + n(pc, 0),
        s + n(pc, 1),
        n(pc, 2),
        n(pc, 3),
        n(pc, 4),
        n(pc, 5),
        s + n(pc, 6),
        n(pc, 7),
        n(pc, 8),
        n(pc, 9),
        n(pc, 10),
      )
      pc += 44
      break
    case Opcode.AttendF32:
      attendF32(
        s + n(pc, 0),
        s + n(pc, 1),
        s + n(pc, 2),
        n(pc, 3),
        n(pc, 4),
        n(pc, 5),
        n(pc, 6),
        n(pc, 7),
        n(pc, 8),
        n(pc, 9),
        n(pc, 10),
        s + n(pc, 11),
        n(pc, 12),
        s + n(pc, 13),
        s + n(pc, 14),
      )
      pc += 68
      break
    case Opcode.AttendF16:
      attendF16(
        s + n(pc, 0),
        s + n(pc, 1),
        s + n(pc, 2),
        n(pc, 3),
        n(pc, 4),
        n(pc, 5),
        n(pc, 6),
        n(pc, 7),
        n(pc, 8),
        n(pc, 9),
        n(pc, 10),
        s + n(pc, 11),
        n(pc, 12),
        s + n(pc, 13),
        s + n(pc, 14),
      )
      pc += 68
      break
    case Opcode.AttendInt8:
      attendInt8(
        s + n(pc, 0),
        s + n(pc, 1),
        s + n(pc, 2),
        n(pc, 3),
        n(pc, 4),
        n(pc, 5),
        n(pc, 6),
        n(pc, 7),
        n(pc, 8),
        n(pc, 9),
        n(pc, 10),
        s + n(pc, 11),
        n(pc, 12),
        s + n(pc, 13),
        s + n(pc, 14),
        n(pc, 15),
        n(pc, 16),
      )
      pc += 68
      break
    case Opcode.Curves:
      curves(
        s + n(pc, 0),
        s + n(pc, 1),
        n(pc, 2),
        n(pc, 3),
        n(pc, 4),
        n(pc, 5),
        n(pc, 6),
        s + n(pc, 7),
        s + n(pc, 8),
      )
      pc += 36
      break
    case Opcode.Skip:
      pc += 12 + (load<u32>(s + n(pc, 0)) === n(pc, 1) ? 0 : <usize>n(pc, 2))
      break
    case Opcode.Count: {
      const counter = s + n(pc, 0)
      const next = load<u32>(counter) + 1
      store<u32>(counter, next < n(pc, 1) ? next : 0)
      pc += 8
      break
    }
    case Opcode.Barrier:
      barrier(n(pc, 0), n(pc, 1), n(pc, 2))
      pc += 12
      break
    case Opcode.Lookup:
      lookup(
        s + n(pc, 0),
        n(pc, 1),
        n(pc, 2),
        f(pc, 3),
        f(pc, 4),
        n(pc, 5),
        n(pc, 6),
        n(pc, 7),
        s + n(pc, 8),
      )
      pc += 36
      break
    case Opcode.Recur:
      recur(s + n(pc, 0), s + n(pc, 1), n(pc, 2), n(pc, 3), s + n(pc, 4))
      pc += 20
      break
    default:
      return 0
  }
  return pc
}

/**
 * Runs the program at `pc` over the state at `s`.
 *
 * @returns 0, or the opcode that is unknown
 */
export function run(pc: usize, s: usize): u32 {
  while (true) {
    const opcode = load<u32>(pc)
    if (opcode === Opcode.End) return 0
    pc = instruction(opcode, pc + 4, s)
    if (!pc) return opcode
  }
}

/**
 * Runs the program at `pc` over several states, every instruction for all of them before the next. A
 * state that skips instructions waits where it goes on.
 *
 * @param voices [3, count] addresses of states, then places for ours: where each waits, who does not
 * @returns 0, or the opcode that is unknown
 */
export function runVoices(pc: usize, voices: usize, count: u32): u32 {
  const bytes = <usize>count << 2
  const waits = voices + bytes
  const runners = waits + bytes
  memory.fill(waits, 0, bytes)
  while (true) {
    const opcode = load<u32>(pc)
    if (opcode === Opcode.End) return 0
    let running: u32 = 0
    let next: usize = usize.MAX_VALUE
    for (let i: usize = 0; i < bytes; i += 4) {
      const wait = <usize>load<u32>(waits + i)
      if (wait > pc) {
        next = min(next, wait)
      } else {
        store<u32>(runners + (<usize>running << 2), load<u32>(voices + i))
        running++
      }
    }
    if (running === 0) {
      pc = next
      continue
    }
    pc += 4
    if (opcode === Opcode.Skip) {
      for (let i: usize = 0; i < bytes; i += 4) {
        if (load<u32>(waits + i) >= pc) continue
        store<u32>(waits + i, <u32>instruction(opcode, pc, load<u32>(voices + i)))
      }
      pc += 12
    } else if (opcode === Opcode.MatvecF32) {
      matvecF32Voices(n(pc, 0), n(pc, 1), n(pc, 2), n(pc, 3), n(pc, 4), n(pc, 5), n(pc, 6), runners, running)
      pc += 28
    } else {
      const at = pc
      for (let i: u32 = 0; i < running; i++) {
        pc = instruction(opcode, at, load<u32>(runners + (<usize>i << 2)))
      }
      if (!pc) return opcode
    }
  }
}
