/** WaveNet as a step plan: what one sample costs when every layer keeps the past that it sees. */
import { quantizer } from '../audio/index.js'
import { PlanBuilder, type StepPlan } from '../nn/step-plan.js'
import type { Arrays, StepForm } from './model.js'
import { gatedStack, pointwise, product, transposed } from './plan-parts.js'
import type { WaveNetConfig } from './wavenet.js'

/** Input: `codes` [1], the newest code. Output: `logits` [levels] of the next. */
export function wavenetPlan(config: WaveNetConfig, p: Arrays): StepPlan {
  const { stacks, layers, kernel, channels, skip, end, embedding, levels } = config
  const b = new PlanBuilder()
  const making = { b, p }
  const codes = b.input('codes', 1, 'i32')

  // linear layers in a row are one, as in the graph
  const table = product(p['start.w']!, p.embedding!, [channels, embedding, levels])
  b.weight('table', [levels, channels], transposed(table, channels, levels))
  const h = b.add('embed', [codes], b.vector('h', channels), ['table'])

  const dilations = Array.from({ length: stacks * layers }, (_, i) => 2 ** (i % layers))
  const all = b.vector('gated', dilations.length * channels)
  gatedStack(making, h, { name: 'layer', channels, taps: kernel, dilations, all })

  const sum = b.vector('skip', skip)
  b.add('affine', [all], sum, pointwise(making, 'skip', skip, b.sizeOf(all)), { relu: 1 })
  const inner = b.vector('end', end)
  b.add('affine', [sum], inner, pointwise(making, 'end', end, skip), { relu: 1 })
  const decoder = p['decoder.w']!
  const out = {
    'logits.w': product(decoder, p['out.w']!, [levels, levels, end]),
    'logits.b': product(decoder, p['out.b']!, [levels, levels, 1], p['decoder.b']!),
  }
  const w = pointwise({ b, p: out }, 'logits', levels, end)
  return b.build(b.add('affine', [inner], b.vector('logits', levels), w))
}

/** @param memory samples that a prediction sees */
export function wavenetStepForm(config: WaveNetConfig, memory: number): StepForm {
  return {
    feeds: { codes: 'code' },
    values: quantizer(config.audio.quantizer).table,
    memory,
    plan: (parameters) => wavenetPlan(config, parameters),
  }
}
