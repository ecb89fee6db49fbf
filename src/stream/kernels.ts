import { FileError } from '../base/errors.js'

/**
 * The compiled kernels. A module can be posted to a Worker or an AudioWorklet, where `StreamRuntime`
 * instantiates it without waiting.
 */

/** The smallest module that uses relaxed SIMD: (f32x4.relaxed_madd a a a) of a constant, dropped. */
const RELAXED = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 20, 1, 18, 0],
  ...[0x41, 0, 0xfd, 0x11, 0x41, 0, 0xfd, 0x11, 0x41, 0, 0xfd, 0x11],
  ...[0xfd, 0x85, 2, 0x1a, 0x0b],
)

/** Whether this runtime has relaxed SIMD (Node 22 and later, browsers of 2023 and later). */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(RELAXED)
}

export interface KernelOptions {
  /**
   * Takes the kernels without relaxed SIMD everywhere: the same inputs then give the same bits in every
   * runtime. Relaxed SIMD makes float32 up to twice as fast and rounds as the machine likes; integer
   * products gain nothing from it.
   */
  exact?: boolean
}

/** Name of the file of the kernels that this runtime takes, beside this module. */
export function kernelFile({ exact = false }: KernelOptions = {}): string {
  return !exact && hasRelaxedSimd() ? 'kernels-relaxed.wasm' : 'kernels.wasm'
}

/** Beside this module; of this module as a source, where the build puts it. */
const HOME = new URL(import.meta.url.endsWith('.ts') ? '../../dist/stream/' : '.', import.meta.url)

const compiled = new Map<string, Promise<WebAssembly.Module>>()

/** Compiles the kernels; once for each file, unless it fails. */
export function loadKernels(
  options: KernelOptions = {},
  folder = HOME,
): Promise<WebAssembly.Module> {
  const url = new URL(kernelFile(options), folder)
  const known = compiled.get(url.href)
  if (known) return known
  const module = read(url).then((bytes) => WebAssembly.compile(bytes as BufferSource))
  compiled.set(url.href, module)
  module.catch(() => compiled.delete(url.href))
  return module
}

async function read(url: URL): Promise<Uint8Array> {
  if (url.protocol === 'file:') {
    const { readFile } = await import('node:fs/promises')
    return readFile(url)
  }
  const response = await fetch(url)
  if (!response.ok) {
    throw new FileError({
      fact: 'The kernels of the sampler could not be fetched.',
      expected: `${url}`,
      got: `status ${response.status}`,
      hint: 'serve the .wasm files of longwave beside its modules',
    })
  }
  return new Uint8Array(await response.arrayBuffer())
}
