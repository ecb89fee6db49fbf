import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { TINY, tinyCheckpoint } from '../cli/tiny.js'
import { describeInBrowser, openBrowser, openPage, serve } from './chromium.js'

let root: string
let browser: Browser

const text = (page: Page, id: string) => page.textContent(`#${id}`)
const until = (page: Page, ...states: string[]) =>
  page.waitForFunction(
    (wanted) => wanted.includes(document.body.dataset.state!),
    [...states, 'failed'],
    { timeout: 90_000 },
  )

/** Plays a take to its end. */
async function play(page: Page): Promise<void> {
  await until(page, 'ready')
  await page.click('#start')
  await until(page, 'ended')
}

describeInBrowser('the example page', () => {
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'longwave-page-'))
    // far faster than real time, so that a busy machine makes no difference
    const audio = { sampleRate: 16_000, quantizer: 'mu-law' } as const
    const tiny = tinyCheckpoint(join(root, 'tiny'), { ...TINY, audio })
    cpSync(tiny, join(root, 'broken'), { recursive: true })
    const weights = readFileSync(join(tiny, 'model.safetensors'))
    writeFileSync(join(root, 'broken', 'model.safetensors'), weights.subarray(0, 3000))
    browser = await openBrowser()
  })

  afterAll(async () => {
    await browser?.close()
    rmSync(root, { recursive: true, force: true })
  })

  // a machine with other work may not play even what is there
  it('plays 20 s without an underrun and without an error', { retry: 2 }, async () => {
    const server = await serve(join(root, 'tiny'))
    const { page, errors } = await openPage(browser)
    try {
      await page.goto(`${server.home}?checkpoint=/own/tiny/&seconds=20&prompt=1`)
      await play(page)
      expect(await text(page, 'underruns')).toBe('0')
      expect(await text(page, 'played')).toBe('21.0 s') // one of the recording
      expect(await text(page, 'state')).toBe('Played to the end')
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(true)
      expect(await page.isVisible('#notice')).toBe(false)
      expect(await page.isVisible('#slow')).toBe(false)
      expect(errors).toEqual([])
    } finally {
      await page.close()
      server.close()
    }
  })

  // the machine may become slower while it plays
  it('makes enough ahead of a slow model, and begins again at once', { retry: 2 }, async () => {
    const server = await serve()
    const { page, errors } = await openPage(browser)
    try {
      await page.goto(`${server.home}?checkpoint=/checkpoints/piano/&seconds=1&prompt=1`)
      await play(page)
      expect(await text(page, 'underruns')).toBe('0')
      expect(await text(page, 'played')).toBe('2.0 s')
      await page.fill('#seed', '2')
      await page.click('#start')
      // primed already: nothing is listened to again
      await page.waitForFunction(() => document.body.dataset.state === 'buffering')
      await page.click('#stop')
      expect(await text(page, 'state')).toBe('Ready')
      expect(errors).toEqual([])
    } finally {
      await page.close()
      server.close()
    }
  })

  it('works with one thread where it is not cross-origin isolated, and says so', async () => {
    const server = await serve('--no-isolation', join(root, 'tiny'))
    const { page, errors } = await openPage(browser)
    try {
      await page.goto(`${server.home}?checkpoint=/own/tiny/&seconds=2&prompt=1`)
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(false)
      expect(await text(page, 'notice')).toMatch(/One thread[\s\S]*not cross-origin isolated/)
      await play(page)
      expect(await text(page, 'underruns')).toBe('0')
      expect(await text(page, 'played')).toBe('3.0 s')
      expect(errors).toEqual([])
    } finally {
      await page.close()
      server.close()
    }
  })

  it('says what is wrong with a checkpoint, and takes another', async () => {
    const server = await serve(join(root, 'tiny'), join(root, 'broken'))
    const { page } = await openPage(browser)
    try {
      await page.goto(`${server.home}?checkpoint=/nowhere/`)
      await until(page)
      expect(await text(page, 'error-fact')).toMatch(/\/nowhere\/config.json could not be fetched/)
      expect(await text(page, 'error-more')).toMatch(/got: +status 404/)
      expect(await page.isDisabled('#start')).toBe(true)

      await page.goto(`${server.home}?checkpoint=/own/broken/`)
      await until(page)
      expect(await text(page, 'error-fact')).toMatch(/damaged: .*\/own\/broken\/model.safetensors/)

      await page.selectOption('#checkpoint', '/checkpoints/piano-small/')
      await until(page, 'ready')
      expect(await page.isVisible('#error')).toBe(false)
    } finally {
      await page.close()
      server.close()
    }
  })
})
