import { parentPort, workerData } from 'node:worker_threads'
import { LongwaveError, messageOf } from '../base/errors.js'
import { openDataset } from '../data/index.js'
import { Engine } from '../engine/index.js'
import {
  type Arrays,
  type Model,
  type ModelFolder,
  openCheckpoint,
  openModel,
  weightsOf,
} from '../models/index.js'
import { type TrainResult, trainLoop } from './loop.js'
import { loadModelFolder } from './model-folder.js'
import type { FromWorker, RemoteFailure, ToWorker, TrainRequest } from './start.js'

/** The training thread: does what its request says and tells how it goes. */

const port = parentPort!
const tell = (message: FromWorker) => port.postMessage(message)
const stop = new AbortController()
port.on('message', (message: ToWorker) => {
  if (message.type === 'stop') stop.abort()
})

try {
  tell({ type: 'done', result: await train(workerData as TrainRequest) })
} catch (error) {
  tell({ type: 'failed', failure: describe(error) })
} finally {
  port.close()
}

async function train(request: TrainRequest): Promise<TrainResult> {
  const { runDir, recipe, backend, threads, resume, from, saveEverySeconds, minutes } = request
  const dataset = openDataset(request.data)
  const model = openModel(request.model.family, request.model.config)
  const engine = await Engine.open({ backend, threads })
  const { init } = recipe
  return trainLoop({
    runDir,
    model,
    engine,
    train: dataset.pieces('train'),
    valid: dataset.pieces('valid'),
    recipe,
    resume,
    ...(from !== undefined && { from }),
    ...(minutes !== undefined && { minutes }),
    ...(init !== null && {
      initial() {
        return initialOf(model, loadModelFolder(init), recipe.seed)
      },
    }),
    saveEvery: { seconds: saveEverySeconds },
    signal: stop.signal,
    onStep: (metrics) => tell({ type: 'step', metrics }),
    onNote: (text) => tell({ type: 'note', text }),
    onMilestone: () => tell({ type: 'milestone' }),
  })
}

/** Weights of a checkpoint; those of parts that its model had not begin as they do in a new one. */
function initialOf(model: Model, from: ModelFolder, seed: number): Arrays {
  const { weights } = openCheckpoint(from)
  const news = model.parameters.filter(({ name }) => !Object.hasOwn(weights, name))
  if (news.length === 0 || news.length === model.parameters.length) {
    return weightsOf(from.folder, from.model, model)
  }
  const own = model.initialise(seed)
  const added = news.map(({ name, shape }) => [name, { shape, data: own[name]! }] as const)
  tell({
    type: 'note',
    text: `New in this model, and untrained: ${news.map(({ name }) => name).join(', ')}.`,
  })
  return weightsOf(from.folder, { ...from.model, ...Object.fromEntries(added) }, model)
}

function describe(error: unknown): RemoteFailure {
  const { name, stack } = error instanceof Error ? error : new Error()
  const message = messageOf(error)
  if (!(error instanceof LongwaveError)) return { name, message, stack }
  return { name, message, stack, known: { failure: error.failure, exitCode: error.exitCode } }
}
