import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Random } from '../../src/base/random.js'
import { loadCheckpoint, saveCheckpoint } from '../../src/train/checkpoint.js'
import { type Counted, partsOf } from './checkpoint-parts.js'

let root: string
let run: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longwave-killed-'))
  run = join(root, 'run')
})

afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

describe('a process that is killed while it saves', () => {
  it('20 times always leaves a checkpoint that loads', async () => {
    const program = compile(root)
    const random = new Random(11)
    let reached = 0
    for (let round = 0; round < 20; round++) {
      await saveUntilKilled(program, random.below(60))
      const { state, model, optim } = loadCheckpoint(run)
      const { step } = state as Counted
      expect({ model, optim, state }).toEqual(partsOf(step))
      expect(step).toBeGreaterThan(reached)
      if (step >= 3) expect(stepOfBest() % 3).toBe(0)
      reached = step
    }
    saveCheckpoint(run, reached + 1, partsOf(reached + 1))
    expect(readdirSync(join(run, 'ckpt')).filter((name) => name.startsWith('.'))).toEqual([])
  })

  /** Kills the child some time after its first save. */
  async function saveUntilKilled(program: string, milliseconds: number) {
    const before = lastPointer()
    const child = spawn(process.execPath, [program, run], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const ended = new Promise((done) => child.once('exit', (_, signal) => done(signal)))
    while (lastPointer() === before && child.exitCode === null) await pause(1)
    await pause(milliseconds)
    child.kill('SIGKILL')
    expect(await ended).toBe('SIGKILL')
  }
})

const lastPointer = () => {
  const path = join(run, 'ckpt', 'last.json')
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

const stepOfBest = () => (loadCheckpoint(run, 'best').state as Counted).step

const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds))

/** Compiles the child and what it imports, and returns the path of the program. */
function compile(to: string): string {
  writeFileSync(join(to, 'package.json'), '{"type":"module"}')
  const queue = ['test/train/checkpoint-child.ts']
  for (const path of queue) {
    const source = readFileSync(path, 'utf8')
    const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext }
    const { outputText } = ts.transpileModule(source, { compilerOptions: options })
    const out = join(to, path.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(out), { recursive: true })
    writeFileSync(out, outputText)
    for (const [, target] of outputText.matchAll(/ from '(\.[^']+)\.js'/g)) {
      const next = `${join(dirname(path), target!)}.ts`
      if (!queue.includes(next)) queue.push(next)
    }
  }
  return join(to, 'test/train/checkpoint-child.js')
}
