import { Command } from 'commander'
import { messageOf } from '../base/errors.js'
import {
  holdsRun,
  runExists,
  startTraining,
  type TrainResult,
  wasBegun,
  writeRunFile,
} from '../train/index.js'
import { writeLossPlot } from './loss-plot.js'
import { DEFAULT_PRESET } from './model-options.js'
import { formatCount } from './numbers.js'
import { statusLine } from './status.js'
import { parseTrainFlags, type TrainFlags } from './train-options.js'
import { describeRun, newRun, oldRun, type PlannedRun } from './train-run.js'

const INTERRUPTED = 130

/** `longwave train --data DATASET --out RUN`: trains a model, or goes on training it. */
export function trainCommand(version: string): Command {
  const several = (value: string, before: string[] = []) => [...before, value]
  return new Command('train')
    .description('train a model; numbers may be written as 16000, 10e6 or 128k')
    .option('--data <dataset>', 'folder that prepare made')
    .option('--out <run>', 'folder of the run: checkpoints, metrics.jsonl, loss.svg')
    .option('--preset <name>', `model and its defaults (default: ${DEFAULT_PRESET})`)
    .option(
      '--context <samples>',
      'history of the longest-sighted target, or several with shares of the targets: 32k:0.6,1M:0.4 (default: 16000)',
    )
    .option('--targets <count>', 'targets to see (default: 10e6)')
    .option('--curriculum <list>', 'stages [local@]CONTEXT:TARGETS,... in place of the two above')
    .option('--targets-per-step <count>', 'about as many per update (default: 16000)')
    .option(
      '--memory <bytes>',
      'about what a step may take, such as 4GB (default: half of what is free)',
    )
    .option('--lr <rate>', 'highest learning rate (default: 1e-3)')
    .option(
      '--rate <list>',
      'factors of the rate by name, e.g. encoder=0.1; 0 freezes (default: none)',
    )
    .option(
      '--schedule <kind>',
      'constant, cosine[:FLOOR], linear[:FLOOR], steps:SHARE=FACTOR,... (default: cosine:0.1)',
    )
    .option('--warmup <targets>', 'targets of the linear warm-up (default: 2% of all)')
    .option('--weight-decay <share>', 'of matrices and kernels (default: 0.01)')
    .option('--clip <norm>', 'longest gradient (default: 1)')
    .option('--average <share>', 'keep a moving average of the weights, e.g. 0.999 (default: none)')
    .option('--seed <n>', 'of weights, data order and masks (default: 0)')
    .option('--eval-every <targets>', 'score held-out segments so often (default: 1e6)')
    .option('--eval-targets <count>', 'about as many each time (default: 160e3)')
    .option('--init <checkpoint>', 'start from the weights of another run')
    .option('--minutes <n>', 'stop gracefully after so long')
    .option('--resume', 'go on with the run in --out; its options are remembered')
    .option('--from <step>', 'go on from an earlier checkpoint')
    .option('--save-every <minutes>', 'time between checkpoints (default: 10)')
    .option('--backend <name>', 'cpu, webgpu or cuda (default: cpu)')
    .option('--threads <n>', 'inside one operation; 0 for all cores (default: 0)')
    .option('--chunk <samples>', 'flagship: samples that a token stands for')
    .option('--layers <n>', 'flagship: layers of the Transformer')
    .option('--heads <n>', 'flagship: attention heads')
    .option('--head-width <n>', 'flagship: width of a head')
    .option('--window <tokens>', 'flagship: tokens that a token sees in each layer (default: all)')
    .option('--local <channels>', 'flagship: width of the local path, 0 for none')
    .option('--forecast <curves>', 'flagship: curves around a linear forecast, 0 for none')
    .option('--recall <width>', 'flagship: width of what it recalls of places alike, 0 for none')
    .option('--set <key=value>', 'model: any entry of its configuration; repeatable', several)
    .action(async (given) => {
      process.exitCode = await train(parseTrainFlags(given), version)
    })
}

async function train(flags: TrainFlags, version: string): Promise<number> {
  const { out } = flags
  if (holdsRun(out) && !flags.resume) throw runExists(out)
  const isOld = flags.resume && wasBegun(out)
  const run = isOld ? oldRun(flags) : newRun(flags, version)
  process.stdout.write(`${describeRun(run)}\n`)
  if (!isOld) writeRunFile(out, run.file)
  return follow(flags, run)
}

/** Starts the training thread, shows how it goes and tells how it ended. */
async function follow(flags: TrainFlags, { file, data }: PlannedRun): Promise<number> {
  const { out, backend, threads, resume, from, minutes, saveEvery } = flags
  const { recipe, model } = file
  const status = statusLine(process.stdout, {
    targets: recipe.learningRate.total,
    stages: recipe.stages.length,
    minutes,
  })
  const training = startTraining(
    {
      runDir: out,
      data,
      model,
      recipe,
      backend,
      threads,
      resume,
      ...(from !== undefined && { from }),
      ...(minutes !== undefined && { minutes }),
      saveEverySeconds: saveEvery * 60,
    },
    {
      onStep: status.step,
      onNote: status.note,
      onMilestone: () => tryTo(() => writeLossPlot(out), status.note),
    },
  )
  let signals = 0
  const onSignal = () => {
    if (++signals > 1) process.exit(INTERRUPTED)
    status.note('Stopping after this step; once more to stop at once.')
    training.stop()
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  try {
    const result = await training.done
    status.end()
    process.stdout.write(`${describeEnd(result, out)}\n`)
    return result.reason === 'stopped' ? INTERRUPTED : 0
  } catch (error) {
    status.end()
    throw error
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}

/** A picture is not worth a run. */
function tryTo(act: () => void, note: (text: string) => void): void {
  try {
    act()
  } catch (error) {
    note(messageOf(error))
  }
}

const ENDS: Readonly<Record<TrainResult['reason'], string>> = {
  finished: 'Finished',
  minutes: 'The minutes are over: stopped',
  stopped: 'Stopped',
}

function describeEnd(
  { reason, step, targets, heldOutBits, best, folder }: TrainResult,
  out: string,
) {
  const bits = heldOutBits === null ? '' : `, held-out ${heldOutBits.toFixed(4)} bits/sample`
  const lines = [
    `${ENDS[reason]} after step ${step}, ${formatCount(targets)} targets${bits}. Saved in ${folder}`,
  ]
  if (best) lines.push(`Best: ${best.bits.toFixed(4)} bits/sample held-out at step ${best.step}.`)
  if (reason !== 'finished') lines.push(`Go on with: longwave train --out ${out} --resume`)
  return lines.join('\n')
}
