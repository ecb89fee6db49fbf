import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeAudio, downmix, encodeWav, resample } from '../../src/audio/index.js'
import { openStream, StepHost } from '../../src/generate/index.js'
import { openCheckpoint } from '../../src/models/index.js'
import { loadKernels, pack } from '../../src/stream/index.js'
import { loadModelFolder } from '../../src/train/index.js'
import { describeInBrowser, openBrowser, openPage, serve } from './chromium.js'
import type { Answer, Request } from './stand/continue.js'
import type { Stand } from './stand/page.js'

declare const stand: Stand

const FLAC = 'samples/bach_bwv855_prelude_excerpt.flac'

/** Bundles for browsers, as users do; the folder must not exist. */
async function bundle(to: string) {
  const warnings: string[] = []
  const names = ['page', 'worker', 'worklet']
  const build = await rolldown({
    input: Object.fromEntries(names.map((name) => [name, `test/browser/stand/${name}.ts`])),
    platform: 'browser',
    onLog: (_, { message }) => warnings.push(message),
  })
  const { output } = await build.write({ dir: to, format: 'esm' })
  await build.close()
  return { output, warnings }
}

/** The same as `continueHere` of test/browser/stand, in Node. */
async function continueInNode(request: Request, file: string): Promise<Answer> {
  const { checkpoint, prompt, samples, precision, seed } = request
  const trained = openCheckpoint(loadModelFolder(checkpoint.replace(/^\//, '')))
  const { channels, sampleRate } = await decodeAudio(readFileSync(file))
  const { audio } = trained
  const heard = audio.quantizer.encode(resample(downmix(channels), sampleRate, audio.sampleRate))
  const stream = await openStream(trained, { precision, exact: true, seed, engine: null })
  await stream.prime(heard.subarray(0, prompt))
  const made: number[] = []
  for await (const block of stream.generate({ samples })) made.push(...block)
  return { heard: [...heard], made, notices: [] }
}

let root: string

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'longwave-same-'))
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

describe('a bundle for browsers', () => {
  it('has nothing of Node and nothing of ONNX Runtime, and needs no advice', async () => {
    const { output, warnings } = await bundle(join(root, 'checked'))
    const imports = output.flatMap((file) =>
      file.type === 'chunk' ? [...file.imports, ...file.dynamicImports] : [],
    )
    const own = output.map(({ fileName }) => fileName)
    expect(imports.filter((name) => !own.includes(name))).toEqual([])
    expect(imports.length).toBeGreaterThan(2)
    expect(warnings).toEqual([])
    const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []))
    expect(modules.filter((id) => /onnxruntime|engine.runtime\.js|probe\.js/.test(id))).toEqual([])
    expect(modules.some((id) => /engine.runtime-browser\.js/.test(id))).toBe(true)
    const worklet = output.find(({ fileName }) => fileName === 'worklet.js')
    expect(worklet?.type === 'chunk' && worklet.dynamicImports).toEqual([])
  })
})

describeInBrowser('a stream in a browser', () => {
  let browser: Browser
  let page: Page
  let errors: string[]
  let close: () => void

  beforeAll(async () => {
    const folder = join(root, 'stand')
    await bundle(folder)
    const html = '<link rel="icon" href="data:,"><script type="module" src="page.js"></script>'
    writeFileSync(join(folder, 'index.html'), html)
    const { channels, sampleRate } = await decodeAudio(readFileSync(FLAC))
    const fast = resample(downmix(channels).subarray(0, 3 * sampleRate), sampleRate, 44_100)
    writeFileSync(join(folder, 'fast.wav'), encodeWav([fast], 44_100))
    cpSync(FLAC, join(folder, 'bach.flac'))
    const server = await serve(folder)
    close = server.close
    browser = await openBrowser()
    ;({ page, errors } = await openPage(browser))
    await page.goto(`${server.home}own/stand/index.html`)
    await page.waitForFunction(() => 'stand' in globalThis)
  })

  afterAll(async () => {
    await browser?.close()
    close?.()
  })

  const piano = {
    checkpoint: '/checkpoints/piano',
    ...{ recording: `/${FLAC}`, prompt: 4000, samples: 16_000, precision: 'int8', seed: 7 },
  } as const satisfies Request
  const small = { ...piano, checkpoint: '/checkpoints/piano-small' } as const

  it('makes the samples that Node makes: 1 s of int8 on two threads of a Worker', async () => {
    const expected = await continueInNode(piano, FLAC)
    const request = { ...piano, threads: 2 }
    const found = await page.evaluate((wish) => stand.continueInWorker(wish), request)
    expect(found).toEqual(expected)
    expect(new Set(found.made).size).toBeGreaterThan(10)
  })

  it('makes the samples that Node makes: 1 s of exact f32 in a Worker', async () => {
    const request = { ...small, precision: 'f32' } as const
    const expected = await continueInNode(request, FLAC)
    const found = await page.evaluate((wish) => stand.continueInWorker(wish), request)
    expect(found).toEqual(expected)
    expect(new Set(found.made).size).toBeGreaterThan(10)
  })

  it('makes the samples that Node makes in a page, after a WAV of another rate', async () => {
    const request = { ...small, recording: '/own/stand/fast.wav', samples: 4000, threads: 2 }
    const expected = await continueInNode(request, join(root, 'stand', 'fast.wav'))
    const { notices, ...found } = await page.evaluate((wish) => stand.continueHere(wish), request)
    expect({ ...found, notices: [] }).toEqual(expected)
    // a page must not wait, so it has no threads, and says so
    expect(notices).toEqual([expect.stringMatching(/^One thread makes the samples/)])
  })

  it('takes the steps that Node takes in an AudioWorklet', async () => {
    const { checkpoint } = small
    const codes = Array.from({ length: 300 }, (_, n) => 128 + Math.round(40 * Math.sin(n / 9)))
    const { model, weights } = openCheckpoint(loadModelFolder(checkpoint.slice(1)))
    const { plan, feeds, values } = model.stepForm!
    const packed = pack(plan(weights, model.context), { precision: 'f32' })
    const kernels = await loadKernels({ exact: true })
    const host = new StepHost({ feeds, values, packed, kernels })
    const expected = codes.map((code) => [...host.take(code)])
    const found = await page.evaluate(([url, samples]) => stand.stepInWorklet(url, samples), [
      checkpoint,
      codes,
    ] as const)
    expect(found).toEqual(expected)
  })

  it('makes no errors in the console', () => {
    expect(errors).toEqual([])
  })
})
