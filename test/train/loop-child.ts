import { Engine } from '../../src/engine/index.js'
import { trainLoop } from '../../src/train/index.js'
import { toyOptions, toyRecipe } from './toy.js'

/** Trains the toy, from where its run stands, until it is finished or stopped. */
const engine = await Engine.open({ threads: 1 })
const stop = new AbortController()
process.on('SIGINT', () => stop.abort())
const result = await trainLoop(
  toyOptions(engine, process.argv[2]!, {
    recipe: toyRecipe(),
    resume: true,
    saveEvery: { steps: 4 },
    signal: stop.signal,
  }),
)
process.exitCode = result.reason === 'stopped' ? 130 : 0
