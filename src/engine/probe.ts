import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { Graph, input, lower, scale } from '../graph/index.js'
import type { Backend } from './runtime.js'

/** Compiles and runs the model that comes in on stdin; tells the end on fd 3. */
const CHILD = `
const [path, backend] = process.argv.slice(1)
const { writeSync, readFileSync } = require('fs')
const ort = require(path)
const executionProviders = [backend]
const values = new Float32Array([1, 2, 3, 4])
ort.InferenceSession.create(new Uint8Array(readFileSync(0)), { executionProviders, logSeverityLevel: 4 })
  .then((session) => session.run({ x: new ort.Tensor('float32', values, [4]) }))
  .then(({ y }) => writeSync(3, y.data[3] === 8 ? 'works' : 'it computes 2 x 4 = ' + y.data[3]))
  .catch((error) => writeSync(3, String(error.message)))
  .then(() => process.exit(0))
`

/** A driver that has not answered by then will not. */
const PATIENCE = 60_000

/**
 * Whether a backend really works here: compiles and runs a tiny program on it, in a process of its
 * own, because native code that misses a driver prints what it likes, or aborts.
 *
 * @returns undefined when it works, else the reason on one line
 */
export function whyNot(backend: Backend): string | undefined {
  const x = input(new Graph(), 'x', [4])
  const path = createRequire(import.meta.url).resolve('onnxruntime-node')
  const { output, signal, error } = spawnSync(process.execPath, ['-e', CHILD, path, backend], {
    input: lower({ y: scale(x, 2) }).bytes,
    stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
    timeout: PATIENCE,
  })
  const said = output?.[3]?.toString() ?? ''
  if (said === 'works') return undefined
  if (said !== '') return tidy(said)
  return error
    ? tidy(error.message)
    : `the process that tried it ended with ${signal ?? 'an error'}`
}

/** Without the place in ONNX Runtime's sources. */
function tidy(message: string): string {
  const line = message.replace(/\s+/g, ' ').trim()
  return line.replace(/^\/onnxruntime_src\/.* was false\. /, '')
}
