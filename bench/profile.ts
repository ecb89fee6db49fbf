import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Engine } from 'longwave/engine'
import type { Arrays, Model, Stage } from 'longwave/models'

interface Event {
  name: string
  cat: string
  dur: number
  args: { op_name?: string }
}

/** Share of the time of a training step (without the update) by kind of operation, largest first. */
export async function profileLearner(
  model: Model,
  parameters: Arrays,
  stage: Stage,
  segments: (length: number) => Uint8Array[],
): Promise<{ op: string; milliseconds: number; share: number }[]> {
  const folder = mkdtempSync(join(tmpdir(), 'longwave-profile-'))
  try {
    const engine = await Engine.open({ profile: join(folder, 'program') })
    const learner = await model.learner(engine, stage)
    const taken = segments(learner.segmentLength)
    await learner.learn(parameters, taken, 0)
    await learner.learn(parameters, taken, 1)
    await learner.dispose()

    const spent = new Map<string, number>()
    for (const file of readdirSync(folder)) {
      const events = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Event[]
      for (const { name, cat, dur, args } of events) {
        if (cat !== 'Node' || !name.endsWith('_kernel_time')) continue
        const op = args.op_name ?? 'unknown'
        spent.set(op, (spent.get(op) ?? 0) + dur / 1e3)
      }
    }
    const total = [...spent.values()].reduce((sum, ms) => sum + ms, 0)
    return [...spent]
      .map(([op, milliseconds]) => ({ op, milliseconds, share: milliseconds / total }))
      .sort((a, b) => b.share - a.share)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
