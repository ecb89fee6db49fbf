import { Command } from 'commander'
import { examine, formatReport } from './doctor-report.js'

/** `longwave doctor`: what works on this machine, and how fast. */
export function doctorCommand(version: string): Command {
  return new Command('doctor')
    .description('say whether the engine works on this machine, on what and how fast')
    .option('--json', 'print the report as one JSON object')
    .action(async ({ json = false }: { json?: boolean }) => {
      const { exitCode, ...report } = await examine(version)
      process.stdout.write(
        `${json ? JSON.stringify(report) : formatReport({ ...report, exitCode })}\n`,
      )
      process.exitCode = exitCode
    })
}
