import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { quantizer } from '../../src/audio/index.js'
import { openTrained } from '../../src/cli/checkpoint.js'
import { playCommand } from '../../src/cli/play.js'
import { type PlayOptions, playTo } from '../../src/cli/player.js'
import { openStream } from '../../src/generate/index.js'
import { put, tempFolder } from '../data/helpers.js'
import { noisyTone, runCommand, TINY, tinyCheckpoint } from './tiny.js'

const RATE = TINY.audio.sampleRate

function fixtures() {
  const dir = tempFolder()
  put(dir, { 'prompt.wav': noisyTone(400, 1), 'text.wav': 'this is no music' })
  return { dir, checkpoint: tinyCheckpoint(join(dir, 'tiny')), prompt: join(dir, 'prompt.wav') }
}

/** A reader that notes when it was given what. */
function listener() {
  const out = new PassThrough({ highWaterMark: 1 << 20 })
  const chunks: { bytes: Buffer; at: number }[] = []
  out.on('data', (bytes) => chunks.push({ bytes, at: performance.now() / 1000 }))
  return { out, chunks }
}

const play = (out: Writable, ...args: string[]) => runCommand(playCommand(out), ...args)

describe('longwave play', () => {
  it('writes the samples of the seed as PCM, in real time', async () => {
    const { checkpoint } = fixtures()
    const { out, chunks } = listener()
    const args = ['--checkpoint', checkpoint, '--seconds', '0.5', '--ahead', '0.1', '--seed', '3']
    const run = await play(out, ...args)
    expect(run.code).toBe(0)
    expect(run.stdout).toBe('')
    expect(run.stderr).toContain('s16le, mono, 8000 Hz')
    expect(run.stderr).toMatch(/played 0\.50 s \| (no|\d+) underrun/)

    const stream = await openStream(openTrained(checkpoint), { seed: 3 })
    const expected: number[] = []
    for await (const block of stream.generate({ samples: RATE / 2 })) {
      for (const x of quantizer('mu-law').decode(block))
        expected.push(Math.min(32767, Math.round(32768 * x)))
    }
    const bytes = Buffer.concat(chunks.map((chunk) => chunk.bytes))
    expect(bytes.length).toBe(RATE) // 2 bytes each
    expect(Array.from({ length: RATE / 2 }, (_, i) => bytes.readInt16LE(2 * i))).toEqual(expected)

    // never more than a tenth of a second, and a block, ahead of the clock
    let heard = 0
    for (const chunk of chunks) {
      heard += chunk.bytes.length / 2
      expect(heard / RATE).toBeLessThan(chunk.at - chunks[0]!.at + 0.1 + 0.02 + 0.05)
    }
  })

  it('goes on with a prompt', async () => {
    const { checkpoint, prompt } = fixtures()
    const play1 = async (...args: string[]) => {
      const { out, chunks } = listener()
      const all = ['--checkpoint', checkpoint, '--seconds', '0.02', ...args]
      expect((await play(out, ...all)).code).toBe(0)
      return Buffer.concat(chunks.map((chunk) => chunk.bytes)).toString('hex')
    }
    const alone = await play1()
    const after = await play1('--prompt', prompt)
    expect(after).not.toBe(alone)
    expect(await play1('--prompt', prompt, '--precision', 'int8')).toHaveLength(after.length)
    expect(await play1('--prompt', prompt, '--context', '40')).toHaveLength(after.length)
  })

  it.each([
    [{ '--checkpoint': undefined }, 2, '--checkpoint C is missing'],
    [{ '--checkpoint': 'DIR/gone' }, 3, 'there is no folder'],
    [{ '--prompt': 'DIR/gone.wav' }, 3, 'cannot be read'],
    [{ '--prompt': 'DIR/text.wav' }, 4, 'text.wav: The content is not audio'],
    [{ '--seconds': '0' }, 2, '--seconds takes'],
    [{ '--ahead': '0' }, 2, '--ahead takes'],
    [{ '--precision': 'f16' }, 2, '--precision takes f32 or int8'],
    [{ '--precision': 'int8' }, 2, 'int8 needs to hear'],
    [{ '--temperature': 'hot' }, 2, '--temperature takes'],
    [{ '--top-p': '2' }, 2, '--top-p takes'],
  ])('%j ends with %i and says %s', async (change, code, words) => {
    const { dir, checkpoint } = fixtures()
    const all = { '--checkpoint': checkpoint, '--seconds': '0.01' }
    const args = Object.entries({ ...all, ...change }).flatMap(([flag, value]) =>
      value === undefined ? [] : [`${flag}=${value.replace('DIR', dir)}`],
    )
    const { out, chunks } = listener()
    const run = await play(out, ...args)
    expect([run.code, chunks]).toEqual([code, []])
    expect(run.stderr).toContain(words)
  })

  it('does not fill a terminal with samples', async () => {
    const out = Object.assign(listener().out, { isTTY: true })
    const run = await play(out, '--checkpoint', fixtures().checkpoint)
    expect(run.code).toBe(2)
    expect(run.stderr).toContain('aplay -q -t raw -f S16_LE -c 1 -r 8000')
  })
})

/** Blocks of 10 ms, after so many milliseconds of work each. */
async function* worked(...milliseconds: number[]) {
  for (const time of milliseconds) {
    if (time > 0) await sleep(time)
    yield new Float32Array(RATE / 100)
  }
}

const options = (more: Partial<PlayOptions> = {}): PlayOptions => ({
  sampleRate: RATE,
  ahead: 0.05,
  signal: new AbortController().signal,
  ...more,
})

describe('the pace', () => {
  it('counts what comes too late, once', async () => {
    const { out } = listener()
    const work = [...Array(20).fill(0), 400, ...Array(20).fill(0)]
    const played = await playTo(out, worked(...work), options())
    expect(played.samples).toBe(0.41 * RATE)
    expect(played.underruns).toBeGreaterThanOrEqual(1)
    // 0.4 s less what the reader had ahead, and whatever the machine adds
    expect(played.silentSeconds).toBeGreaterThan(0.3)
  })

  it('waits for a slow reader, who has missed nothing', async () => {
    const out = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, done) => void setTimeout(done, 60),
    })
    const played = await playTo(out, worked(0, 0, 0, 0, 0), options())
    expect(played).toMatchObject({ samples: 0.05 * RATE, underruns: 0 })
  })

  it.each([
    ['has gone', 'EPIPE'],
    ['was destroyed', undefined],
  ])('ends when the reader %s', async (_, code) => {
    const out = new Writable({
      write: (_chunk, _encoding, done) => done(code ? Object.assign(new Error(), { code }) : null),
    })
    if (!code) setTimeout(() => out.destroy(), 30)
    const played = await playTo(out, worked(...Array(1000).fill(0)), options())
    expect(played.samples).toBeLessThan(5 * RATE)
  })

  it('tells of a pipe that fails otherwise', async () => {
    const out = new Writable({ write: (_chunk, _encoding, done) => done(new Error('no device')) })
    await expect(playTo(out, worked(0, 0, 0), options())).rejects.toThrow('no device')
  })

  it('ends by the signal, also while it waits', async () => {
    const stop = new AbortController()
    setTimeout(() => stop.abort(), 100)
    const { out } = listener()
    const played = await playTo(
      out,
      worked(...Array(1000).fill(0)),
      options({ signal: stop.signal }),
    )
    expect(played.samples).toBeLessThan(5 * RATE)
    expect(played.samples).toBeGreaterThan(0)
  })
})

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

// only where the program is built and whole, as `npm test` makes it before
const help = spawnSync(process.execPath, [main, 'play', '--help'], { encoding: 'utf8' })
const built = help.stdout.includes('longwave play')

describe.skipIf(!built)('the built program', () => {
  /** Plays without an end until its first samples come; then something happens. */
  async function playUntil(act: (child: ReturnType<typeof spawn>) => void) {
    const { checkpoint } = fixtures()
    const child = spawn(process.execPath, [main, 'play', '--checkpoint', checkpoint])
    let stderr = ''
    child.stderr.on('data', (data) => {
      stderr += data
    })
    child.stdout.once('data', () => act(child))
    const code = await new Promise((resolve) => child.on('exit', resolve))
    expect(stderr).not.toMatch(/\n\s+at /)
    return { code, stderr }
  }

  it('ends by Ctrl-C, and says what it played', async () => {
    const { code, stderr } = await playUntil((child) => child.kill('SIGINT'))
    expect(code).toBe(0)
    expect(stderr).toMatch(/played \d+\.\d\d s/)
  })

  it('ends when the player ends', async () => {
    const { code, stderr } = await playUntil((child) => child.stdout!.destroy())
    expect(code).toBe(0)
    expect(stderr).toMatch(/played \d+\.\d\d s/)
  })
})
