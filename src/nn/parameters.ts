import { Random } from '../base/random.js'
import { Graph, input, type Shape, sizeOf, type Tensor } from '../graph/index.js'

/** How a parameter starts: a constant, normal numbers of a standard deviation, or given values. */
export type Initial = number | { readonly normal: number } | { readonly values: Float32Array }

export interface Declared {
  readonly name: string
  readonly shape: Shape
  readonly initial: Initial
}

/** The parameters of a model, declared where the network uses them. */
export class Parameters {
  readonly declared = new Map<string, Declared>()
  readonly tensors = new Map<string, Tensor>()

  constructor(readonly graph: Graph) {}

  /** The parameter `name` as an input of the graph; declared at its first use. */
  get(name: string, shape: Shape, initial: Initial): Tensor {
    const known = this.tensors.get(name)
    if (known) return known
    const tensor = input(this.graph, name, shape)
    this.declared.set(name, { name, shape, initial })
    this.tensors.set(name, tensor)
    return tensor
  }
}

/** What a network declares when it is built once. */
export function declare(build: (p: Parameters) => void): Declared[] {
  const p = new Parameters(new Graph())
  build(p)
  return [...p.declared.values()]
}

/**
 * Initial values. Every parameter draws from a stream of its own that its name selects, so that
 * adding or removing one changes no other.
 */
export function initialise(
  declared: readonly Declared[],
  seed: number,
): Record<string, Float32Array> {
  return Object.fromEntries(
    declared.map(({ name, shape, initial }) => {
      const size = sizeOf(shape)
      if (typeof initial === 'number') return [name, new Float32Array(size).fill(initial)]
      if ('values' in initial) return [name, initial.values.slice()]
      const random = new Random(seed, hash(name))
      return [name, Float32Array.from({ length: size }, () => initial.normal * random.normal())]
    }),
  )
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}

/** Standard deviation that keeps the variance of a signal through a ReLU layer (He et al. 2015). */
export function he(fanIn: number): Initial {
  return { normal: Math.sqrt(2 / fanIn) }
}

/** Standard deviation that keeps the variance through a linear layer (LeCun). */
export function lecun(fanIn: number): Initial {
  return { normal: Math.sqrt(1 / fanIn) }
}
