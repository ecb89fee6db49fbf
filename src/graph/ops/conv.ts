import type { Lowering } from '../onnx.js'
import { apply, misfit, type Op } from '../op.js'
import { showShape, type Tensor } from '../tensor.js'
import { reverse } from './gather.js'
import { matmul } from './matmul.js'
import { sum } from './reduce.js'
import { concat, dilate, pad, reshape, slice, transpose } from './shape.js'

interface ConvAttrs {
  stride: number
  dilation: number
}

/** Below this many products per output, Conv is slower than unfolding (2 GFLOP/s at 1 channel). */
const SMALL = 16

const convOp: Op<ConvAttrs> = {
  name: 'conv1d',
  shape([x, w], { stride, dilation }, place) {
    const [batch, channels, time] = x!.shape
    const [filters, inputs, taps] = w!.shape
    const span = ((taps ?? 0) - 1) * dilation + 1
    if (x!.shape.length !== 3 || w!.shape.length !== 3 || channels !== inputs || time! < span) {
      throw misfit(
        place,
        'the signal and the kernel do not fit.',
        `[batch, channels, time >= ${span}] and [filters, channels, taps]`,
        `${showShape(x!.shape)} and ${showShape(w!.shape)}`,
      )
    }
    return [batch!, filters!, Math.floor((time! - span) / stride) + 1]
  },
  lower(to, [x, w, b], node, attrs) {
    const [signal, kernel] = node.inputs as [Tensor, Tensor]
    const [filters, channels, taps] = kernel.shape as [number, number, number]
    // ORT's Conv has no float64
    if (node.dtype === 'float64' || channels * taps <= SMALL) {
      return withBias(to, lowerUnfolded(to, x!, w!, node, attrs), b)
    }
    const { stride, dilation } = attrs
    if (taps === 1 && stride === 1 && signal.shape[0] === 1) {
      // a pointwise convolution of one signal is a plain product
      const matrix = to.emit('Reshape', [w!, to.ints([filters, channels])])
      const columns = to.emit('Reshape', [x!, to.ints([channels, signal.shape[2]!])])
      const product = to.emit('MatMul', [matrix, columns])
      return withBias(to, to.emit('Reshape', [product, to.ints(node.shape)]), b)
    }
    return to.emit('Conv', b ? [x!, w!, b] : [x!, w!], { strides: [stride], dilations: [dilation] })
  },
  // y[o, t] = sum w[o, c, k] x[c, s t + d k]:
  //   dx = convolution of dy, s - 1 zeros between its columns, with the kernel reversed in time
  //   dw[o, c, k] = sum_t dy[o, t] x[c, s t + d k], one product per tap
  vjp(dy, node, { stride, dilation }) {
    const [x, w, b] = node.inputs as [Tensor, Tensor, Tensor | undefined]
    const [batch, channels, time] = x.shape as [number, number, number]
    const [filters, , taps] = w.shape as [number, number, number]
    const columns = dy.shape[2]!
    const reach = (taps - 1) * dilation

    const spread = dilate(dy, 2, stride)
    const full = pad(spread, 2, reach, Math.max(0, time - spread.shape[2]!))
    const dx = conv1d(slice(full, 2, 0, time + reach), reverse(transpose(w, [1, 0, 2]), 2), {
      dilation,
    })

    const rows = (t: Tensor, size: number) =>
      reshape(batch === 1 ? t : transpose(t, [1, 0, 2]), [size, batch * columns])
    const dyRows = rows(dy, filters)
    const perTap = Array.from({ length: taps }, (_, k) => {
      const start = k * dilation
      const seen = slice(x, 2, start, start + (columns - 1) * stride + 1, stride)
      const product = matmul(dyRows, rows(seen, channels), { transB: true })
      return reshape(product, [filters, channels, 1])
    })
    const dw = concat(perTap, 2)
    return b ? [dx, dw, reshape(sum(dy, [0, 2]), [filters])] : [dx, dw]
  },
}

/** Adds a bias per filter to [batch, filters, time]. */
function withBias(to: Lowering, y: string, b: string | undefined): string {
  return b ? to.emit('Add', [y, to.emit('Unsqueeze', [b, to.ints([1])])]) : y
}

/** The same convolution as a product with the unfolded signal: [filters, c k] x [c k, time]. */
function lowerUnfolded(
  to: Lowering,
  x: string,
  w: string,
  node: Tensor,
  { stride, dilation }: ConvAttrs,
): string {
  const [batch, filters, columns] = node.shape as [number, number, number]
  const [, channels, taps] = node.inputs[1]!.shape as [number, number, number]
  const shifted = Array.from({ length: taps }, (_, k) => {
    const start = k * dilation
    const stop = start + (columns - 1) * stride + 1
    const range = [to.ints([start]), to.ints([stop]), to.ints([2]), to.ints([stride])]
    return to.emit('Slice', [x, ...range])
  })
  // [batch, taps * channels, time], tap by tap
  const unfolded = to.emit('Concat', shifted, { axis: 1 })
  const byTap = to.emit('Transpose', [w], { perm: [0, 2, 1] })
  const matrix = to.emit('Reshape', [byTap, to.ints([filters, taps * channels])])
  if (batch > 1) return to.emit('MatMul', [matrix, unfolded])
  const flat = to.emit('Reshape', [unfolded, to.ints([taps * channels, columns])])
  return to.emit('Reshape', [to.emit('MatMul', [matrix, flat]), to.ints(node.shape)])
}

/**
 * One-dimensional convolution without padding (in the sense of machine learning: correlation).
 *
 * @param x [batch, channels, time]
 * @param w [filters, channels, taps]
 * @param bias [filters]
 * @returns [batch, filters, floor((time - (taps - 1) dilation - 1) / stride) + 1]
 */
export function conv1d(
  x: Tensor,
  w: Tensor,
  { stride = 1, dilation = 1, bias }: { stride?: number; dilation?: number; bias?: Tensor } = {},
): Tensor {
  return apply(convOp, bias ? [x, w, bias] : [x, w], { stride, dilation })
}
