import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'

/** What the machine has, as far as it matters for arithmetic. */
export interface Machine {
  platform: string
  node: string
  cpu: {
    model: string
    /** Threads that run at the same time. */
    threads: number
    /** Vector instructions, by the names of Linux; empty where the system does not tell. */
    features: string[]
  }
  /** What this Node's WebAssembly can do. */
  wasm: { simd: boolean; relaxedSimd: boolean }
  memory: { totalGB: number; availableGB: number }
}

export function machine(): Machine {
  const { platform, arch, version } = process
  return {
    platform: `${platform} ${arch}`,
    node: version,
    cpu: {
      model: cpus()[0]?.model.trim() ?? 'unknown',
      threads: availableParallelism(),
      features: cpuFeatures(),
    },
    wasm: { simd: validates(SIMD), relaxedSimd: validates(RELAXED_SIMD) },
    memory: { totalGB: gigabytes(totalmem()), availableGB: gigabytes(process.availableMemory()) },
  }
}

const gigabytes = (bytes: number) => Number((bytes / 2 ** 30).toFixed(2))

const VECTORS = /^(sse4_2|avx|avx2|fma|f16c|avx512\w*|avx_vnni|amx_\w+|asimd\w*|sve2?|i8mm|bf16)$/

function cpuFeatures(): string[] {
  try {
    const text = readFileSync('/proc/cpuinfo', 'utf8')
    const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1] ?? ''
    return flags.split(' ').filter((flag) => VECTORS.test(flag))
  } catch {
    return [] // no Linux
  }
}

/** A module of one function without parameters that gives a v128, around its instructions. */
function moduleOf(body: number[]): number[] {
  const code = [0, ...body, 0x0b]
  return [
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...[1, 5, 1, 0x60, 0, 1, 0x7b], // type: () -> v128
    ...[3, 2, 1, 0],
    ...[10, code.length + 2, 1, code.length, ...code],
  ]
}

/** i32.const 1, i8x16.splat */
const SPLAT = [0x41, 1, 0xfd, 15]
const SIMD = moduleOf(SPLAT)
/** ... i8x16.relaxed_swizzle */
const RELAXED_SIMD = moduleOf([...SPLAT, ...SPLAT, 0xfd, 0x80, 2])

const validates = (bytes: number[]) => WebAssembly.validate(new Uint8Array(bytes))
