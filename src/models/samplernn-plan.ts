/** SampleRNN as a step plan: what one sample costs when every tier runs at its own samples alone. */
import { quantizer } from '../audio/index.js'
import { PlanBuilder, type StepPlan } from '../nn/step-plan.js'
import type { Arrays, StepForm } from './model.js'
import { convolution, pointwise, product, transposed } from './plan-parts.js'
import type { SampleRnnConfig } from './samplernn.js'
import { frameSizes, valueOfCode } from './samplernn-layout.js'

/** Input: `codes` [1], the newest code. Output: `logits` [levels] of the next. */
export function samplernnPlan(config: SampleRnnConfig, p: Arrays): StepPlan {
  const { frames, layers, width, levels } = config
  const sizes = frameSizes(config)
  const top = sizes.length - 1
  const b = new PlanBuilder()
  const codes = b.input('codes', 1, 'i32')

  const values = Float32Array.from({ length: levels }, (_, code) => valueOfCode(code, levels))
  b.weight('values', [levels, 1], values)
  const x = b.add('embed', [codes], b.vector('x', 1), ['values'])
  const heard = b.ring(x, sizes[top]!)
  // read as codes, whatever the products make of the ring above
  const newest = b.ring(b.add('copy', [x], b.vector('newest', 1)), frames[0]!)

  let above: string | undefined
  for (let k = top; k >= 0; k--) {
    const n = sizes[k]!
    const tier = `tier.${k}`
    const last = { state: '', first: new Float32Array(width) }
    b.every({ period: n, phase: 0 }, () => {
      for (let layer = 0; layer < layers; layer++) {
        const name = `${tier}.gru.${layer}`
        const inputs = b.vector(`${name}.x`, 3 * width)
        if (layer > 0) {
          b.add('affine', [last.state], inputs, gates(name, 'w', 'b', last.first))
        } else if (above === undefined) {
          // no tier above: two linear layers in a row are one
          b.add('convolve', [heard], inputs, hearing(tier, name), { dilation: 1 })
        } else {
          const h = b.vector(`${tier}.h`, width)
          b.add('convolve', [heard], h, hearing(tier), { dilation: 1 })
          b.add('add', [h, above], h)
          b.add('affine', [h], inputs, gates(name, 'w', 'b'))
        }
        const state = b.vector(`${name}.state`, width)
        const first = p[`${name}.first`]!
        const again = b.vector(`${name}.u`, 3 * width)
        b.add('affine', [state], again, gates(name, 'u', 'c', first))
        b.weight(`${name}.first`, [width], first)
        b.add('recur', [inputs, again], state, [`${name}.first`])
        Object.assign(last, { state, first })
      }
    })
    // what a frame says of each of its parts is worked out when the part begins
    const parts = frames[k]!
    const [w, bias] = [weightsOf(p, `${tier}.up`, parts * width), p[`${tier}.up.b`]!]
    const said = b.vector(`${tier}.said`, width)
    for (let j = 0; j < parts; j++) {
      const name = `${tier}.up.${j}`
      const part = {
        [`${name}.w`]: w.subarray(j * width * width, (j + 1) * width * width),
        [`${name}.b`]: bias.subarray(j * width, (j + 1) * width),
      }
      b.every({ period: n, phase: (j * n) / parts }, () => {
        b.add('affine', [last.state], said, shifted(part, name, width, last.first))
      })
    }
    above = said
  }

  const h = b.vector('sample', width)
  b.weight('tables', [frames[0]!, levels, width], tables())
  // the ring's numbers as rows: see `valueOfCode`
  const rows = { scale: levels / 4, offset: levels / 2 }
  b.add('lookup', [newest], h, ['tables'], rows)
  b.add('add', [h, above!], h)
  const first = b.add('relu', [h], b.vector('sample.relu', width))
  const hidden = b.add('affine', [first], b.vector('hidden', width), linear('hidden', width), {
    relu: 1,
  })
  return b.build(b.add('affine', [hidden], b.vector('logits', levels), linear('output', levels)))

  /** Weights and bias of a linear layer. */
  function linear(name: string, outputs: number): string[] {
    const w = weightsOf(p, name, outputs)
    return pointwise(
      { b, p: { [`${name}.w`]: w, [`${name}.b`]: p[`${name}.b`]! } },
      ...([name, outputs, w.length / outputs] as const),
    )
  }

  /** The same of gates, for an input that is kept less `first`. */
  function gates(name: string, w: string, bias: string, first?: Float32Array): string[] {
    const part = `${name}.${w}`
    const parts = { [`${part}.w`]: p[part]!, [`${part}.b`]: p[`${name}.${bias}`]! }
    return shifted(parts, part, 3 * width, first)
  }

  /** W (x + first) + b as W x and another bias. */
  function shifted(parts: Arrays, name: string, outputs: number, first?: Float32Array): string[] {
    const w = parts[`${name}.w`]!
    const bias = parts[`${name}.b`]!
    const moved = first ? product(w, first, [outputs, width, 1], bias) : bias
    return pointwise({ b, p: { ...parts, [`${name}.b`]: moved } }, name, outputs, width)
  }

  /** Of the frame of a tier; as far as the gates of a layer, if one is named. */
  function hearing(tier: string, gru?: string): string[] {
    const n = weightsOf(p, `${tier}.input`, width).length / width
    let [w, bias] = [weightsOf(p, `${tier}.input`, width), p[`${tier}.input.b`]!]
    if (gru !== undefined) {
      const gates = p[`${gru}.w`]!
      w = product(gates, w, [3 * width, width, n])
      bias = product(gates, bias, [3 * width, width, 1], p[`${gru}.b`]!)
    }
    const outputs = bias.length
    // a convolution of one channel
    const parts = { [`${tier}.in.w`]: w, [`${tier}.in.b`]: bias }
    return convolution({ b, p: parts }, `${tier}.in`, [outputs, 1, n])
  }

  /** The first layer of the perceptron over every code, [taps, levels, width]. */
  function tables(): Float32Array {
    const { embedding } = config
    const taps = frames[0]!
    const w = weightsOf(p, 'sample', width) // [width, taps, embedding]
    const all = new Float32Array(taps * levels * width)
    for (let k = 0; k < taps; k++) {
      const tap = new Float32Array(width * embedding)
      for (let o = 0; o < width; o++) {
        const at = (o * taps + k) * embedding
        tap.set(w.subarray(at, at + embedding), o * embedding)
      }
      const columns = transposed(tap, width, embedding)
      all.set(product(p.embedding!, columns, [levels, embedding, width]), k * levels * width)
    }
    return all
  }
}

/** Normalised weights, [outputs, inputs]: the rows of `.v`, each as long as `.g` says. */
function weightsOf(p: Arrays, name: string, outputs: number): Float32Array {
  const [v, g] = [p[`${name}.v`]!, p[`${name}.g`]!]
  const inputs = v.length / outputs
  const w = new Float32Array(v.length)
  for (let o = 0; o < outputs; o++) {
    let squares = 0
    for (let i = o * inputs; i < (o + 1) * inputs; i++) squares += v[i]! * v[i]!
    const factor = g[o]! / Math.sqrt(squares)
    for (let i = o * inputs; i < (o + 1) * inputs; i++) w[i] = v[i]! * factor
  }
  return w
}

export function samplernnStepForm(config: SampleRnnConfig): StepForm {
  return {
    feeds: { codes: 'code' },
    values: quantizer(config.audio.quantizer).table,
    memory: Number.POSITIVE_INFINITY,
    plan: (parameters) => samplernnPlan(config, parameters),
  }
}
