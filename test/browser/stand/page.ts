import { fetchCheckpoint } from 'longwave/generate'
import { loadKernels, pack } from 'longwave/stream'
import { type Answer, continueHere, type Request } from './continue.js'

function continueInWorker(request: Request): Promise<Answer> {
  const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' })
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data)
    worker.onerror = ({ message }) => reject(new Error(message))
    worker.postMessage(request)
  })
}

/** Logits after every code, [codes, 256]. */
async function stepInWorklet(checkpoint: string, codes: number[]): Promise<number[][]> {
  const { model, weights } = await fetchCheckpoint(checkpoint)
  const { plan, feeds, values } = model.stepForm!
  const packed = pack(plan(weights, model.context), { precision: 'f32' })
  const step = { feeds, values, packed, kernels: await loadKernels({ exact: true }) }
  const audio = new AudioContext()
  await audio.audioWorklet.addModule(new URL('worklet.js', import.meta.url))
  const node = new AudioWorkletNode(audio, 'stepper')
  node.connect(audio.destination)
  const rows = await new Promise<Float32Array[]>((resolve, reject) => {
    node.onprocessorerror = () => reject(new Error('the AudioWorklet failed'))
    node.port.onmessage = ({ data }) => resolve(data)
    node.port.postMessage({ step, codes })
  })
  await audio.close()
  return rows.map((row) => [...row])
}

export type Stand = {
  continueHere: typeof continueHere
  continueInWorker: typeof continueInWorker
  stepInWorklet: typeof stepInWorklet
}

Object.assign(globalThis, { stand: { continueHere, continueInWorker, stepInWorklet } })
