/** Models in PyTorch, in bench/peers. */
import { run } from './command.js'

/** Debian's, which has PyTorch; `python3` may be another one. */
const PYTHON = '/usr/bin/python3'

/** What all peers print; which rate there is depends on the mode. */
export interface PeerReport {
  torch: string
  parameters?: number
  targetsPerSecond?: { best: number; median: number }
  samplesPerSecond?: { best: number; median: number }
  gflops?: { run: number }
  peakRssBytes?: number
}

/** Undefined where it cannot run, with its reason on stderr. */
export function peer(
  name: string,
  args: readonly string[],
): { command: string; report: PeerReport } | undefined {
  const command = [`bench/peers/${name}_torch.py`, ...args]
  const output = run(PYTHON, command)
  if (output === undefined) return undefined
  return { command: `python3 ${command.join(' ')}`, report: JSON.parse(output) as PeerReport }
}
