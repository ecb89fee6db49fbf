import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { onTestFinished } from 'vitest'
import { encodeWav } from '../../src/audio/index.js'
import { sine } from '../audio/signals.js'

/** A new folder that goes when the test ends. */
export function tempFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'longwave-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Writes files below a folder, making the folders between. */
export function put(dir: string, files: Readonly<Record<string, Uint8Array | string>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), content)
  }
}

/** A WAV file of a sine; files of different `hz` have different content. */
export function toneWav(hz = 440, seconds = 0.2, rate = 16000): Uint8Array {
  return encodeWav([sine(Math.round(seconds * rate), hz, rate)], rate)
}

/** Every file below a folder with its content, for comparing two moments. */
export function snapshot(dir: string): Record<string, string> {
  const names = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  return Object.fromEntries(
    names.map((name) => [relative(dir, name), readFileSync(name).toString('base64')]),
  )
}
