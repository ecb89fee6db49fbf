/** Chromium, and the server of the example, for tests. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { type Browser, chromium, type Page } from 'playwright-core'
import { describe } from 'vitest'

const PLACES = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]

const executablePath = PLACES.find((path) => path !== undefined && existsSync(path))

/** `describe` where there is a browser; else says what to install. */
export const describeInBrowser: typeof describe.skip = executablePath ? describe : describe.skip

if (!executablePath) {
  console.warn(
    'SKIPPED: the tests in a browser need Chromium: apt-get install chromium, or set CHROMIUM to its path.',
  )
}

export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: executablePath!,
    // root has no sandbox; a test does not click before it wants to hear
    args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required'],
  })
}

/** A page that remembers what went wrong. */
export async function openPage(browser: Browser): Promise<{ page: Page; errors: string[] }> {
  const page = await browser.newPage({ viewport: { width: 1000, height: 860 } })
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(`${message.text()} ${message.location().url}`)
  })
  return { page, errors }
}

/** Starts `examples/worklet/serve.js`. */
export async function serve(...args: string[]): Promise<{ home: string; close: () => void }> {
  const child: ChildProcess = spawn(
    process.execPath,
    ['examples/worklet/serve.js', '--port', '0', ...args],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const lines = createInterface({ input: child.stdout! })
  const home = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve)
    child.once('exit', (code) => reject(new Error(`the server ended with code ${code}`)))
  })
  return { home, close: () => void child.kill() }
}
