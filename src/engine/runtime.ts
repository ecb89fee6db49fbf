/** What Longwave uses of ONNX Runtime's JavaScript interface, the same in Node and in browsers. */
export interface OrtModule {
  Tensor: new (type: string, data: unknown, dims: readonly number[]) => unknown
  InferenceSession: {
    create(model: Uint8Array, options: Record<string, unknown>): Promise<OrtSession>
  }
  env: { versions: { node?: string; common: string } }
  listSupportedBackends?: () => { name: string; bundled: boolean }[]
}

export interface OrtSession {
  run(feeds: Record<string, unknown>, fetches: Record<string, unknown>): Promise<unknown>
  release(): Promise<void>
  endProfiling(): void
}

export type Backend = 'cpu' | 'webgpu' | 'cuda'

export const BACKENDS: readonly Backend[] = ['cpu', 'webgpu', 'cuda']

/**
 * Loads ONNX Runtime lazily: it is a peer that only the engine needs. In bundles for browsers
 * runtime-browser.ts takes the place of this file (`browser` in package.json).
 */
export async function openRuntime(): Promise<OrtModule> {
  const ort: unknown = await import('onnxruntime-node')
  return ort as OrtModule
}

/** Whether a backend really works here; undefined when it does, else the reason on one line. */
export async function whyNot(backend: Backend): Promise<string | undefined> {
  const probe = await import('./probe.js')
  return probe.whyNot(backend)
}
