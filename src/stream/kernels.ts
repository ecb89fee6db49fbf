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

/** Name of the file of the kernels that this runtime takes, beside this module. */
export function kernelFile(): string {
  return hasRelaxedSimd() ? 'kernels-relaxed.wasm' : 'kernels.wasm'
}

let compiled: Promise<WebAssembly.Module> | undefined

/** Compiles the kernels; once, however often it is called. */
export function loadKernels(
  url = new URL(kernelFile(), import.meta.url),
): Promise<WebAssembly.Module> {
  compiled ??= read(url).then((bytes) => WebAssembly.compile(bytes as BufferSource))
  return compiled
}

async function read(url: URL): Promise<Uint8Array> {
  if (url.protocol === 'file:') {
    const { readFile } = await import('node:fs/promises')
    return readFile(url)
  }
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}
