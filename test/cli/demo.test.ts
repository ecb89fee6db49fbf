import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeAudio } from '../../src/audio/index.js'
import { demoCommand } from '../../src/cli/demo.js'
import { put, tempFolder } from '../data/helpers.js'
import { noisyTone, runCommand, TINY, tinyCheckpoint } from './tiny.js'

/** Two seconds are short at this rate. */
const RATE = 1000
const SLOW = { ...TINY, audio: { ...TINY.audio, sampleRate: RATE } }

describe('longwave demo', () => {
  it('scores the recording and goes on with it', async () => {
    const root = tempFolder()
    const out = join(root, 'results')
    tinyCheckpoint(join(root, 'checkpoints/piano'), SLOW)
    put(root, { 'samples/README.md': 'about', 'samples/tone.wav': noisyTone(2500, 1, RATE) })
    const run = await runCommand(demoCommand(root), '--out', out)
    expect(run.code).toBe(0)
    for (const row of ['uniform', 'order-0 entropy', 'linear predictor, order 32', 'the model']) {
      expect(run.stdout).toMatch(new RegExp(`^ {2}${row} +\\d\\.\\d{3}`, 'm'))
    }
    expect(run.stdout).toContain('2180 samples')
    const wav = async (name: string) =>
      (await decodeAudio(new Uint8Array(readFileSync(join(out, name))))).channels[0]!
    const alone = await wav('continuation.wav')
    expect(alone).toHaveLength(2 * RATE)
    const after = await wav('with-prompt.wav')
    expect(after).toHaveLength(320 + 2 * RATE)
    expect(after.slice(320)).toEqual(alone)
    const png = readFileSync(join(out, 'continuation.png'))
    expect(png.subarray(1, 4).toString()).toBe('PNG')
    for (const name of ['continuation.wav', 'with-prompt.wav', 'continuation.png']) {
      expect(run.stdout).toContain(join(out, name))
    }
  })

  it('says what is missing', async () => {
    const root = tempFolder()
    const out = join(root, 'out')
    const model = await runCommand(demoCommand(root), '--out', out)
    expect([model.code, model.stdout]).toEqual([3, ''])
    expect(model.stderr).toContain('The demo needs checkpoints/piano')
    tinyCheckpoint(join(root, 'checkpoints/piano'))
    const sample = await runCommand(demoCommand(root), '--out', out)
    expect([sample.code, sample.stdout]).toEqual([3, ''])
    expect(sample.stderr).toContain('The demo needs a recording in samples')
    expect(existsSync(out)).toBe(false)
  })
})
