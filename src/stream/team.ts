/** Starts the threads that help with steps: Workers over one shared memory. */
import { LongwaveError, messageOf } from '../base/errors.js'
import type { Duty } from './thread.js'

/** The most threads that may share a step. */
export const MOST_THREADS = 8

/** Whether threads can share memory here: in Node always, in a page that is cross-origin isolated. */
export function canShareMemory(): boolean {
  const { crossOriginIsolated } = globalThis as { crossOriginIsolated?: boolean }
  return typeof SharedArrayBuffer !== 'undefined' && crossOriginIsolated !== false
}

/**
 * Starts a thread for each duty.
 *
 * @returns when all are ready
 * @throws LongwaveError when one cannot be started
 */
export async function startThreads(duties: readonly Duty[]): Promise<void> {
  const start = typeof Worker === 'undefined' ? startInNode : startInBrowser
  try {
    await Promise.all(duties.map(start))
  } catch (error) {
    throw new LongwaveError(
      {
        fact: 'A thread of the sampler could not be started.',
        got: messageOf(error),
        hint: 'use one thread',
      },
      { cause: error },
    )
  }
}

function startInBrowser(duty: Duty): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./thread-worker.js', import.meta.url), { type: 'module' })
    worker.onmessage = () => resolve()
    worker.onerror = (event) => reject(new Error(event.message || 'the script did not load'))
    worker.postMessage(duty)
  })
}

/** Beside this module; of this module as a source, where the build puts it. */
const SCRIPT = import.meta.url.endsWith('.ts')
  ? '../../dist/stream/thread-worker.js'
  : './thread-worker.js'

async function startInNode(duty: Duty): Promise<void> {
  const { Worker } = await import('node:worker_threads')
  await new Promise<void>((resolve, reject) => {
    const worker = new Worker(new URL(SCRIPT, import.meta.url), { workerData: duty })
    worker.once('message', () => {
      worker.unref() // it sleeps when there is nothing to do, which must not keep a program alive
      resolve()
    })
    worker.once('error', reject)
  })
}
