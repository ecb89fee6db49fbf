/** Other programs, run to their end: our own command line, and peers in Python. */
import { spawn, spawnSync } from 'node:child_process'

export const say = (text: string) => process.stderr.write(`${text}\n`)

/** Our own command line, as a user runs it. */
export const CLI = 'dist/cli/main.js'

/** Runs a command to its end; undefined where it cannot run, with its reason on stderr. */
export function run(command: string, args: readonly string[]): string | undefined {
  say(`$ ${[command, ...args].join(' ')}`)
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  if (status === 0) return stdout
  say(`skipped: ${error?.message ?? stderr.trim().split('\n').at(-1)}`)
  return undefined
}

/** @param threads of the engine; 0 for all cores */
export const threadsFlag = (threads: number): string[] =>
  threads > 0 ? ['--threads', `${threads}`] : []

/** How a command ended. */
export interface Ended {
  /** Exit status, or the signal that ended it. */
  status: number | NodeJS.Signals
  stdout: string
}

/**
 * Runs `longwave` beside this process; what it says on its way goes to stderr.
 *
 * @param quiet keeps its stdout for the caller, instead of showing it as well
 * @param onStart told its process number
 */
export function longwave(
  args: readonly string[],
  { quiet = false, onStart = () => {} }: { quiet?: boolean; onStart?: (pid: number) => void } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  onStart(child.pid ?? 0)
  const stop = (signal: NodeJS.Signals) => child.kill(signal)
  process.on('SIGINT', stop).on('SIGTERM', stop)
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    if (!quiet) process.stderr.write(text)
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      process.off('SIGINT', stop).off('SIGTERM', stop)
      resolve({ status: signal ?? code ?? 0, stdout })
    })
  })
}
