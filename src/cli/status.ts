import type { StepMetrics } from '../train/index.js'
import { formatCount, formatDuration } from './numbers.js'

/** Targets over which the shown loss and speed are smoothed, about. */
const STEPS = 20
/** Seconds between lines that are not rewritten. */
const PAUSE = 10

/** What time and share of a run are told from. */
export interface StatusPlan {
  /** Targets of the whole run. */
  targets: number
  stages: number
  minutes?: number | undefined
}

/** One line about a run, kept up to date. */
export interface Status {
  step(metrics: StepMetrics): void
  /** Prints a line above the status. */
  note(text: string): void
  /** Leaves the line. */
  end(): void
}

/** A status that is rewritten on a terminal; elsewhere, a line every 10 seconds. */
export function statusLine(to: NodeJS.WriteStream, plan: StatusPlan): Status {
  const started = performance.now()
  let shown = Number.NEGATIVE_INFINITY
  let last = ''
  let fresh = false
  const smooth = smoother()
  const print = (now: number) => {
    shown = now
    fresh = false
    if (to.isTTY) to.write(`\r\x1b[K${last.slice(0, (to.columns ?? 80) - 1)}`)
    else to.write(`${last}\n`)
  }
  return {
    step(metrics) {
      const now = performance.now()
      last = formatStatus(metrics, smooth(metrics), plan, (now - started) / 1000)
      fresh = true
      const isMarked = metrics.heldOutBits !== undefined
      if (to.isTTY || isMarked || now - shown >= PAUSE * 1000) print(now)
    },
    note(text) {
      to.write(`${to.isTTY ? '\r\x1b[K' : ''}${text}\n`)
      if (to.isTTY && last !== '') print(performance.now())
    },
    end() {
      if (to.isTTY && last !== '') to.write('\n')
      else if (fresh) to.write(`${last}\n`)
    },
  }
}

interface Smoothed {
  bits: number
  targetsPerSecond: number
  gflops: number
  heldOutBits: number | undefined
}

/** Running means whose first values are not biased towards the first step. */
function smoother(): (metrics: StepMetrics) => Smoothed {
  let weight = 0
  let bits = 0
  let targetsPerSecond = 0
  let gflops = 0
  let heldOutBits: number | undefined
  const keep = 1 - 1 / STEPS
  const mean = (old: number, value: number) => old * keep + value * (1 - keep)
  return (metrics) => {
    weight = mean(weight, 1)
    bits = mean(bits, metrics.bits)
    targetsPerSecond = mean(targetsPerSecond, metrics.timing.targetsPerSecond)
    gflops = mean(gflops, metrics.timing.gflops)
    heldOutBits = metrics.heldOutBits ?? heldOutBits
    return {
      bits: bits / weight,
      targetsPerSecond: targetsPerSecond / weight,
      gflops: gflops / weight,
      heldOutBits,
    }
  }
}

function formatStatus(
  { step, targets, stage, lr, timing }: StepMetrics,
  { bits, targetsPerSecond, gflops, heldOutBits }: Smoothed,
  { targets: total, stages, minutes }: StatusPlan,
  elapsed: number,
): string {
  const byTargets = (total - targets) / targetsPerSecond
  const byMinutes = minutes === undefined ? Number.POSITIVE_INFINITY : minutes * 60 - elapsed
  return [
    `step ${step}`,
    `${formatCount(targets)}/${formatCount(total)} targets`,
    ...(stages > 1 ? [`stage ${stage + 1}/${stages}`] : []),
    `bits ${bits.toFixed(3)}`,
    `held-out ${heldOutBits?.toFixed(3) ?? '-'}`,
    `lr ${lr.toExponential(1)}`,
    `${formatCount(targetsPerSecond)} targets/s`,
    `${gflops.toFixed(1)} GFLOP/s`,
    `${(timing.rssMB / 1024).toFixed(1)} GB`,
    `${formatDuration(Math.min(byTargets, byMinutes))} left`,
  ].join(' | ')
}
