/** Instructions that run at some samples alone, against the same plan step by step in plain numbers. */
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { type Every, macsPerStep, PlanBuilder, type StepPlan } from '../../src/nn/step-plan.js'
import { Calibration } from '../../src/stream/calibrate.js'
import { pack } from '../../src/stream/pack.js'
import * as reference from '../../src/stream/reference.js'
import { StreamRuntime } from '../../src/stream/runtime.js'
import { kernels } from './models.js'

/** Wide enough for products in integers. */
const N = 40
const random = new Random(5)
const normals = (n: number, scale = 1) =>
  Float32Array.from({ length: n }, () => scale * random.normal())
const W = { slow: normals(2 * N * N, 0.1), fast: normals(N * N, 0.1), second: normals(N * N, 0.1) }
const zeros = new Float32Array(N)

/** At samples 1, 4, 7, ... two taps of what was there then; at 0, 2, 4, ... one; at all the sum. */
const slow: Every = { period: 3, phase: 1 }
const even: Every = { period: 2, phase: 0 }

function tiny(): StepPlan {
  const b = new PlanBuilder()
  const x = b.input('x', N)
  const bias = b.weight('bias', [N], zeros)
  const [one, two, y] = [b.vector('one', N), b.vector('two', N), b.vector('y', N)]
  b.every(slow, () => {
    const w = b.weight('slow', [N, 2, N], W.slow)
    b.add('convolve', [b.ring(x, 2)], one, [w, bias], { dilation: 1 })
    b.add('affine', [x], one, [b.weight('fast', [N, N], W.fast), bias], { add: 1 })
  })
  // reads the vector that the block above has read, too
  b.every(even, () => b.add('affine', [x], two, ['fast', bias]))
  b.add('affine', [two], y, [b.weight('second', [N, N], W.second), bias])
  b.add('add', [y, one], y)
  return b.build(y)
}

/** The same in plain numbers. */
function expected(inputs: readonly Float32Array[]): number[][] {
  let [one, two, before]: number[][] = [[...zeros], [...zeros], [...zeros]]
  return inputs.map((x, t) => {
    if (reference.isDue(slow, t)) {
      const taps = reference.affine(W.slow, zeros, [...x, ...before!])
      one = reference.affine(W.fast, zeros, x, { plus: taps })
      before = [...x]
    }
    if (reference.isDue(even, t)) two = reference.affine(W.fast, zeros, x)
    return reference.affine(W.second, zeros, two!, { plus: one! })
  })
}

const inputs = Array.from({ length: 50 }, () => normals(N))

function run(runtime: StreamRuntime, from = 0, each = () => {}): number[][] {
  return inputs.slice(from).map((x) => {
    runtime.vector('x').set(x)
    const y = [...runtime.step()]
    each()
    return y
  })
}

const apart = (a: number[][], b: number[][]) =>
  Math.max(...a.flatMap((row, t) => row.map((v, i) => Math.abs(v - b[t]![i]!))))

describe('instructions with a period', () => {
  const plan = tiny()

  it('run at their samples, in float32 and in int8', () => {
    const runtime = new StreamRuntime(kernels(), pack(plan, { precision: 'f32' }))
    const calibration = new Calibration(plan, runtime)
    expect(
      apart(
        run(runtime, 0, () => calibration.observe()),
        expected(inputs),
      ),
    ).toBeLessThan(1e-5)
    const { ranges } = calibration
    const int8 = new StreamRuntime(kernels(), pack(plan, { precision: 'int8', ranges }))
    expect(apart(run(int8), expected(inputs))).toBeLessThan(0.05)
  })

  it('count on after a snapshot, and from the start after a reset', () => {
    const packed = pack(plan, { precision: 'f32' })
    const runtime = new StreamRuntime(kernels(), packed)
    const first = run(runtime)
    runtime.reset()
    for (const x of inputs.slice(0, 16)) {
      runtime.vector('x').set(x)
      runtime.step()
    }
    const snapshot = runtime.snapshot()
    const branch = new StreamRuntime(kernels(), packed)
    branch.restore(snapshot)
    expect(run(branch, 16)).toEqual(first.slice(16))
  })

  it('count no further than their period', () => {
    // the same input for ever: nothing in the state may grow
    const runtime = new StreamRuntime(kernels(), pack(plan, { precision: 'f32' }))
    runtime.vector('x').set(inputs[0]!)
    const stateAfter = (samples: number) => {
      for (let t = 0; t < samples; t++) runtime.step()
      return runtime.snapshot()
    }
    const settled = stateAfter(60)
    expect(Buffer.compare(stateAfter(12_000), settled)).toBe(0)
    expect(Buffer.compare(stateAfter(1), settled)).not.toBe(0)
  })

  it('cost their share', () => {
    expect(macsPerStep(plan)).toBe((N * N * 3) / 3 + (N * N) / 2 + N * N)
  })

  it('must run at some sample', () => {
    const never = { ...plan.instructions[0]!, every: { period: 2, phase: 2 } }
    const broken = { ...plan, instructions: [never] }
    expect(() => pack(broken, { precision: 'f32' })).toThrow(/never runs/)
  })
})
