import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { Engine } from 'longwave/engine'
import { Graph, input, matmul } from 'longwave/graph'

/** What a result was measured on. */
export async function machine() {
  const engine = await Engine.open()
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    cpu: cpus()[0]?.model.trim(),
    cores: cpus().length,
    features: features(),
    memoryGB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    onnxruntime: engine.version,
  }
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}

/** The widest vector instructions of an x86 CPU, as Linux tells them. */
function features(): string {
  try {
    const flags =
      readFileSync('/proc/cpuinfo', 'utf8')
        .match(/^flags.*$/m)?.[0]
        .split(' ') ?? []
    return ['avx512f', 'avx2', 'avx'].find((flag) => flags.includes(flag)) ?? 'unknown'
  } catch {
    return 'unknown'
  }
}

/** The engine's rate for a product of two square matrices, best of `repeats`, in GFLOP/s. */
export async function matmulRate(size = 2048, repeats = 8): Promise<number> {
  const engine = await Engine.open()
  const graph = new Graph()
  const y = matmul(input(graph, 'a', [size, size]), input(graph, 'b', [size, size]))
  const program = await engine.compile({ y })
  const [a, b, into] = [1, 2, 3].map((k) =>
    Float32Array.from({ length: size * size }, (_, i) => ((i * 7919 * k) % 1000) / 1000 - 0.5),
  )
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < repeats; i++) {
    const start = performance.now()
    await program.run({ a: a!, b: b! }, { y: into! })
    best = Math.min(best, performance.now() - start)
  }
  await program.dispose()
  return (2 * size ** 3) / best / 1e6
}

/** A Markdown table. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
