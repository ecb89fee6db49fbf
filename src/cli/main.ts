#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { LongwaveError, messageOf } from '../base/errors.js'
import { demoCommand } from './demo.js'
import { doctorCommand } from './doctor.js'
import { evalCommand } from './eval.js'
import { exportCommand } from './export.js'
import { generateCommand } from './generate.js'
import { playCommand } from './play.js'
import { prepareCommand } from './prepare.js'
import { trainCommand } from './train.js'

const USAGE = 2
/** sysexits.h, EX_SOFTWARE: a fault of this program. */
const INTERNAL = 70

const version = versionOf(new URL('../../package.json', import.meta.url))

const program = new Command('longwave')
  .description('Language models of raw audio: train, score and continue recordings.')
  .version(version)
  .showHelpAfterError('(add --help for all options)')
  .exitOverride()

const commands = [
  prepareCommand(),
  trainCommand(version),
  evalCommand(),
  generateCommand(),
  playCommand(),
  exportCommand(),
  demoCommand(),
  doctorCommand(version),
]

for (const command of commands) {
  program.addCommand(command.copyInheritedSettings(program))
}

try {
  if (process.argv.length < 3) program.outputHelp()
  else await program.parseAsync()
} catch (error) {
  process.exitCode = report(error)
}

function versionOf(file: URL): string {
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

/** Tells what went wrong and returns the exit status. */
function report(error: unknown): number {
  // commander has printed its message
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE
  const stack = process.env.LONGWAVE_DEBUG === '1' && error instanceof Error ? error.stack : ''
  if (error instanceof LongwaveError) {
    process.stderr.write(`${error.describe()}\n`)
    if (stack) process.stderr.write(`${stack}\n`)
    return error.exitCode
  }
  const hint = 'This is a fault of longwave: please report it with the output of LONGWAVE_DEBUG=1.'
  process.stderr.write(`${messageOf(error)}\n  hint:     ${hint}\n`)
  if (stack) process.stderr.write(`${stack}\n`)
  return INTERNAL
}
