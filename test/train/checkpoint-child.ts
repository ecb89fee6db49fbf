import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadCheckpoint, saveCheckpoint } from '../../src/train/checkpoint.js'
import { type Counted, partsOf } from './checkpoint-parts.js'

/** Saves step after step, from where the run stands, until it is killed. */
const run = process.argv[2]!
let step = 0
try {
  readFileSync(join(run, 'ckpt', 'last.json'))
  step = (loadCheckpoint(run).state as Counted).step
} catch {
  // the first start
}
for (;;) {
  step++
  saveCheckpoint(run, step, { ...partsOf(step), best: step % 3 === 0 })
}
