import { Random } from '../../src/base/random.js'
import { Engine } from '../../src/engine/index.js'
import {
  Graph,
  gradients,
  input,
  mul,
  type Shape,
  sizeOf,
  sum,
  type Tensor,
} from '../../src/graph/index.js'

let opened: Promise<Engine> | undefined
/** One engine for all tests of a file. */
export function engine(): Promise<Engine> {
  opened ??= Engine.open({ threads: 1 })
  return opened
}

export interface CheckOptions {
  seed?: number
  /** Values of the inputs are drawn from this. */
  draw?: (random: Random) => number
  /** Named int32 inputs with their values. */
  ints?: Record<string, Int32Array>
}

/**
 * The largest relative difference between the gradients of a random projection of `build`'s result
 * and central differences, all in float64.
 */
export async function gradientError(
  shapes: Record<string, Shape>,
  build: (inputs: Record<string, Tensor>, graph: Graph) => Tensor,
  { seed = 1, draw = (r) => r.normal(), ints = {} }: CheckOptions = {},
): Promise<number> {
  const random = new Random(seed)
  const graph = new Graph('float64')
  const inputs: Record<string, Tensor> = {}
  const feeds: Record<string, Float64Array | Int32Array> = { ...ints }
  for (const [name, shape] of Object.entries(shapes)) {
    inputs[name] = input(graph, name, shape)
    feeds[name] = Float64Array.from({ length: sizeOf(shape) }, () => draw(random))
  }
  for (const [name, values] of Object.entries(ints)) {
    inputs[name] = input(graph, name, [values.length], 'int32')
  }
  const y = build(inputs, graph)
  const weights = input(graph, 'projection', y.shape)
  feeds.projection = Float64Array.from({ length: sizeOf(y.shape) }, () => random.normal())
  const loss = sum(mul(y, weights))
  const names = Object.keys(shapes)
  const grads = gradients(
    [loss],
    names.map((name) => inputs[name]!),
  )
  const outputs = { loss, ...Object.fromEntries(grads.map((g, i) => [`d_${names[i]}`, g])) }
  const program = await (await engine()).compile(outputs)
  const analytic = await program.run(feeds)

  let worst = 0
  const step = 1e-5
  for (const name of names) {
    const values = feeds[name]!
    for (let i = 0; i < values.length; i++) {
      const kept = values[i]!
      values[i] = kept + step
      const above = (await program.run(feeds)).loss![0]!
      values[i] = kept - step
      const below = (await program.run(feeds)).loss![0]!
      values[i] = kept
      const numeric = (above - below) / (2 * step)
      const found = analytic[`d_${name}`]![i]!
      worst = Math.max(worst, Math.abs(numeric - found) / Math.max(1, Math.abs(numeric)))
    }
  }
  await program.dispose()
  return worst
}
