import { type ChildProcess, spawn } from 'node:child_process'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SetResult } from '../../bench/table1/results.js'
import type { Trained } from '../../bench/table1/training.js'

/** The whole script in small; a machine with other work may take some minutes. */
const TIMEOUT = 600_000

let root: string
let runs: string
const started: ChildProcess[] = []

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'longwave-table1-'))
  runs = join(root, 'runs')
})

afterAll(() => {
  for (const { pid, exitCode, signalCode } of started) {
    if (exitCode === null && signalCode === null) process.kill(-pid!, 'SIGKILL')
  }
  rmSync(root, { recursive: true, force: true })
})

interface Started {
  child: ChildProcess
  ended: Promise<{ code: number | NodeJS.Signals; stderr: string }>
}

function start(...args: string[]): Started {
  // a group of its own, which can be killed with all that it has started
  const child = spawn('bash', ['runs/table1.sh', ...args], { detached: true })
  started.push(child)
  let stderr = ''
  child.stderr.on('data', (text) => {
    stderr += text
  })
  child.stdout.resume()
  const ended = new Promise<Awaited<Started['ended']>>((resolve) => {
    child.once('close', (code, by) => resolve({ code: by ?? code ?? 0, stderr }))
  })
  return { child, ended }
}

const done = () => (existsSync(join(runs, 'done')) ? readdirSync(join(runs, 'done')).sort() : [])

const times = () =>
  Object.fromEntries(done().map((name) => [name, statSync(join(runs, 'done', name)).mtimeMs]))

describe('runs/table1.sh --smoke', () => {
  it('goes on after a kill, and from equal targets alone to equal time', {
    timeout: TIMEOUT,
  }, async () => {
    const first = start('--smoke', runs, '--minutes', '0')
    while (!done().includes('targets-wavenet.json') && first.child.exitCode === null) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    process.kill(-first.child.pid!, 'SIGKILL')
    expect((await first.ended).code).toBe('SIGKILL')
    const before = times()
    expect(Object.keys(before)).toContain('targets-wavenet.json')
    const early = readFileSync(join(runs, 'table1.md'), 'utf8')
    expect(early).toContain('Not done yet: WaveNet, tiny; SampleRNN, tiny; SaShiMi, tiny.')
    expect(early).toMatch(/^\| Longwave, tiny \| \d\.\d{4} ± /m)
    expect(early).not.toContain('The same wall time')
    expect(early).not.toMatch(/NaN|undefined|null/)

    const second = await start('--smoke', runs).ended
    expect(second, second.stderr).toMatchObject({ code: 0 })
    // nothing was done twice
    expect(times()).toMatchObject(before)
    for (const run of ['targets-longwave', 'targets-wavenet']) {
      expect(second.stderr).not.toContain(`train --out ${join(runs, run)} `)
    }

    const { sets } = JSON.parse(readFileSync(join(runs, 'table1.json'), 'utf8')) as {
      sets: SetResult[]
    }
    expect(sets.map(({ name }) => name)).toEqual(['smoke'])
    const { models, options, reference } = sets[0]!
    expect(models.map(({ name }) => name)).toEqual(['longwave', 'wavenet', 'samplernn', 'sashimi'])
    for (const { trials, rate, equalTargets, equalTime, speed, cost } of models) {
      expect(trials.map((trial) => trial.rate)).toContain(rate)
      for (const trial of trials) expect(trial.heldOutBits).toBeGreaterThan(1)
      // the same targets, in the same steps
      expect(equalTargets!.trained).toMatchObject({
        targets: options.targets,
        targetsPerStep: options.targetsPerStep,
        share: 1,
      })
      expect(equalTime!.trained.targets).toBeGreaterThan(0)
      for (const row of [equalTargets!, equalTime!]) {
        for (const set of ['first', 'second']) {
          for (const split of ['test', 'valid']) {
            const { bits, nats, error, samples, pieces } = row.scores[set]![split]!
            expect(bits).toBeGreaterThan(1)
            expect(bits).toBeLessThan(10)
            expect(nats).toBeCloseTo(bits * Math.LN2)
            expect(error).toBeGreaterThan(0)
            expect(pieces).toHaveLength(2)
            expect(samples).toBe(2 * options.limit * options.rate)
          }
        }
      }
      for (const found of [speed!.int8!, speed!.f32!]) {
        expect(found.samplesPerSecond).toBeGreaterThan(0)
        expect(found.realTimeFactor).toBeCloseTo(found.samplesPerSecond / options.rate)
      }
      expect(cost!.mmacs).toBeGreaterThan(0)
      expect(cost!.memoryMB).toBeGreaterThan(0)
    }
    expect(reference.second!.test!.strongPredictor).toBeLessThan(4)

    const text = readFileSync(join(runs, 'table1.md'), 'utf8')
    for (const { label, equalTargets } of models) {
      expect(text).toContain(`| ${label} | ${equalTargets!.scores.first!.test!.bits.toFixed(4)} ±`)
    }
    expect(text).toContain(
      '| SaShiMi, 6 layers | 3.13M | unbounded; trained on 131,072 | 1.315 | bits |',
    )
    expect(text).not.toContain('Not done yet')
    expect(text).not.toContain(root)
    for (const name of ['table1.svg', 'table1-time.svg']) {
      expect(readFileSync(join(runs, name), 'utf8')).toMatch(
        /^<svg[\s\S]*SampleRNN, tiny[\s\S]*<\/svg>\n$/,
      )
    }
  })

  it('refuses a model with other flags, and goes on with the others', {
    timeout: TIMEOUT,
  }, async () => {
    const plan = join(runs, 'plans', 'targets-wavenet.json')
    const text = readFileSync(plan, 'utf8')
    writeFileSync(plan, text.replace('"channels=16"', '"channels=24"'))
    rmSync(join(runs, 'done', 'speed-sashimi-int8.json'))
    const before = times()
    const { code, stderr } = await start('--smoke', runs).ended
    writeFileSync(plan, text)
    expect(code).toBe(2)
    expect(stderr).toContain('of targets-wavenet was made with other options or flags')
    expect(stderr).not.toMatch(/^ +at /m)
    expect(times()).toMatchObject(before)
    expect(done()).toContain('speed-sashimi-int8.json')
    const table = readFileSync(join(runs, 'table1.md'), 'utf8')
    expect(table.match(/^Not done yet: .*$/gm)).toEqual(['Not done yet: WaveNet, tiny.'])
    expect(table).toMatch(/^\| SaShiMi, tiny \| \d\.\d{4} ± /m)
  })

  it.each([
    [['--rate', '8000'], 'data-all'],
    [['--threads', '1'], 'rates-longwave'],
    [['--limit', '0.25'], 'score-targets-longwave-first-test'],
    [['--minutes', '5'], 'time-longwave'],
  ])('refuses %j for what depends on it', { timeout: TIMEOUT }, async (options, part) => {
    const before = times()
    const { code, stderr } = await start('--smoke', runs, '--models', 'longwave', ...options).ended
    expect(code).toBe(2)
    expect(stderr).toContain(`of ${part} was made with other options or flags`)
    expect(stderr).not.toContain('$ longwave')
    expect(times()).toEqual(before)
  })

  it('takes the run of equal targets for that of equal time, where it took as long', {
    timeout: TIMEOUT,
  }, async () => {
    const path = join(runs, 'done', 'targets-sashimi.json')
    const run = JSON.parse(readFileSync(path, 'utf8')) as { trained: Trained }
    const minutes = run.trained.seconds / 60 / 0.98
    for (const folder of ['done', 'plans']) {
      for (const name of readdirSync(join(runs, folder))) {
        if (name.includes('time-sashimi')) rmSync(join(runs, folder, name))
      }
    }
    const before = times()
    const options = ['--models', 'sashimi', '--minutes', `${minutes}`]
    const { code, stderr } = await start('--smoke', runs, ...options).ended
    expect(code, stderr).toBe(0)
    expect(stderr).not.toContain('$ longwave')
    expect(times()).toEqual(before)
    const { sets } = JSON.parse(readFileSync(join(runs, 'table1.json'), 'utf8')) as {
      sets: SetResult[]
    }
    const { equalTargets, equalTime } = sets[0]!.models.find(({ name }) => name === 'sashimi')!
    expect(equalTime).toEqual(equalTargets)
  })

  it.each([
    [['--smoke', '--models', 'rnn'], 'There is no model rnn: --models takes longwave,wavenet'],
    [['--colour', 'x'], "Unknown option '--colour'"],
    [[], 'No FOLDER was given'],
  ])('tells what is wrong with %j', { timeout: TIMEOUT }, async (args, message) => {
    const { code, stderr } = await start(...args).ended
    expect(code).toBe(2)
    expect(stderr).toContain(message)
    expect(stderr).toContain('usage: bash runs/table1.sh')
    expect(stderr).not.toMatch(/^ +at /m)
  })
})
