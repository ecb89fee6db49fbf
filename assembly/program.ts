/** The interpreter: one call runs all instructions of one sample (see src/stream/opcodes.ts). */
import { Opcode } from '../src/stream/opcodes'
import { attendF16, rememberF16 } from './attention-f16'
import { attendF32 } from './attention-f32'
import { attendInt8 } from './attention-int8'
import { rememberF32, rememberInt8 } from './cache'
import { curves } from './curves'
import { add, gate, normalise, relu } from './elementwise'
import { matvecF32 } from './matvec-f32'
import { matvecInt8, matvecInt8Sparse } from './matvec-int8'
import { quantiseDense, quantiseSparse } from './quantise'
import { advance, gather, gatherSparse } from './ring'

/** Operand `i` as a count or a constant's address. */
@inline
function n(pc: usize, i: usize): u32 {
  return load<u32>(pc + (i << 2))
}

@inline
function f(pc: usize, i: usize): f32 {
  return load<f32>(pc + (i << 2))
}

/**
 * Runs the program at `pc` over the state at `s`.
 *
 * @returns 0, or the opcode that is unknown
 */
export function run(pc: usize, s: usize): u32 {
  while (true) {
    const opcode = load<u32>(pc)
    pc += 4
    switch (opcode) {
      case Opcode.End:
        return 0
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
          n(pc, 1),
          n(pc, 2),
          n(pc, 3),
          n(pc, 4),
          s + n(pc, 5),
          n(pc, 6),
          n(pc, 7),
          n(pc, 8),
        )
        pc += 36
        break
      case Opcode.RememberF16:
        rememberF16(
          s + n(pc, 0),
          n(pc, 1),
          n(pc, 2),
          n(pc, 3),
          n(pc, 4),
          s + n(pc, 5),
          n(pc, 6),
          n(pc, 7),
          n(pc, 8),
        )
        pc += 36
        break
      case Opcode.RememberInt8:
        rememberInt8(
          s + n(pc, 0),
          n(pc, 1),
          n(pc, 2),
          n(pc, 3),
          n(pc, 4),
          s + n(pc, 5),
          n(pc, 6),
          n(pc, 7),
          n(pc, 8),
          n(pc, 9),
        )
        pc += 40
        break
      case Opcode.AttendF32:
        attendF32(
          s + n(pc, 0),
          s + n(pc, 1),
          n(pc, 2),
          n(pc, 3),
          n(pc, 4),
          n(pc, 5),
          n(pc, 6),
          n(pc, 7),
          n(pc, 8),
          n(pc, 9),
          s + n(pc, 10),
          n(pc, 11),
          s + n(pc, 12),
          s + n(pc, 13),
        )
        pc += 64
        break
      case Opcode.AttendF16:
        attendF16(
          s + n(pc, 0),
          s + n(pc, 1),
          n(pc, 2),
          n(pc, 3),
          n(pc, 4),
          n(pc, 5),
          n(pc, 6),
          n(pc, 7),
          n(pc, 8),
          n(pc, 9),
          s + n(pc, 10),
          n(pc, 11),
          s + n(pc, 12),
          s + n(pc, 13),
        )
        pc += 64
        break
      case Opcode.AttendInt8:
        attendInt8(
          s + n(pc, 0),
          s + n(pc, 1),
          n(pc, 2),
          n(pc, 3),
          n(pc, 4),
          n(pc, 5),
          n(pc, 6),
          n(pc, 7),
          n(pc, 8),
          n(pc, 9),
          s + n(pc, 10),
          n(pc, 11),
          s + n(pc, 12),
          s + n(pc, 13),
          n(pc, 14),
          n(pc, 15),
        )
        pc += 64
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
      default:
        return opcode
    }
  }
}
