import { messageOf } from '../base/errors.js'
import { BACKENDS, type Backend, Engine, EngineError } from '../engine/index.js'
import { Graph, input, matmul, sizeOf } from '../graph/index.js'
import { type Machine, machine } from './machine.js'

/** Whether Longwave can work here, and how fast. */
export interface DoctorReport extends Machine {
  longwave: string
  /** Null where ONNX Runtime is missing. */
  engine: { name: string; version: string } | null
  backends: { name: Backend; works: boolean; reason: string | null }[]
  /** A product of two square matrices of that size on the CPU; null where it does not work. */
  matmul: { size: number; gflops: number } | null
  ok: boolean
  verdict: string
  exitCode: number
}

const SIZE = 1024
/** Seconds of repeating the product; the fastest counts, for others may be using the machine. */
const PATIENCE = 1

export async function examine(longwave: string): Promise<DoctorReport> {
  const parts = { longwave, ...machine() }
  let engine: DoctorReport['engine'] = null
  let rate: DoctorReport['matmul'] = null
  let failed: EngineError | undefined
  const backends: DoctorReport['backends'] = []
  try {
    const cpu = await Engine.open()
    engine = { name: 'ONNX Runtime', version: cpu.version }
    rate = { size: SIZE, gflops: await matmulRate(cpu) }
    backends.push({ name: 'cpu', works: true, reason: null })
  } catch (thrown) {
    failed = asEngineError(thrown)
    backends.push({ name: 'cpu', works: false, reason: failed.failure.fact })
  }
  for (const name of BACKENDS.filter((name) => name !== 'cpu')) backends.push(await attempt(name))
  const works = backends.filter((backend) => backend.works).map(({ name }) => name)
  return {
    ...parts,
    engine,
    backends,
    matmul: rate,
    ok: failed === undefined,
    verdict: failed
      ? `Not ready: ${failed.failure.fact}; to do: ${failed.failure.hint ?? 'npm install'}`
      : `Ready: ${works.join(', ')} ${works.length > 1 ? 'work' : 'works'}.`,
    exitCode: failed?.exitCode ?? 0,
  }
}

async function attempt(name: Backend) {
  try {
    await Engine.open({ backend: name })
    return { name, works: true, reason: null }
  } catch (thrown) {
    const { fact, got } = asEngineError(thrown).failure
    return { name, works: false, reason: got ?? fact }
  }
}

function asEngineError(thrown: unknown): EngineError {
  if (thrown instanceof EngineError) return thrown
  return new EngineError({ fact: messageOf(thrown) }, { cause: thrown })
}

/** GFLOP/s of a product of two matrices. */
async function matmulRate(engine: Engine): Promise<number> {
  const graph = new Graph()
  const shape = [SIZE, SIZE]
  const [a, b] = [input(graph, 'a', shape), input(graph, 'b', shape)]
  const program = await engine.compile({ y: matmul(a, b) })
  const values = new Float32Array(sizeOf(shape)).fill(0.5)
  const into = { y: new Float32Array(sizeOf(shape)) }
  const started = performance.now()
  let fastest = Number.POSITIVE_INFINITY
  do {
    const before = performance.now()
    await program.run({ a: values, b: values }, into)
    fastest = Math.min(fastest, performance.now() - before)
  } while (performance.now() - started < PATIENCE * 1000)
  await program.dispose()
  if (into.y[0] !== SIZE / 4) {
    throw new EngineError({
      fact: 'ONNX Runtime computes a wrong product.',
      expected: String(SIZE / 4),
      got: String(into.y[0]),
    })
  }
  return Number(((2 * SIZE ** 3) / (fastest * 1e6)).toFixed(1))
}

/** The report for a person. */
export function formatReport(report: DoctorReport): string {
  const { engine, cpu, wasm, memory, matmul: rate } = report
  const yes = (is: boolean) => (is ? 'yes' : 'no')
  const rows: [string, string][] = [
    ['longwave', report.longwave],
    ['node', `${report.node} on ${report.platform}`],
    ['engine', engine ? `${engine.name} ${engine.version}` : 'missing'],
    ...report.backends.map(({ name, works, reason }): [string, string] => [
      `  ${name}`,
      works ? 'works' : `does not work: ${reason}`,
    ]),
    ['cpu', `${cpu.model}, ${cpu.threads} threads`],
    ['simd', cpu.features.join(' ') || 'not told by the system'],
    ['wasm', `SIMD ${yes(wasm.simd)}, relaxed SIMD ${yes(wasm.relaxedSimd)}`],
    ['matmul', rate ? `${rate.gflops} GFLOP/s (${rate.size}^3, float32)` : 'not measured'],
    ['memory', `${memory.totalGB} GB, ${memory.availableGB} GB to be had`],
  ]
  return [...rows.map(([name, value]) => `${name.padEnd(10)}${value}`), '', report.verdict].join(
    '\n',
  )
}
