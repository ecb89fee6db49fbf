import {
  add,
  concat,
  constant,
  div,
  type Graph,
  input,
  minimum,
  mul,
  reshape,
  type Shape,
  scale,
  shift,
  sizeOf,
  slice,
  sqrt,
  sub,
  sum,
  type Tensor,
} from '../graph/index.js'

/** What stays the same over a run of AdamW. */
export interface AdamWConstants {
  /** Decay of the mean of gradients. */
  beta1: number
  /** Decay of the mean of their squares. */
  beta2: number
  epsilon: number
}

/** Runs here are short, so the second moment forgets faster than the usual 0.999. */
export const ADAMW: AdamWConstants = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8 }

/** Numbers of one update. */
export interface AdamWScalars {
  /** Of a parameter whose own factor is 1. */
  rate: number
  /** Decoupled weight decay, of matrices and kernels only. */
  decay: number
  /** The longest the gradient of all parameters together may be; Infinity to leave it as it is. */
  clip: number
  /** Share of the old moving average that is kept, where there is one. */
  average: number
}

/** Those that a program of `adamW` is fed as inputs of one element. */
export const SCALARS = ['decay', 'clip', 'average'] as const

interface Parameter {
  readonly name: string
  readonly shape: Shape
}

/**
 * One update of Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), the
 * gradient clipped by its global norm, as a fragment of `graph`: a pure function.
 *
 * Inputs, each flat: `p.NAME` the parameter, `m.NAME` and `v.NAME` its moments, `g.NAME` its
 * gradient, `a.NAME` its moving average; SCALARS; and for each parameter [parameters]: `rates`, which
 * scale its step and its decay alike, `correction1` and `correction2`, what `corrections` gives.
 *
 * @returns outputs `next.p.NAME`, `next.m.NAME`, ... and `norm` [1], that of the gradient unclipped
 */
export function adamW(
  graph: Graph,
  parameters: readonly Parameter[],
  { beta1, beta2, epsilon }: AdamWConstants,
  { average = false }: { average?: boolean } = {},
): Record<string, Tensor> {
  const flat = (kind: string, { name, shape }: Parameter) =>
    input(graph, `${kind}.${name}`, [sizeOf(shape)])
  const scalar = (name: (typeof SCALARS)[number]) => input(graph, name, [1])
  const gradients = parameters.map((parameter) => flat('g', parameter))

  const norm = sqrt(sum(concat(gradients.map(squares), 0))) // [1]
  // the same guard against division by zero as PyTorch's clip_grad_norm_
  const clipping = minimum(div(scalar('clip'), shift(norm, 1e-6)), 1)
  const share1 = scale(clipping, 1 - beta1)
  const share2 = scale(mul(clipping, clipping), 1 - beta2)

  const each = (name: string) => input(graph, name, [parameters.length])
  const rates = each('rates')
  const keeps = shift(scale(mul(rates, scalar('decay')), -1), 1)
  // factors are merged (Kingma and Ba 2015, end of section 2): passes over parameters cost most
  const roots = sqrt(each('correction2'))
  const steps = div(mul(rates, each('correction1')), roots)
  const epsilons = div(constant(graph, [epsilon], [1]), roots)
  const kept = average ? scalar('average') : undefined

  const outputs: Record<string, Tensor> = { norm }
  for (const [i, parameter] of parameters.entries()) {
    const { name, shape } = parameter
    const g = gradients[i]!
    const p = flat('p', parameter)
    const m = add(scale(flat('m', parameter), beta1), mul(g, share1))
    const v = add(scale(flat('v', parameter), beta2), mul(mul(g, g), share2))
    const direction = div(m, add(sqrt(v), slice(epsilons, 0, i, i + 1)))
    const decayed = shape.length < 2 ? p : mul(p, slice(keeps, 0, i, i + 1))
    const next = sub(decayed, mul(direction, slice(steps, 0, i, i + 1)))
    Object.assign(outputs, {
      [`next.p.${name}`]: next,
      [`next.m.${name}`]: m,
      [`next.v.${name}`]: v,
    })
    if (kept) {
      const a = flat('a', parameter)
      // a + (1 - kept)(p - a): exact where nothing moves
      outputs[`next.a.${name}`] = add(a, mul(sub(next, a), shift(scale(kept, -1), 1)))
    }
  }
  return outputs
}

/** The sum of squares, [1]. */
function squares(x: Tensor): Tensor {
  return reshape(sum(mul(x, x)), [1])
}

/** The factors that make moments unbiased which started at zero, at the `update`-th update from 1. */
export function corrections(
  update: number,
  { beta1, beta2 }: AdamWConstants,
): readonly [first: number, second: number] {
  return [1 / (1 - beta1 ** update), 1 / (1 - beta2 ** update)]
}
