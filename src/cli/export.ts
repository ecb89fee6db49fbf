import { Command } from 'commander'
import { exportModel } from '../train/index.js'

/** `longwave export`: a checkpoint as a small folder to ship. */
export function exportCommand(): Command {
  return new Command('export')
    .description('write the weights and configuration of a checkpoint as a folder to ship')
    .requiredOption('--checkpoint <folder>', 'a run (its best step), a step, or a shipped folder')
    .requiredOption('--out <folder>', 'where to write model.safetensors and config.json')
    .action(({ checkpoint, out }: { checkpoint: string; out: string }) => {
      const { bytes, folder } = exportModel(checkpoint, out)
      process.stdout.write(`${out}: ${(bytes / 1e6).toFixed(1)} MB of weights from ${folder}\n`)
    })
}
