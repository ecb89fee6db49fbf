import type { Lowering } from '../onnx.js'
import { apply, misfit, type Op } from '../op.js'
import { sameShape, showShape, sizeOf, type Tensor } from '../tensor.js'
import { add, mul, scale, shift, sigmoid, sub, tanh } from './elementwise.js'
import { matmul } from './matmul.js'
import { sumTo } from './reduce.js'
import { concat, reshape, slice, transpose } from './shape.js'

/** Frame `t` of [frames, ...], the first axis 1. */
const frame = (to: Lowering, x: string, t: number) => to.emit('Gather', [x, to.ints([t])])

const gruOp: Op<undefined> = {
  name: 'gru',
  shape([x, u, b, h], _, place) {
    const [frames, gates, batch] = x!.shape as [number, number, number]
    const width = gates / 3
    const fits =
      sameShape(u!.shape, [gates, width]) &&
      sameShape(b!.shape, [gates, 1]) &&
      sameShape(h!.shape, [width, batch])
    if (!fits) {
      throw misfit(
        place,
        'the recurrent parts do not fit.',
        `[3 n, n], [3 n, 1] and [n, ${batch}] for ${showShape(x!.shape)}`,
        `${showShape(u!.shape)}, ${showShape(b!.shape)} and ${showShape(h!.shape)}`,
      )
    }
    return [frames, width, batch]
  },
  // weights on the left: [3 n, n] x [n, batch] reads them as they lie, once a frame
  lower(to, [x, u, b, h], node) {
    const [frames, width, batch] = node.shape as [number, number, number]
    const split = { axis: 0, num_outputs: 3 }
    const flat = to.ints([3 * width, batch])
    const alone = to.ints([1, width, batch])
    const states: string[] = []
    let before = h!
    for (let t = 0; t < frames; t++) {
      const mine = to.emit('Reshape', [frame(to, x!, t), flat])
      const [xr, xz, xn] = to.emitAll('Split', [mine], 3, split)
      const product = to.emit('Gemm', [u!, before, b!])
      const [ur, uz, un] = to.emitAll('Split', [product], 3, split)
      const r = to.emit('Sigmoid', [to.emit('Add', [xr!, ur!])])
      const z = to.emit('Sigmoid', [to.emit('Add', [xz!, uz!])])
      const n = to.emit('Tanh', [to.emit('Add', [xn!, to.emit('Mul', [r, un!])])])
      const rest = to.emit('Mul', [z, to.emit('Sub', [before, n])])
      before = to.emit('Add', [n, rest])
      states.push(to.emit('Reshape', [before, alone]))
    }
    return to.emit('Concat', states, { axis: 0 })
  },
  // the gates of all frames again, in one product; then the way back is linear: see gruBackOp
  vjp(dy, node) {
    const [x, u, b, h] = node.inputs as [Tensor, Tensor, Tensor, Tensor]
    const [frames, width, batch] = node.shape as [number, number, number]
    const first = reshape(h, [1, width, batch])
    const before = frames === 1 ? first : concat([first, slice(node, 0, 0, frames - 1)], 0)
    const columns = byColumn(before) // [n, frames batch]
    const product = add(matmul(u, columns), b) // [3 n, frames batch]
    const again = transpose(reshape(product, [3 * width, frames, batch]), [1, 0, 2])
    const part = (v: Tensor, i: number) => slice(v, 1, i * width, (i + 1) * width)
    const r = sigmoid(add(part(x, 0), part(again, 0)))
    const z = sigmoid(add(part(x, 1), part(again, 1)))
    const un = part(again, 2)
    const n = tanh(add(part(x, 2), mul(r, un)))

    // what a change of h[t] is worth times these is what one of the gates' sums is worth
    const rest = (v: Tensor) => shift(scale(v, -1), 1)
    const toN = mul(rest(z), rest(mul(n, n)))
    const toZ = mul(sub(before, n), mul(z, rest(z)))
    const toR = mul(mul(toN, un), mul(r, rest(r)))
    const toUn = mul(toN, r)
    const g = apply(gruBackOp, [dy, z, concat([toR, toZ, toUn], 1), u], undefined) // [frames + 1, n, batch]
    const later = slice(g, 0, 1, frames + 1)

    const [dr, dz] = [mul(toR, later), mul(toZ, later)]
    const dx = concat([dr, dz, mul(toN, later)], 1)
    const dProduct = byColumn(concat([dr, dz, mul(toUn, later)], 1)) // [3 n, frames batch]
    const du = matmul(dProduct, columns, { transB: true })
    const dh = reshape(slice(g, 0, 0, 1), [width, batch])
    return [dx, du, sumTo(dProduct, b.shape), dh]
  },
}

/** [frames, n, batch] to [n, frames batch]. */
function byColumn(x: Tensor): Tensor {
  const [frames, n, batch] = x.shape as [number, number, number]
  return reshape(transpose(x, [1, 0, 2]), [n, frames * batch])
}

/**
 * g[t] = dy[t] + z[t + 1] g[t + 1] + U^T (a[t + 1] g[t + 1]) from the last frame to the first: what each
 * state is worth to the loss, that before the first frame in front.
 */
const gruBackOp: Op<undefined> = {
  name: 'gruBack',
  shape: ([dy]) => dy!.shape.with(0, dy!.shape[0]! + 1),
  lower(to, [dy, z, a, u], node) {
    const [count, width, batch] = node.shape as [number, number, number]
    // of three axes, or the runtime makes it part of the product and transposes at every frame
    const turned = to.emit('Reshape', [
      to.emit('Transpose', [u!], { perm: [1, 0] }),
      to.ints([1, width, 3 * width]),
    ])
    const apart = to.emit('Reshape', [a!, to.ints([count - 1, 3, width, batch])])
    const flat = to.ints([3 * width, batch])
    const found: string[] = []
    let later: string | undefined
    for (let t = count - 2; t >= 0; t--) {
      const direct = frame(to, dy!, t)
      const g = later === undefined ? direct : to.emit('Add', [direct, later])
      const gates = to.emit('Reshape', [to.emit('Mul', [frame(to, apart, t), g]), flat])
      const kept = to.emit('Mul', [frame(to, z!, t), g])
      later = to.emit('Add', [kept, to.emit('MatMul', [turned, gates])])
      found.unshift(g)
    }
    return to.emit('Concat', [later!, ...found], { axis: 0 })
  },
}

/**
 * A recurrent layer of gated units (Cho et al. 2014), the reset gate after the product as PyTorch and
 * cuDNN have it:
 *
 *   r = sigmoid(x_r + U_r h + b_r), z = sigmoid(x_z + U_z h + b_z)
 *   n = tanh(x_n + r (U_n h + b_n)), h' = (1 - z) n + z h
 *
 * @param x [frames, 3 n, batch] what comes from the input, for r, z and n
 * @param u [3 n, n]
 * @param b [3 n, 1]
 * @param h [n, batch] the state before the first frame
 * @returns the states after each frame, [frames, n, batch]
 */
export function gru(x: Tensor, u: Tensor, b: Tensor, h: Tensor): Tensor {
  return apply(gruOp, [x, u, b, h], undefined)
}

/** Multiply-accumulate operations of the recurrent products. */
export const gruMacs = ({ shape, inputs }: Tensor) =>
  (sizeOf(shape) / shape[1]!) * sizeOf(inputs[1]!.shape)
