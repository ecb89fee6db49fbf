import { beforeAll, describe, expect, it } from 'vitest'
import { BACKENDS, Engine, EngineError, type Program } from '../../src/engine/index.js'
import {
  add,
  apply,
  Graph,
  input,
  matmul,
  type Op,
  relu,
  scale,
  sum,
  take,
} from '../../src/graph/index.js'

let engine: Engine
let program: Program
beforeAll(async () => {
  engine = await Engine.open({ threads: 1 })
  const graph = new Graph()
  const x = input(graph, 'x', [2, 3])
  const table = input(graph, 'table', [3, 4])
  const indices = input(graph, 'indices', [2], 'int32')
  program = await engine.compile({
    product: matmul(x, table),
    rows: take(table, indices, 0),
    total: sum(x),
  })
})

const feeds = () => ({
  x: Float32Array.of(1, 2, 3, 4, 5, 6),
  table: Float32Array.from({ length: 12 }, (_, i) => i),
  indices: Int32Array.of(2, 0),
})

/** The EngineError that a promise is rejected with. */
async function rejection(promise: Promise<unknown>): Promise<EngineError> {
  const thrown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(thrown).toBeInstanceOf(EngineError)
  return thrown as EngineError
}

describe('Program.run', () => {
  it('computes', async () => {
    const { product, rows, total } = await program.run(feeds())
    expect(product).toEqual(Float32Array.of(32, 38, 44, 50, 68, 83, 98, 113))
    expect(rows).toEqual(Float32Array.of(8, 9, 10, 11, 0, 1, 2, 3))
    expect(total).toEqual(Float32Array.of(21))
  })

  it('leaves what it is fed alone, and ignores feeds that it does not know', async () => {
    const mine = feeds()
    await program.run({ ...mine, other: new Float32Array(1) })
    expect(mine).toEqual(feeds())
  })

  it('writes into given arrays: these very ones', async () => {
    const product = new Float32Array(8).fill(-1)
    const found = await program.run(feeds(), { product })
    expect(found.product).toBe(product)
    expect(product).toEqual(Float32Array.of(32, 38, 44, 50, 68, 83, 98, 113))
    expect(found.total).toEqual(Float32Array.of(21))
  })

  it('writes into a view with an offset, and not beside it', async () => {
    const whole = new Float32Array(20).fill(-1)
    const view = whole.subarray(5, 13)
    const found = await program.run(feeds(), { product: view })
    expect(found.product).toBe(view)
    expect([...whole]).toEqual([
      ...Array(5).fill(-1),
      ...[32, 38, 44, 50, 68, 83, 98, 113],
      ...Array(7).fill(-1),
    ])
  })

  it('writes into the given memory at every run, of any output', async () => {
    const graph = new Graph()
    const x = input(graph, 'x', [3])
    const twice = await engine.compile({ y: scale(x, 2), same: x, sum: add(x, x) })
    const memory = new Float32Array(12).fill(-1)
    const into = {
      y: memory.subarray(1, 4),
      same: memory.subarray(4, 7),
      sum: memory.subarray(9, 12),
    }
    for (const start of [1, 10]) {
      await twice.run({ x: Float32Array.of(start, start + 1, start + 2) }, into)
      const values = [start, start + 1, start + 2]
      const doubled = values.map((v) => 2 * v)
      expect([...memory]).toEqual([-1, ...doubled, ...values, -1, -1, ...doubled])
    }
    await twice.dispose()
  })

  it('reads views with an offset', async () => {
    const whole = Float32Array.of(9, 9, 1, 2, 3, 4, 5, 6, 9)
    const indices = Int32Array.of(7, 2, 0, 7).subarray(1, 3)
    const found = await program.run({ ...feeds(), x: whole.subarray(2, 8), indices })
    expect(found.total).toEqual(Float32Array.of(21))
    expect(found.rows!.slice(0, 4)).toEqual(Float32Array.of(8, 9, 10, 11))
  })

  it('says which input is missing, and what it is', async () => {
    const { table: _, ...rest } = feeds()
    const error = await rejection(program.run(rest))
    expect(error.failure.fact).toContain('table was not fed')
    expect(error.failure.expected).toBe('float32 [3, 4]')
    expect(error.exitCode).toBe(5)
  })

  it.each([
    ['of the wrong size', { x: new Float32Array(5) }, 'x', 'float32 [2, 3]', 'Float32Array of 5'],
    ['of the wrong type', { x: new Float64Array(6) }, 'x', 'float32 [2, 3]', 'Float64Array of 6'],
    [
      'of floats for integers',
      { indices: new Float32Array(2) },
      'indices',
      'int32 [2]',
      'Float32Array of 2',
    ],
  ])('refuses an array %s', async (_, mine, name, expected, got) => {
    const error = await rejection(program.run({ ...feeds(), ...mine }))
    expect(error.failure.fact).toContain(name)
    expect(error.failure).toMatchObject({ expected, got })
  })

  it('refuses to write into an array that does not fit', async () => {
    const error = await rejection(program.run(feeds(), { product: new Float32Array(7) }))
    expect(error.failure.fact).toContain('product')
    expect(error.failure).toMatchObject({
      expected: 'float32 [2, 4]',
      got: 'Float32Array of 7',
    })
  })

  it('passes on what ONNX Runtime says when a run fails', async () => {
    const error = await rejection(program.run({ ...feeds(), indices: Int32Array.of(0, 3) }))
    expect(error.failure.fact).toMatch(/failed while it ran: .*(index|indices)/i)
    expect(error.cause).toBeInstanceOf(Error)
    // and the program still works
    expect((await program.run(feeds())).total).toEqual(Float32Array.of(21))
  })

  it('computes in float64 where the graph is float64', async () => {
    const graph = new Graph('float64')
    const x = input(graph, 'x', [2])
    const precise = await engine.compile({ y: add(x, x) })
    const { y } = await precise.run({ x: Float64Array.of(1 + 2 ** -40, 3) })
    expect(y).toEqual(Float64Array.of(2 + 2 ** -39, 6))
    await precise.dispose()
  })
})

describe('Engine', () => {
  it('knows its backend and what ONNX Runtime offers', () => {
    expect(engine.backend).toBe('cpu')
    expect(engine.version).toMatch(/^\d+\.\d+\.\d+/)
    expect(engine.backends).toContain('cpu')
    expect(BACKENDS).toContain(engine.backend)
  })

  it('says why a program is refused', async () => {
    const nonsense: Op<undefined> = {
      name: 'nonsense',
      shape: ([x]) => x!.shape,
      lower: (to, [x]) => to.emit('NoSuchOperator', [x!]),
    }
    const x = input(new Graph(), 'x', [2])
    const error = await rejection(engine.compile({ y: apply(nonsense, [x], undefined) }))
    expect(error.failure.fact).toContain('ONNX Runtime refused a program')
    expect(error.failure.fact).toContain('NoSuchOperator')
  })

  it.each(['webgpu', 'cuda'] as const)('%s computes, or says what it needs', async (backend) => {
    const x = input(new Graph(), 'x', [3])
    const compile = async () => (await Engine.open({ backend })).compile({ y: relu(x) })
    const compiled = await compile().catch((reason: unknown) => reason)
    if (compiled instanceof Error) {
      expect(compiled).toBeInstanceOf(EngineError)
      const { failure } = compiled as EngineError
      expect(failure.fact).toContain(`The ${backend} backend is not to be had on this machine`)
      expect(failure.hint).toContain('driver')
      expect(failure.hint).toContain('--backend cpu')
      return
    }
    const { y } = await (compiled as Program).run({ x: Float32Array.of(-1, 0, 2) })
    expect(y).toEqual(Float32Array.of(0, 0, 2))
  })
})
