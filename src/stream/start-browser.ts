/** What start.ts is in bundles for browsers. */
import type * as start from './start.js'
import { type Duty, work } from './thread.js'

const SCRIPT = `onmessage = ({ data }) => {
  (${work})(data, () => postMessage('ready'))
  close()
}`

/** Pages must be cross-origin isolated; the page itself must not wait, and an AudioWorklet has no Workers. */
export const canShareMemory: typeof start.canShareMemory = () =>
  typeof Worker !== 'undefined' && typeof document === 'undefined' && crossOriginIsolated

export const startThread: typeof start.startThread = (duty: Duty) => {
  const url = URL.createObjectURL(new Blob([SCRIPT], { type: 'text/javascript' }))
  const worker = new Worker(url)
  return new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve()
    worker.onerror = (event) => reject(new Error(event.message || 'the Worker did not start'))
    worker.postMessage(duty)
  }).finally(() => URL.revokeObjectURL(url))
}
