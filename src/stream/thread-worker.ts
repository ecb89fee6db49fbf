/** Lets `work` run in a Worker of either world. */
import { type Duty, work } from './thread.js'

interface Port {
  postMessage(message: unknown): void
}

if (typeof process !== 'undefined' && process.versions?.node !== undefined) {
  const { parentPort, workerData } = await import('node:worker_threads')
  work(workerData as Duty, () => parentPort!.postMessage('ready'))
} else {
  const port = globalThis as unknown as Port & { onmessage: (event: { data: Duty }) => void }
  port.onmessage = ({ data }) => {
    work(data, () => port.postMessage('ready'))
    close()
  }
}
