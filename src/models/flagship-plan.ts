/**
 * The flagship, preset `stream`, as a step plan: what one sample costs when every layer keeps what it
 * remembers. Heads about as wide as the model have their projections absorbed (src/nn/attention.ts),
 * computed here once, in float64; narrow heads keep keys and values.
 */
import { quantizer } from '../audio/index.js'
import { UsageError } from '../base/errors.js'
import { distanceBucket } from '../nn/attention.js'
import { CURVE_NUMBERS, CURVE_WIDTHS } from '../nn/logistics.js'
import { PlanBuilder, type StepPlan } from '../nn/step-plan.js'
import { encoderGeometry, type FlagshipConfig } from './flagship.js'
import { recallWindow, tokensOf, windowOf } from './flagship-layout.js'
import type { LocalConfig } from './flagship-local.js'
import { afterTaps } from './flagship-recall.js'
import { FORECAST_FEATURES, FORECAST_WIDTH } from './forecast.js'
import type { Arrays } from './model.js'
import { convolution, gatedStack, type PlanParts, pointwise, transposed } from './plan-parts.js'

/** What the functions below write to and read from. */
interface Making extends PlanParts {
  readonly config: FlagshipConfig
  /** Tokens that a layer sees. */
  readonly window: number
  /** Tokens that recall looks at; 0 where there is none. */
  readonly recalled: number
}

/**
 * Inputs: `x` [1] the value of the newest sample, `codes` [1] its code where there is a local path,
 * `forecast` [FORECAST_WIDTH] a row of `Forecaster` where the model has one. Output: `logits` [levels].
 *
 * @param context samples of history that a prediction sees
 */
export function flagshipPlan(
  config: FlagshipConfig,
  parameters: Arrays,
  context: number,
): StepPlan {
  if (config.form !== 'stream') {
    throw new UsageError({
      fact: 'Only the form `stream` of the flagship has a step form.',
      expected: 'a model trained with the preset stream',
      got: config.form,
      hint: "in the paper's form every token sees every other, so nothing can be kept",
    })
  }
  const { hidden, levels, width, local } = config
  const window = windowOf(config, context)
  const recalled = config.recall ? recallWindow(tokensOf(config, context)) : 0
  const making = { b: new PlanBuilder(), p: parameters, config, window, recalled }
  const { b } = making
  const x = b.input('x', 1)
  const codes = local ? b.input('codes', 1, 'i32') : undefined
  const forecast = config.forecast ? b.input('forecast', FORECAST_WIDTH) : undefined
  const skip = local?.skip ?? 0
  const echo = recalled > 0 ? config.recall!.heads * config.recall!.width : 0
  // the head reads context, local path and recall side by side
  const all = width + skip + echo
  b.vector('heard', all)
  b.vector('heard.context', width, { of: 'heard', at: 0 })
  if (local) b.vector('heard.local', skip, { of: 'heard', at: width })
  if (echo > 0) b.vector('heard.recall', echo, { of: 'heard', at: width + skip })
  if (forecast) {
    const size = FORECAST_WIDTH - FORECAST_FEATURES
    b.vector('forecast.features', size, { of: 'forecast', at: FORECAST_FEATURES })
  }

  const z = encoder(making, x)
  if (local) localPath(making, local, codes!, x)
  transformer(making, z)
  if (echo > 0) recall(making, x)

  const inner = b.vector('inner', hidden)
  const parts = ['context', ...(local ? ['local'] : []), ...(echo > 0 ? ['recall'] : [])]
  // rows of all parts one after the other are the weights of what is side by side
  const rows = parts.flatMap((part) => [...parameters[`head.${part}.w`]!])
  b.weight('head.w', [hidden, all], transposed(Float32Array.from(rows), all, hidden))
  vectorWeight(making, 'head.b')
  b.add('affine', ['heard'], inner, ['head.w', 'head.b'], { relu: 1 })
  const logits = linear(making, 'head.out', inner, b.vector('logits', levels))
  if (forecast) expected(making, inner, forecast, logits)
  return b.build(logits)
}

// ---------------------------------------------------------------------------- the encoder

function encoder(making: Making, x: string): string {
  const { b, config } = making
  const { dilations, taps, dilation } = encoderGeometry(config)
  let h = x
  const convolve = (name: string, count: number, outputs: number, step: number, relu: number) => {
    const channels = b.sizeOf(h)
    const ring = b.ring(h, (count - 1) * step + 1)
    const w = convolution(making, name, [outputs, channels, count])
    const y = b.vector(name, outputs)
    h = b.add('convolve', [ring], y, w, { dilation: step, relu })
  }
  for (const [i, count] of config.filters.entries()) {
    convolve(`encoder.${i}`, config.kernel, count, dilations[i]!, 1)
  }
  convolve('encoder.readout', taps, config.width, dilation, 0)
  return h
}

// ------------------------------------------------------------------------- the local path

function localPath(making: Making, local: LocalConfig, codes: string, x: string): void {
  const { b, p, config } = making
  const { channels, dilations, skip } = local
  const table = transposed(p['local.embedding']!, channels, config.levels)
  const h = b.vector('local.h', channels)
  b.weight('local.embedding', [config.levels, channels], table)
  b.add('embed', [codes], h, ['local.embedding'])
  b.weight('local.value', [channels, 1], p['local.value']!)
  b.weight('local.none', [channels], new Float32Array(channels))
  b.add('affine', [x], h, ['local.value', 'local.none'], { add: 1 })
  if (config.forecast) {
    const features = FORECAST_WIDTH - FORECAST_FEATURES
    b.weight('local.forecast', [channels, features], p['local.forecast']!)
    b.add('affine', ['forecast.features'], h, ['local.forecast', 'local.none'], { add: 1 })
  }
  const all = b.vector('local.gated', channels * dilations.length)
  gatedStack(making, h, { name: 'local', channels, taps: 2, dilations, all })
  const w = pointwise(making, 'local.skip', skip, b.sizeOf(all))
  b.add('affine', [all], 'heard.local', w, { relu: 1 })
}

// ------------------------------------------------------------------------- the Transformer

function transformer(making: Making, z: string): void {
  const { b, config } = making
  const { width, layers, feedForward } = config
  let h = normalise(making, 'context.input', z, b.vector('context.input', width))
  for (let i = 0; i < layers; i++) {
    const name = `context.${i}`
    const a = normalise(making, `${name}.norm1`, h, b.vector(`${name}.a`, width))
    const attended = attention(making, i, a)
    const middle = b.add('add', [h, attended], b.vector(`${name}.middle`, width))
    const c = normalise(making, `${name}.norm2`, middle, b.vector(`${name}.c`, width))
    const inner = b.vector(`${name}.inner`, feedForward)
    linear(making, `${name}.ff.in`, c, inner, { relu: 1 })
    const out = linear(making, `${name}.ff.out`, inner, b.vector(`${name}.ff`, width))
    h = b.add('add', [middle, out], b.vector(`${name}.h`, width))
  }
  normalise(making, 'context.norm', h, 'heard.context')
}

/** Absorbing pays where it makes the products smaller. */
export function isAbsorbed({ headWidth, width }: FlagshipConfig): boolean {
  return 2 * headWidth > width
}

function attention(making: Making, layer: number, x: string): string {
  const { b, p, config, window } = making
  const { chunk, heads, width } = config
  const name = `context.${layer}.attention`
  const absorbed = isAbsorbed(config)
  const headWidth = absorbed ? width : config.headWidth
  const get = (key: string) => p[`${name}.${key}`]!

  const { a, c, o, bias } = absorbed ? absorb(config, get) : project(config, get)
  const affine = (
    key: string,
    from: string,
    inputs: number,
    w: Float32Array,
    plus: Float32Array,
  ) => {
    const outputs = plus.length
    b.weight(`${name}.${key}.w`, [outputs, inputs], w)
    b.weight(`${name}.${key}.b`, [outputs], plus)
    const y = b.vector(`${name}.${key}`, outputs)
    return b.add('affine', [from], y, [`${name}.${key}.w`, `${name}.${key}.b`])
  }
  const cache = (key: string, from: string) => {
    const groups = absorbed ? 1 : heads
    b.cache(`${name}.${key}`, { phases: chunk, window, groups, width: headWidth })
    return b.add('remember', [from], `${name}.${key}`)
  }

  const q = affine('q', x, width, a, c)
  let caches: [string, string]
  if (absorbed) {
    const past = cache('past', x)
    caches = [past, past]
  } else {
    const none = new Float32Array(heads * headWidth)
    const k = affine('k', x, width, byHead(get('wk'), config), none)
    const v = affine('v', x, width, byHead(get('wv'), config), none)
    caches = [cache('keys', k), cache('values', v)]
  }
  b.weight(
    `${name}.bias`,
    [heads, window],
    distances(p[`context.${layer}.distance`]!, heads, window),
  )
  const seen = b.vector(`${name}.seen`, heads * headWidth)
  const groupHeads = absorbed ? heads : 1
  b.add('attend', [q, ...caches], seen, [`${name}.bias`], { heads: groupHeads })
  return affine('out', seen, heads * headWidth, o, bias)
}

type Get = (key: string) => Float32Array

/** Projections as they make up a step; `o` [width, heads headWidth], `a` [heads headWidth, width]. */
interface Projections {
  a: Float32Array
  c: Float32Array
  o: Float32Array
  bias: Float32Array
}

/** A = Wq Wk^T and B = Wv Wo, in float64. */
function absorb(config: FlagshipConfig, get: Get): Projections {
  const { heads, headWidth, width } = config
  const [wq, wk, wv, wo, bq] = ['wq', 'wk', 'wv', 'wo', 'bq'].map(get) as Float32Array[]
  const scale = headWidth ** -0.5
  const a = new Float32Array(heads * width * width)
  const c = new Float32Array(heads * width)
  const o = new Float32Array(width * heads * width)
  for (let h = 0; h < heads; h++) {
    for (let j = 0; j < width; j++) {
      const k = (h * width + j) * headWidth
      let shift = 0
      for (let e = 0; e < headWidth; e++) shift += bq![h * headWidth + e]! * wk![k + e]!
      c[h * width + j] = shift * scale
      for (let i = 0; i < width; i++) {
        const q = (h * width + i) * headWidth
        let score = 0
        let value = 0
        for (let e = 0; e < headWidth; e++) {
          score += wq![q + e]! * wk![k + e]!
          value += wv![k + e]! * wo![(h * headWidth + e) * width + i]!
        }
        a[(h * width + j) * width + i] = score * scale
        o[(i * heads + h) * width + j] = value
      }
    }
  }
  return { a, c, o, bias: outBias(config, get) }
}

/** The plain form: queries scaled, the bias of values moved behind the attention. */
function project(config: FlagshipConfig, get: Get): Projections {
  const { heads, headWidth, width } = config
  const scale = headWidth ** -0.5
  return {
    a: byHead(get('wq'), config).map((w) => w * scale),
    c: get('bq').map((w) => w * scale),
    o: transposed(get('wo'), heads * headWidth, width),
    bias: outBias(config, get),
  }
}

/** Weights of an attention sum to one, so the values' bias adds bv Wo. The keys' bias cancels. */
function outBias({ heads, headWidth, width }: FlagshipConfig, get: Get): Float32Array {
  const [bv, wo, bo] = [get('bv'), get('wo'), get('bo')]
  return Float32Array.from({ length: width }, (_, i) => {
    let sum = bo[i]!
    for (let e = 0; e < heads * headWidth; e++) sum += bv[e]! * wo[e * width + i]!
    return sum
  })
}

/** [heads, width, headWidth] to [heads headWidth, width]. */
function byHead(w: Float32Array, { heads, headWidth, width }: FlagshipConfig): Float32Array {
  const size = width * headWidth
  const y = new Float32Array(w.length)
  for (let h = 0; h < heads; h++) {
    y.set(transposed(w.subarray(h * size, (h + 1) * size), width, headWidth), h * size)
  }
  return y
}

/** What a head adds to the score of a token so far back, [heads, window]. */
function distances(table: Float32Array, heads: number, window: number): Float32Array {
  return Float32Array.from({ length: heads * window }, (_, at) => {
    const [head, distance] = [Math.floor(at / window), at % window]
    return table[distanceBucket(distance) * heads + head]!
  })
}

// --------------------------------------------------------------------------------- recall

function recall(making: Making, x: string): void {
  const { b, p, config, recalled } = making
  const { chunk } = config
  const { width, heads, taps, ahead } = config.recall!
  /** The value `samples` before: two taps, of which the older counts. */
  const delayed = (name: string, from: string, samples: number) => {
    const ring = b.ring(from, samples + 1)
    const w = b.weight(`${name}.w`, [1, 2, 1], Float32Array.of(0, 1))
    const none = b.weight(`${name}.b`, [1], Float32Array.of(0))
    return b.add('convolve', [ring], b.vector(name, 1), [w, none], { dilation: samples })
  }
  const describe = (name: string, layer: string, from: string, count: number) => {
    const copy = b.add('copy', [from], b.vector(`${name}.x`, 1))
    const ring = b.ring(copy, count)
    const w = convolution(making, layer, [width, 1, count])
    return b.add('convolve', [ring], b.vector(name, width), w, { dilation: 1 })
  }
  const newest = b.add('copy', [x], b.vector('recall.now', 1))
  const past = delayed('recall.past', newest, chunk - ahead)
  const older = delayed('recall.older', past, ahead)
  const place = describe('recall.query', 'recall.place', x, taps)
  const seen = describe('recall.seen', 'recall.place', older, taps)
  const value = describe('recall.value', 'recall.after', past, afterTaps(config.recall!))
  const q = normalise(making, 'recall.norm', place, b.vector('recall.q', width))
  const k = normalise(making, 'recall.norm', seen, b.vector('recall.k', width))

  const [keys, values] = ['recall.keys', 'recall.values'] as const
  for (const name of [keys, values]) {
    b.cache(name, { phases: chunk, window: recalled, groups: 1, width })
  }
  b.add('remember', [k], keys)
  b.add('remember', [value], values)
  const match = transposed(p['recall.match']!, width, heads * width)
  b.weight('recall.match', [heads * width, width], match)
  const none = b.weight('recall.none', [heads * width], new Float32Array(heads * width))
  const asked = b.vector('recall.asked', heads * width)
  b.add('affine', [q], asked, ['recall.match', none])
  b.weight('recall.bias', [heads, recalled], distances(p['recall.distance']!, heads, recalled))
  b.add('attend', [asked, keys, values], 'heard.recall', ['recall.bias'], { heads })
}

// -------------------------------------------------------------------------------- the head

/** Curves around the forecast, added to the logits. */
function expected({ b, p, config }: Making, inner: string, forecast: string, logits: string): void {
  const { curves } = config.forecast!
  const count = CURVE_NUMBERS * curves
  const numbers = b.vector('head.numbers', count)
  b.weight(
    'head.curves.w',
    [count, config.hidden],
    transposed(p['head.curves.w']!, config.hidden, count),
  )
  b.weight('head.curves.b', [count], p['head.curves.b']!)
  b.add('affine', [inner], numbers, ['head.curves.w', 'head.curves.b'])
  const features = FORECAST_WIDTH - FORECAST_FEATURES
  b.weight('head.forecast.w', [count, features], transposed(p['head.forecast.w']!, features, count))
  b.weight('head.forecast.none', [count], new Float32Array(count))
  const w = ['head.forecast.w', 'head.forecast.none']
  b.add('affine', ['forecast.features'], numbers, w, { add: 1 })
  const { table } = quantizer(config.audio.quantizer)
  const edges = table.subarray(1).map((value, i) => (table[i]! + value) / 2)
  b.weight('head.edges', [edges.length], edges)
  const widths = Float32Array.from(
    { length: curves },
    (_, k) => CURVE_WIDTHS[k % CURVE_WIDTHS.length]!,
  )
  b.weight('head.widths', [curves], widths)
  b.add('curves', [forecast, numbers], logits, ['head.widths', 'head.edges'])
}

// --------------------------------------------------------------------------------- parts

function normalise({ b, p }: Making, name: string, x: string, y: string): string {
  const weights = ['scale', 'offset'].map((key) => {
    const data = p[`${name}.${key}`]!
    return b.weight(`${name}.${key}`, [data.length], data)
  })
  return b.add('normalise', [x], y, weights, { epsilon: 1e-5 })
}

/** A linear layer of the graph, whose weights are [inputs, outputs]. */
function linear(
  making: Making,
  name: string,
  x: string,
  y: string,
  numbers: Record<string, number> = {},
): string {
  const { b, p } = making
  const [inputs, outputs] = [b.sizeOf(x), b.sizeOf(y)]
  b.weight(`${name}.w`, [outputs, inputs], transposed(p[`${name}.w`]!, inputs, outputs))
  vectorWeight(making, `${name}.b`)
  return b.add('affine', [x], y, [`${name}.w`, `${name}.b`], numbers)
}

function vectorWeight({ b, p }: Making, name: string): void {
  b.weight(name, [p[name]!.length], p[name]!)
}
