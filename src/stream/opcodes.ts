/**
 * The instruction set that `pack` emits and `assembly/program.ts` executes; this file is compiled by
 * both, so it is plain enough for either language. An instruction is its opcode and its operands,
 * each a 32-bit word. Operands are addresses: of the state (s), from its start; of what is constant
 * (c), absolute; or counts (n).
 */
export enum Opcode {
  End = 0,
  /** s code, c table [codes, n], n, s y */
  Embed = 1,
  /** c weights, c bias, s x, n inputs, n outputs, s y, n flags */
  MatvecF32 = 2,
  /** c weights, c scales, c bias, s x (int16), n inputs, n outputs, s y, n flags */
  MatvecInt8 = 3,
  /** the same, x a list of what is not zero, n its capacity */
  MatvecInt8Sparse = 4,
  /** s x, n, f32 factor, n limit, s y (int16) */
  QuantiseDense = 5,
  /** s x, n, f32 factor, n limit, s y (list), n capacity */
  QuantiseSparse = 6,
  /** s ring, n length, n bytes of a column, s x */
  PushF32 = 7,
  /** s ring, n length, n bytes of a column, s x, n, f32 factor, n limit */
  PushDense = 8,
  /** s ring, n length, n bytes of a column, s x, n, f32 factor, n limit, n capacity */
  PushSparse = 9,
  /** s ring, n length, n bytes of a column, n bytes of a tap, n taps, n dilation, s y */
  Gather = 10,
  /** s ring, n length, n bytes of a column, n channels, n taps, n dilation, n capacity, s y, n its capacity */
  GatherSparse = 11,
  /** s x, c scale, c offset, n, f32 epsilon, s y */
  Normalise = 12,
  /** s x [2 n], n, s y */
  Gate = 13,
  /** s a, s b, n, s y */
  Add = 14,
  /** s x, n, s y */
  Copy = 15,
  /** s x, n, s y */
  Relu = 16,
  /** s position, s rows, n phases, n bytes of a phase, n bytes of a row, n window, s x, n groups, n width, n padded width */
  RememberF32 = 17,
  /** the same, c factors [groups, padded width] */
  RememberInt8 = 18,
  /**
   * s position, s keys, s values, n bytes of a phase, n bytes of a row, n window, n padded window, n groups,
   * n heads of a group, n width, n padded width, s q, c bias [heads, 2 padded window], s scratch, s y,
   * c scales of keys, c scales of values (unused by f32 and f16)
   */
  AttendF32 = 19,
  AttendInt8 = 20,
  /** s forecast (mean, 1 / scale), s numbers, n curves, c widths, c edges, c gaps, n levels, s y, s scratch */
  Curves = 21,
  /** s counter, n phase, n bytes: goes on so far behind these operands unless the counter is the phase */
  Skip = 22,
  /** s counter, n period: the counter goes on by one, from period - 1 to 0 */
  Count = 23,
  /** as RememberF32 and AttendF32, rows of halves; the scratch of AttendF16 has room for a tile more */
  RememberF16 = 24,
  AttendF16 = 25,
  /** s x [2 n], n, s y */
  Glu = 26,
  /** s x, n, s y */
  Gelu = 27,
  /** s u, s state, c modes [n, fours of modes, 4, 4], c d, n, n fours of modes, s y */
  Oscillate = 28,
  /** c counters (written all the same), n thread, n threads */
  Barrier = 29,
  /** s ring, n length, n taps, f32 scale, f32 offset, c tables [taps, rows, n], n rows, n, s y */
  Lookup = 30,
  /** s x [3 n], s u [3 n], c first, n, s h */
  Recur = 31,
}

/** Flags of products: the result is added to what is there; the result is rectified. */
export enum Flag {
  Add = 1,
  Relu = 2,
}

/** Bytes before the columns of a ring: the position of the newest. */
export const RING_HEADER = 16
/** Bytes of a cache's position: phase and token of the next and of the newest row. */
export const POSITION_BYTES = 16
/** Bytes of a thread's counter at barriers. */
export const BARRIER_BYTES = 64
/** Bytes before the values of a sparse list: how many there are. */
export const LIST_HEADER = 16
/** Tokens whose rows all heads of attention read before the next. */
export const ATTENTION_TILE = 32
/** Outputs that one block of a product's weights serves, and those of a block at the end. */
export const BLOCK = 32
export const SMALL_BLOCK = 8
