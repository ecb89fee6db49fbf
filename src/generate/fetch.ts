import { FileError, messageOf } from '../base/errors.js'
import {
  CONFIG,
  MODEL,
  openCheckpoint,
  parseFloats,
  parseJson,
  type TrainedModel,
} from '../models/index.js'

export interface FetchOptions {
  signal?: AbortSignal
  /** Told how many bytes of the weights are there; `total` where the server says it. */
  onProgress?: (bytes: number, total: number | undefined) => void
}

/**
 * Fetches a model that was made to be shipped (`longwave export`): `model.safetensors` beside
 * `config.json`. For pages and Workers; in Node `loadModelFolder` of longwave/train reads folders.
 *
 *   const checkpoint = await fetchCheckpoint('/checkpoints/piano/')
 *   const stream = await openStream(checkpoint, { precision: 'int8', seed: 1 })
 *
 * @param url of the folder, relative to the page or the Worker
 * @throws FileError when a file cannot be fetched, or the configuration describes no model
 * @throws DamagedCheckpointError when a file is not what was saved
 */
export async function fetchCheckpoint(
  url: string | URL,
  { signal, onProgress = () => {} }: FetchOptions = {},
): Promise<TrainedModel> {
  const folder = folderOf(url)
  const [config, model] = [new URL(CONFIG, folder).href, new URL(MODEL, folder).href]
  // a configuration is small: whoever mistyped the address waits for nothing else
  const parsed = parseJson(config, await fetchBytes(config, signal, () => {}))
  const tensors = parseFloats(model, await fetchBytes(model, signal, onProgress))
  return openCheckpoint({ folder: folder.href, model: tensors, config: parsed })
}

function folderOf(url: string | URL): URL {
  const base = typeof location === 'undefined' ? undefined : location.href
  try {
    const folder = new URL(url, base)
    if (!folder.pathname.endsWith('/')) folder.pathname += '/'
    return folder
  } catch (cause) {
    throw new FileError(
      {
        fact: `${url} is not the address of a checkpoint.`,
        hint: 'in Node, loadModelFolder of longwave/train reads folders',
      },
      { cause },
    )
  }
}

async function fetchBytes(
  url: string,
  signal: AbortSignal | undefined,
  onProgress: NonNullable<FetchOptions['onProgress']>,
): Promise<Uint8Array> {
  try {
    const response = await fetch(url, signal ? { signal } : {})
    if (!response.ok) throw missing(url, `status ${response.status} ${response.statusText}`.trim())
    const length = Number(response.headers.get('content-length'))
    // compressed, the length is of something else than what comes
    const isPlain = !response.headers.get('content-encoding')
    const total = isPlain && length > 0 ? length : undefined
    const parts: Uint8Array[] = []
    let bytes = 0
    for (const reader = response.body!.getReader(); ; ) {
      const { done, value } = await reader.read()
      if (done) break
      parts.push(value)
      bytes += value.length
      onProgress(bytes, total)
    }
    return joined(parts, bytes)
  } catch (thrown) {
    if (thrown instanceof FileError || signal?.aborted) throw thrown
    throw missing(url, messageOf(thrown), thrown)
  }
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function missing(url: string, got: string, cause?: unknown): FileError {
  return new FileError(
    {
      fact: `${url} could not be fetched.`,
      expected: `${CONFIG} and ${MODEL} in one folder, as longwave export writes them`,
      got,
    },
    { cause },
  )
}
