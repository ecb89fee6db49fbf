/** SaShiMi as a step plan: every tier at the rate of its own steps. */
import { quantizer } from '../audio/index.js'
import { EPSILON } from '../nn/layers.js'
import { PlanBuilder, type StepPlan } from '../nn/step-plan.js'
import type { Arrays, StepForm } from './model.js'
import { type PlanParts, pointwise, transposed } from './plan-parts.js'
import { type SaShiMiConfig, sashimiTiers } from './sashimi.js'

/**
 * Input: `codes` [1], the newest code. Output: `logits` [levels] of the next.
 *
 * A step of a coarse tier is taken at its last sample, behind all that this sample still reads of the
 * step before: so finer tiers come first.
 */
export function sashimiPlan(config: SaShiMiConfig, p: Arrays): StepPlan {
  const { layers, pool, levels } = config
  const tiers = sashimiTiers(config)
  const b = new PlanBuilder()
  const making = { b, p }
  const codes = b.input('codes', 1, 'i32')
  const waves = tiers.map(({ width }, tier) => b.vector(`wave.${tier}`, width))
  const ahead = pool.map((steps, tier) => b.vector(`ahead.${tier}`, steps * tiers[tier]!.width))
  const logits = b.vector('logits', levels)

  let below: string | undefined // the newest steps of the next finer tier
  for (const [tier, { width, period }] of tiers.entries()) {
    const steps = pool[tier]
    const wave = waves[tier]!
    const whole = { period, phase: period - 1 }
    const atLast = (write: () => void) => (period === 1 ? write() : b.every(whole, write))
    atLast(() => {
      if (below === undefined) {
        b.weight('table', [levels, width], transposed(p.embedding!, width, levels))
        b.add('embed', [codes], wave, ['table'])
      } else {
        const taps = pool[tier - 1]!
        const w = newestFirst(making, `pool.${tier - 1}`, [width, taps, tiers[tier - 1]!.width])
        b.add('convolve', [below], wave, w, { dilation: 1 })
      }
      if (steps !== undefined) below = b.ring(wave, steps)
    })
    const x = b.vector(`tier.${tier}.x`, width)
    if (steps === undefined) atLast(() => b.add('copy', [wave], x))
    for (let k = 0; k < (steps ?? 0); k++) {
      // one step of the coarser tier speaks of each of these in turn
      const due = { period: period * steps!, phase: (k + 1) * period - 1 }
      const part = { of: ahead[tier]!, at: k * width }
      b.every(due, () => b.add('add', [b.vector(`ahead.${tier}.${k}`, width, part), wave], x))
    }
    atLast(() => {
      const skip = b.add('copy', [x], b.vector(`tier.${tier}.skip`, width))
      for (let i = 0; i < layers; i++) block(making, config, `tier.${tier}.${i}`, x)
      b.add('add', [x, skip], x)
      if (tier > 0) {
        const above = ahead[tier - 1]!
        b.add('affine', [x], above, pointwise(making, `unpool.${tier - 1}`, b.sizeOf(above), width))
      } else {
        const normal = normalised(making, 'norm', x)
        b.add('affine', [normal], logits, pointwise(making, 'logits', levels, width))
      }
    })
  }
  return b.build(logits)
}

/** A block, in place: what it adds to `x`. */
function block(making: PlanParts, { feed, modes, mix }: SaShiMiConfig, name: string, x: string) {
  const { b, p } = making
  const width = b.sizeOf(x)
  const state = b.state(`${name}.ssm.state`, width, modes)
  const { poles, d } = stepOf(p, `${name}.ssm`, width, modes)
  const y = b.vector(`${name}.ssm`, width)
  b.add('oscillate', [normalised(making, `${name}.norm1`, x), state], y, [
    b.weight(`${name}.poles`, [width, modes, 4], poles),
    b.weight(`${name}.d`, [width], d),
  ])
  b.add('gelu', [y], y)
  if (mix === 'glu') {
    const wide = b.vector(`${name}.mix`, 2 * width)
    b.add('affine', [y], wide, pointwise(making, `${name}.mix`, 2 * width, width))
    const gated = b.add('glu', [wide], b.vector(`${name}.glu`, width))
    b.add('add', [x, gated], x)
  } else b.add('affine', [y], x, pointwise(making, `${name}.mix`, width, width), { add: 1 })

  const inner = b.vector(`${name}.up`, feed * width)
  const normal = normalised(making, `${name}.norm2`, x)
  b.add('affine', [normal], inner, pointwise(making, `${name}.up`, feed * width, width))
  b.add('gelu', [inner], inner)
  b.add('affine', [inner], x, pointwise(making, `${name}.down`, width, feed * width), { add: 1 })
}

function normalised({ b, p }: PlanParts, name: string, x: string): string {
  const size = b.sizeOf(x)
  const weights = ['scale', 'offset'].map((part) =>
    b.weight(`${name}.${part}`, [size], p[`${name}.${part}`]!),
  )
  return b.add('normalise', [x], b.vector(name, size), weights, { epsilon: EPSILON })
}

/** Weights of a product with `taps` columns, the oldest first, as `convolve` takes them. */
function newestFirst(
  { b, p }: PlanParts,
  name: string,
  [outputs, taps, channels]: readonly [number, number, number],
): string[] {
  const from = p[`${name}.w`]! // [outputs, taps channels]
  const w = new Float32Array(from.length)
  for (let row = 0; row < outputs * taps; row++) {
    const [o, tap] = [Math.floor(row / taps), row % taps]
    const at = (o * taps + taps - 1 - tap) * channels
    w.set(from.subarray(at, at + channels), row * channels)
  }
  return [
    b.weight(`${name}.w`, [outputs, taps, channels], w),
    b.weight(`${name}.b`, [outputs], p[`${name}.b`]!),
  ]
}

/** A state space for one step (src/nn/state-space.ts): re a, im a, 2 re c, 2 im c of every mode; d. */
function stepOf(p: Arrays, name: string, channels: number, modes: number) {
  const [dt, decay, frequency] = ['dt', 'decay', 'frequency'].map(
    (part) => p[`poles.${name}.${part}`]!,
  ) as [Float32Array, Float32Array, Float32Array]
  const c = p[`${name}.c`]!
  const poles = new Float32Array(channels * modes * 4)
  for (let channel = 0; channel < channels; channel++) {
    const step = Math.exp(dt[channel]!)
    for (let m = 0; m < modes; m++) {
      const [re, im] = [-Math.exp(decay[m]!), frequency[m]!]
      const size = Math.exp(step * re)
      const [ar, ai] = [size * Math.cos(step * im), size * Math.sin(step * im)]
      const square = re * re + im * im
      const qr = ((ar - 1) * re + ai * im) / square
      const qi = (ai * re - (ar - 1) * im) / square
      const [cr, ci] = [c[channel * 2 * modes + m]!, c[(channel * 2 + 1) * modes + m]!]
      const at = 4 * (channel * modes + m)
      poles.set([ar, ai, 2 * (cr * qr - ci * qi), 2 * (cr * qi + ci * qr)], at)
    }
  }
  return { poles, d: p[`${name}.d`]! }
}

export function sashimiStepForm(config: SaShiMiConfig): StepForm {
  return {
    feeds: { codes: 'code' },
    values: quantizer(config.audio.quantizer).table,
    memory: Number.POSITIVE_INFINITY,
    plan: (parameters) => sashimiPlan(config, parameters),
  }
}
