/**
 * A diagonal state-space layer, S4D (Gu et al., "On the Parameterization and Initialization of Diagonal
 * State Space Models", 2022): every channel drives `modes` complex states of its own,
 *
 *   s[t] = a s[t-1] + u[t],   y[t] = 2 Re(sum over modes of c s[t]) + D u[t],
 *
 * with a = exp(dt A) and c = C (a - 1) / A: the system s' = A s + u, y = 2 Re(C s), held constant over
 * a step of dt. B is 1, as its product with C is all that matters.
 */
import {
  add,
  concat,
  constant,
  cos,
  div,
  exp,
  expand,
  matmul,
  mul,
  pad,
  recurrence,
  reshape,
  reverse,
  type Shape,
  scale,
  shift,
  sin,
  slice,
  sub,
  sum,
  type Tensor,
} from '../graph/index.js'
import type { Parameters } from './parameters.js'

export interface StateSpace {
  /** [channels, 2 modes]: real parts, then imaginary ones; zeros before the first sample. */
  readonly stateShape: Shape
  /** u [channels, time] and the state before it -> y [channels, time] and the state after it. */
  forward(p: Parameters, u: Tensor, state: Tensor): { y: Tensor; state: Tensor }
}

export interface StateSpaceOptions {
  channels: number
  /** Complex states of a channel, each of which stands for itself and its conjugate. */
  modes: number
}

/** Steps of time, in samples, that channels start with: log-uniform (S4's own range). */
const SLOWEST = 0.001
const FASTEST = 0.1

/** Samples at most that are one product; what crosses from chunk to chunk is the state. */
const CHUNK = 64

/**
 * Parameters: `${name}.c` [channels, 2 modes] and `.d` [channels]; of the poles, which learn at a rate of
 * their own, `poles.${name}.dt` [channels], logarithms, `.decay` and `.frequency` [modes], where A =
 * -exp(decay) + i frequency is the same for all channels.
 *
 * They start as S4D-Lin: A = -1/2 + i pi n, C normal, D normal.
 */
export function stateSpace(name: string, options: StateSpaceOptions): StateSpace {
  const { channels, modes } = options
  return {
    stateShape: [channels, 2 * modes],
    forward: (p, u, before) =>
      p.graph.scoped(name, () => {
        const time = u.shape[1]!
        const chunk = chunkOf(time)
        const whole = Math.floor(time / chunk) * chunk
        const matrices = chunkMatrices(p, name, options, chunk)
        const first = overChunks(slice(u, 1, 0, whole), before, matrices)
        if (whole === time) return first
        // what is left is a shorter chunk
        const rest = overChunks(slice(u, 1, whole, time), first.state, cut(matrices, time - whole))
        return { y: concat([first.y, rest.y], 1), state: rest.state }
      }),
  }
}

/** The longest chunk that divides the time, if it is not too short for full speed. */
export function chunkOf(time: number): number {
  if (time <= CHUNK) return time
  for (let chunk = CHUNK; chunk >= CHUNK / 2; chunk--) if (time % chunk === 0) return chunk
  return CHUNK
}

/** One chunk of a channel as products with its samples and with the state before it. */
interface ChunkMatrices {
  /** Powers a^0 ... a^chunk, [channels, 2 modes, chunk + 1]. */
  powers: Tensor
  /** y of every sample from the state before the chunk, [channels, 2 modes, chunk]. */
  fromState: Tensor
  /** y[t] of u[t - k], [channels, chunk]. */
  kernel: Tensor
}

function chunkMatrices(
  p: Parameters,
  name: string,
  { channels, modes }: StateSpaceOptions,
  chunk: number,
): ChunkMatrices {
  const { re, im, cre, cim, d } = discretised(p, name, { channels, modes })
  const one = constant(
    p.graph,
    Array.from({ length: chunk + 1 }, (_, i) => i),
    [1, 1, chunk + 1],
  )
  const column = (t: Tensor) => reshape(t, [channels, modes, 1])
  const size = exp(mul(column(re), one)) // [channels, modes, chunk + 1]
  const angle = mul(column(im), one)
  const [vr, vi] = [mul(size, cos(angle)), mul(size, sin(angle))]
  const [cr, ci] = [column(cre), column(cim)]
  const outRe = scale(sub(mul(cr, vr), mul(ci, vi)), 2) // 2 c a^l
  const outIm = scale(add(mul(cr, vi), mul(ci, vr)), -2)
  const after = (t: Tensor) => slice(t, 2, 1, chunk + 1)
  const response = reshape(sum(slice(outRe, 2, 0, chunk), [1]), [channels, chunk])
  return {
    powers: concat([vr, vi], 1),
    fromState: concat([after(outRe), after(outIm)], 1),
    kernel: add(response, pad(reshape(d, [channels, 1]), 1, 0, chunk - 1)),
  }
}

/** The matrices of a shorter chunk. */
function cut({ powers, fromState, kernel }: ChunkMatrices, chunk: number): ChunkMatrices {
  return {
    powers: slice(powers, 2, 0, chunk + 1),
    fromState: slice(fromState, 2, 0, chunk),
    kernel: slice(kernel, 1, 0, chunk),
  }
}

/** ln a [channels, modes] and c [channels, modes], as real and imaginary parts. */
function discretised(p: Parameters, name: string, { channels, modes }: StateSpaceOptions) {
  const logs = Float32Array.from(
    // in the middle of equal parts of the range: as uniform as can be, and without a seed
    { length: channels },
    (_, i) => Math.log(SLOWEST) + ((i + 0.5) / channels) * Math.log(FASTEST / SLOWEST),
  )
  const frequencies = Float32Array.from({ length: modes }, (_, n) => Math.PI * n)
  const dt = reshape(exp(p.get(`poles.${name}.dt`, [channels], { values: logs })), [channels, 1])
  const decay = p.get(`poles.${name}.decay`, [modes], Math.log(0.5))
  const ar = reshape(scale(exp(decay), -1), [1, modes])
  const ai = reshape(p.get(`poles.${name}.frequency`, [modes], { values: frequencies }), [1, modes])
  const c = p.get(`${name}.c`, [channels, 2 * modes], { normal: Math.SQRT1_2 })
  const d = p.get(`${name}.d`, [channels], { normal: 1 })
  const [re, im] = [mul(dt, ar), mul(dt, ai)]
  const size = exp(re)
  const [br, bi] = [shift(mul(size, cos(im)), -1), mul(size, sin(im))] // a - 1
  const square = add(mul(ar, ar), mul(ai, ai))
  const qr = div(add(mul(br, ar), mul(bi, ai)), square) // (a - 1) / A
  const qi = div(sub(mul(bi, ar), mul(br, ai)), square)
  const [cr, ci] = [slice(c, 1, 0, modes), slice(c, 1, modes, 2 * modes)]
  const cre = sub(mul(cr, qr), mul(ci, qi))
  const cim = add(mul(cr, qi), mul(ci, qr))
  return { re, im, cre, cim, d }
}

/** Whole chunks: u [channels, time] and the state before them. */
function overChunks(
  u: Tensor,
  before: Tensor,
  { powers, fromState, kernel }: ChunkMatrices,
): { y: Tensor; state: Tensor } {
  const [channels, time] = u.shape as [number, number]
  const [, width, more] = powers.shape as [number, number, number]
  const chunk = more - 1
  const count = time / chunk
  const rows = reshape(u, [channels, count, chunk])
  const toState = reverse(slice(powers, 2, 0, chunk), 2) // the newest sample adds itself
  const added = matmul(rows, toState, { transB: true }) // [channels, count, 2 modes]
  const start = reshape(before, [channels, 1, width])
  const last = reshape(slice(powers, 2, chunk, more), [channels, width])
  const states = recurrence(concat([start, added], 1), last) // [channels, count + 1, 2 modes]
  const inside = matmul(rows, toeplitz(kernel))
  const across = matmul(slice(states, 1, 0, count), fromState)
  return {
    y: reshape(add(inside, across), [channels, time]),
    state: reshape(slice(states, 1, count, count + 1), [channels, width]),
  }
}

/** Rows k[i - j] for i >= j, else 0, [channels, j, i], of k [channels, n]. */
function toeplitz(k: Tensor): Tensor {
  const [channels, n] = k.shape as [number, number]
  const row = reshape(pad(k, 1, 0, n), [channels, 1, 2 * n])
  // equal rows of 2 n, read as rows of 2 n - 1, slip to the right by one a row
  const flat = reshape(expand(row, [channels, n, 2 * n]), [channels, 2 * n * n])
  const slipped = reshape(slice(flat, 1, 0, n * (2 * n - 1)), [channels, n, 2 * n - 1])
  return slice(slipped, 2, 0, n)
}
