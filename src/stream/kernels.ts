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
  /** Over a memory that several threads share. */
  threads?: boolean
}

/** The builds of the kernels, as modules that hold them: nothing to fetch, in any runtime or bundle. */
const BUILDS = {
  plain: () => import('./generated/kernels.js'),
  relaxed: () => import('./generated/kernels-relaxed.js'),
  'plain, threads': () => import('./generated/kernels-threads.js'),
  'relaxed, threads': () => import('./generated/kernels-relaxed-threads.js'),
}

const compiled = new Map<keyof typeof BUILDS, Promise<WebAssembly.Module>>()

/** Compiles the kernels that this runtime takes, once. */
export function loadKernels({
  exact = false,
  threads = false,
}: KernelOptions = {}): Promise<WebAssembly.Module> {
  const kind = !exact && hasRelaxedSimd() ? 'relaxed' : 'plain'
  const build = threads ? (`${kind}, threads` as const) : kind
  const known = compiled.get(build)
  if (known) return known
  const module = BUILDS[build]().then(({ base64 }) => WebAssembly.compile(bytesOf(base64)))
  compiled.set(build, module)
  // a page whose policy forbids WebAssembly, or that was offline, may try again
  module.catch(() => compiled.delete(build))
  return module
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
}
