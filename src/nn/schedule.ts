/** How the learning rate falls after its warm-up. */
export type Schedule =
  | { kind: 'constant' }
  /** Down to `floor` times the peak at the end of the run. */
  | { kind: 'cosine' | 'linear'; floor: number }
  /** From each share of the run on, the peak times a factor; shares rise. */
  | { kind: 'steps'; steps: readonly { share: number; factor: number }[] }

/** The course of a learning rate over a run. */
export interface LearningRate {
  peak: number
  /** Targets over which the rate rises linearly to its peak. */
  warmup: number
  /** Targets of the whole run, warm-up included. */
  total: number
  schedule: Schedule
}

/** The learning rate of an update after which `targets` will have been seen. */
export function learningRate(
  targets: number,
  { peak, warmup, total, schedule }: LearningRate,
): number {
  if (targets < warmup) return (peak * targets) / warmup
  const rest = Math.max(1, total - warmup)
  return peak * factor(schedule, Math.min(1, (targets - warmup) / rest), targets / total)
}

/**
 * @param progress share of what follows the warm-up, in [0, 1]
 * @param share share of the whole run
 */
function factor(schedule: Schedule, progress: number, share: number): number {
  switch (schedule.kind) {
    case 'constant':
      return 1
    case 'cosine':
      return schedule.floor + ((1 - schedule.floor) * (1 + Math.cos(Math.PI * progress))) / 2
    case 'linear':
      return schedule.floor + (1 - schedule.floor) * (1 - progress)
    case 'steps':
      return schedule.steps.findLast((step) => share >= step.share)?.factor ?? 1
  }
}
