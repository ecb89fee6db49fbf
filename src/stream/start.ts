/**
 * Starts threads in Node. In bundles for browsers start-browser.ts takes the place of this file (`browser`
 * in package.json).
 */
import { type Duty, work } from './thread.js'

const SCRIPT = `const { parentPort, workerData } = require('node:worker_threads')
;(${work})(workerData, () => parentPort.postMessage('ready'))`

/** Whether threads can share memory here, and this one may wait for others. */
export function canShareMemory(): boolean {
  return true
}

/** Starts a thread. Returns when it is ready. */
export async function startThread(duty: Duty): Promise<void> {
  const { Worker } = await import('node:worker_threads')
  await new Promise<void>((resolve, reject) => {
    const worker = new Worker(SCRIPT, { eval: true, workerData: duty })
    worker.once('message', () => {
      worker.unref() // it sleeps when there is nothing to do, which must not keep a program alive
      resolve()
    })
    worker.once('error', reject)
  })
}
