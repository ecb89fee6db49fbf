/** Packed models: what they refuse, and what a stream can go back to. */
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { type FlagshipConfig, flagshipPresets } from '../../src/models/flagship.js'
import { flagship } from '../../src/models/flagship-model.js'
import { flagshipPlan } from '../../src/models/flagship-plan.js'
import { macsPerStep } from '../../src/nn/step-plan.js'
import { PackedModelError } from '../../src/stream/errors.js'
import { decodePacked, encodePacked } from '../../src/stream/format.js'
import { pack } from '../../src/stream/pack.js'
import { StreamRuntime } from '../../src/stream/runtime.js'
import { LOCAL, randomCodes, randomParameters, STREAM } from '../laws/tiny.js'
import { Feed, kernels, rangesOf } from './models.js'

const TINY: FlagshipConfig = { ...LOCAL, forecast: { curves: 2 } }
const parameters = randomParameters(TINY, 3)
const plan = flagshipPlan(TINY, parameters, 4 * TINY.chunk)
const packed = pack(plan, { precision: 'f32' })

/** The failure of opening a buffer. */
function refusal(bytes: Uint8Array) {
  try {
    new StreamRuntime(kernels(), bytes)
  } catch (error) {
    if (error instanceof PackedModelError) return error.failure
    throw error
  }
  throw new Error('it was opened')
}

/** The buffer with another header under a true checksum. */
function withHeader(change: (header: Record<string, unknown>) => void): Uint8Array {
  const model = decodePacked(packed)
  change(model.header as unknown as Record<string, unknown>)
  return encodePacked(model)
}

describe('a damaged packed model', () => {
  it('is refused, whichever bit is flipped', () => {
    const random = new Random(1)
    for (let i = 0; i < 1000; i++) {
      const bytes = packed.slice()
      // as often in what comes first as in the weights
      const at = random.below(i % 2 ? bytes.length : 2000)
      bytes[at]! ^= 1 << random.below(8)
      // the spare bytes of the preamble are under the checksum too
      expect(refusal(bytes).hint).toBe('pack the checkpoint again')
    }
  })

  it('is refused at any length but its own', () => {
    const random = new Random(2)
    for (let i = 0; i < 200; i++) {
      expect(refusal(packed.slice(0, random.below(packed.length))).expected).toMatch(/bytes/)
    }
    expect(refusal(Uint8Array.of(...packed, 0)).fact).toMatch(/appended/)
  })

  it('is refused with its own message for what is wrong', () => {
    const changed = (at: number, value: number) => {
      const bytes = packed.slice()
      new DataView(bytes.buffer).setUint32(at, value, true)
      return bytes
    }
    expect(refusal(changed(0, 0)).fact).toMatch(/is not a packed model/)
    expect(refusal(changed(8, 1))).toMatchObject({ expected: '2', got: '1' })
    expect(refusal(changed(12, 0xffffffff)).fact).toMatch(/cut off/)
    expect(refusal(changed(20, 1)).fact).toMatch(/damaged/)
  })

  it.each([
    ['memory that is not there', /more memory/, { stateBytes: 2 ** 33 }],
    ['a size that overflows 32 bits', /more memory/, { stateBytes: 2 ** 32 + 64 }],
    ['a state that is no number', /more memory/, { stateBytes: 'many' }],
    ['a state inside its weights', /more memory/, { state: 0x10000 }],
    ['a state that begins anywhere', /begins or ends anywhere/, { stateBytes: 2 ** 20 + 4 }],
    ['a program outside', /program outside/, { programs: [2 ** 31] }],
    ['a program between words', /program outside/, { programs: [0x10002] }],
    ['no program at all', /has no program/, { programs: [] }],
    ['an output that is not placed', /does not place/, { output: 'nothing' }],
    ['an output by a name that all objects have', /does not place/, { output: 'toString' }],
    ['no vectors', /places no vectors/, { vectors: null }],
    ['no caches', /places no caches/, { caches: [] }],
    ['no inputs', /no inputs/, { inputs: 'x' }],
    ['another precision', /unknown kind/, { precision: 'f8' }],
  ] as const)('is refused under a true checksum: %s', (_, fact, changes) => {
    expect(refusal(withHeader((header) => Object.assign(header, changes))).fact).toMatch(fact)
  })

  it.each([
    ['behind the end', /outside of its state/, { at: 2 ** 30 }],
    ['before the state', /outside of its state/, { at: -4 }],
    ['between words', /outside of its state/, { at: 2 }],
    ['larger than the state', /outside of its state/, { size: 2 ** 30 }],
    ['of a kind that there is not', /unknown kind/, { type: 'f64' }],
  ])('is refused under a true checksum: a vector %s', (_, fact, change) => {
    const bytes = withHeader(({ vectors }) => {
      Object.assign((vectors as Record<string, object>).logits!, change)
    })
    expect(refusal(bytes).fact).toMatch(fact)
  })

  it.each([
    ['behind the end', /outside of its state/, { at: 2 ** 30 }],
    ['of more phases than there are', /outside of its state/, { phases: 1e6 }],
    ['of signs that cancel', /phases of/, { phases: -1, phaseBytes: -64 }],
    ['of products that overflow', /phases of/, { phases: 2 ** 20, phaseBytes: 2 ** 40 }],
    ['of no position', /without a position/, { positions: [] }],
    ['of no window', /phases of/, { window: 0 }],
    ['of a window larger than its phases', /phases of/, { window: 1000 }],
    ['of parts wider than their places', /without a size/, { width: 1000 }],
    ['of rows of another size', /another size/, { rowBytes: 8 }],
    ['of a kind that there is not', /unknown kind/, { type: 'f8' }],
    ['of scales outside', /scales of/, { type: 'int8', factors: 2 ** 31 }],
  ])('is refused under a true checksum: a cache %s', (_, fact, change) => {
    const bytes = withHeader(({ caches }) => {
      const cache = Object.values(caches as Record<string, Record<string, number>>)[0]!
      Object.assign(cache, change)
      if ('factors' in change) cache.rowBytes! /= 4
    })
    expect(refusal(bytes).fact).toMatch(fact)
  })

  it('is refused or works within its memory, whatever its header says under a true checksum', () => {
    const random = new Random(3)
    const odd = [
      null,
      0,
      -1,
      1,
      3,
      64,
      2 ** 16,
      2 ** 31,
      2 ** 32,
      2 ** 53,
      0.5,
      '',
      'x',
      [],
      {},
      true,
    ]
    const module = kernels()
    let [refused, opened] = [0, 0]
    for (let i = 0; i < 1000; i++) {
      const bytes = withHeader((header) => {
        // one place, anywhere in the tree
        let at: Record<string, unknown> = header
        for (;;) {
          const names = Object.keys(at)
          const name = names[random.below(names.length)]!
          const inner = at[name]
          const isTree = typeof inner === 'object' && inner !== null
          if (isTree && random.uniform() < 0.8) {
            at = inner as Record<string, unknown>
            continue
          }
          const value = odd[random.below(odd.length)]
          if (random.uniform() < 0.1) delete at[name]
          else if (typeof inner === 'number' && random.uniform() < 0.5) at[name] = inner * 2 + 1
          else at[name] = value
          return
        }
      })
      try {
        const runtime = new StreamRuntime(module, bytes)
        for (const name of Object.keys(runtime.header.vectors)) runtime.vector(name).fill(0)
        for (const [name, { groups, width }] of Object.entries(runtime.header.caches)) {
          runtime.remember(name, 0, 0, new Float32Array(groups * width))
        }
        runtime.setRemembered(1)
        runtime.step()
        runtime.restore(runtime.snapshot())
        opened++
      } catch (error) {
        if (!(error instanceof PackedModelError)) throw error
        expect(error.failure.fact).toMatch(/^The packed model /)
        refused++
      }
    }
    expect(refused).toBeGreaterThan(500)
    expect(opened).toBeGreaterThan(10)
  })

  it('is stopped where its program would leave its memory, or is none', () => {
    const random = new Random(4)
    const module = kernels()
    let stopped = 0
    for (let i = 0; i < 300; i++) {
      const { header, constants } = decodePacked(packed)
      const changed = constants.slice()
      const words = new DataView(changed.buffer, header.programs[0]! - 0x10000)
      // an address far outside, or an opcode that there is not
      words.setUint32(4 * random.below(200), 0xf0000000 + random.below(0xffffff), true)
      try {
        new StreamRuntime(module, encodePacked({ header, constants: changed })).step()
      } catch (error) {
        expect(error).toBeInstanceOf(PackedModelError)
        stopped++
      }
    }
    expect(stopped).toBeGreaterThan(100)
  })
})

describe('a stream', () => {
  const ranges = rangesOf(plan, randomCodes(200, 1))

  it.each([
    ['f32', {}],
    ['int8', { ranges }],
  ] as const)('goes back to a snapshot and gives the same logits, in %s', (precision, options) => {
    const bytes = pack(plan, { precision, ...options })
    const runtime = new StreamRuntime(kernels(), bytes)
    const other = new StreamRuntime(kernels(), bytes)
    const [x, code] = [runtime.vector('x'), runtime.integers('codes')]
    const run = (from: number, to: number, stream = runtime) => {
      const logits: number[] = []
      const value = stream.vector('x')
      const integer = stream.integers('codes')
      for (let t = from; t < to; t++) {
        value[0] = Math.sin(t)
        integer[0] = (37 * t) % 256
        logits.push(...stream.step())
      }
      return logits
    }
    expect(x.length + code.length).toBe(2)
    run(0, 130)
    const snapshot = runtime.snapshot()
    const first = run(130, 400)
    runtime.restore(snapshot)
    expect(run(130, 400)).toEqual(first)
    // a branch in a memory of its own
    other.restore(snapshot)
    expect(run(130, 400, other)).toEqual(first)
    runtime.reset()
    run(0, 130)
    expect(run(130, 400)).toEqual(first)
  })

  it('refuses what is not its snapshot', () => {
    const runtime = new StreamRuntime(kernels(), packed)
    expect(() => runtime.restore(new Uint8Array(7))).toThrow(/not of this model/)
  })

  it.each(['f32', 'f16', 'int8'] as const)('takes caches of %s from outside', (cache) => {
    // what the dense pass finds of a prompt is written; the stream goes on as if it had come by it
    const bytes = pack(plan, { precision: 'f32', cache, ranges })
    const [found, expected] = [new Feed(bytes), new Feed(bytes)]
    const codes = randomCodes(400, 8)
    const rows = plan.instructions
      .filter(({ kernel }) => kernel === 'remember')
      .map(({ inputs, outputs }) => ({
        cache: outputs[0]!,
        x: expected.runtime.vector(inputs[0]!),
      }))
    const seen: { cache: string; sample: number; row: Float32Array }[] = []
    for (const [sample, code] of codes.entries()) {
      expected.push(code)
      for (const { cache, x } of rows) seen.push({ cache, sample, row: x.slice() })
    }
    // rings fill by stepping over the newest samples alone
    for (const code of codes) found.push(code)
    for (const place of Object.values(found.runtime.header.caches)) {
      new Uint8Array(found.runtime.vector('x').buffer).fill(
        0,
        found.runtime.header.state + place.at,
        found.runtime.header.state + place.at + place.phases * place.phaseBytes,
      )
    }
    for (const { cache } of rows) {
      const mine = seen.filter((one) => one.cache === cache).map(({ row }) => row)
      const { phases, window } = found.runtime.header.caches[cache]!
      for (let phase = 0; phase < phases; phase++) {
        const tokens = mine.filter((_, sample) => sample % phases === phase)
        const first = tokens.length - window
        expect(first).toBeGreaterThan(0)
        const newest = Float32Array.from(tokens.slice(first).flatMap((row) => [...row]))
        found.runtime.remember(cache, phase, first, newest)
        expect(() => found.runtime.remember(cache, phases, 0, newest)).toThrow(/do not fit/)
      }
    }
    found.runtime.setRemembered(codes.length)
    for (const code of randomCodes(100, 9)) {
      expect([...found.push(code)]).toEqual([...expected.push(code)])
    }
  })
})

describe('the plan of the preset stream', () => {
  it('costs what the arithmetic says', () => {
    const config = flagshipPresets.stream
    const zeros = flagship(config).parameters.map(({ name, shape }) => {
      return [name, new Float32Array(shape.reduce((a, b) => a * b, 1))] as const
    })
    const macs = macsPerStep(flagshipPlan(config, Object.fromEntries(zeros), 128_000))
    const encoder = 7 * (256 + 256 * 256 + 256 * 128 + 128 * 128 + 128 * 32) + 24 * 32 * 128
    const layer = 2 * 8 * 128 * 128 + 2 * 8 * 64 * 128 + 2 * 128 * 256
    expect(macs).toBe(encoder + 3 * layer + 128 * 1024 + 1024 * 256)
  })

  it('is refused in the form that has none', () => {
    const config: FlagshipConfig = { ...STREAM, form: 'paper', forecast: null }
    expect(() => flagshipPlan(config, {}, 240)).toThrow(/step form/)
  })
})
