/** An axis: where values lie on it, and which of them are labelled. */
export interface Scale {
  /** Place of a value: 0 at the low end, 1 at the high end. */
  share(value: number): number
  ticks: readonly Tick[]
}

export interface Tick {
  share: number
  label: string
}

/** How many ticks an axis has at most. */
const MOST_TICKS = 8

/**
 * The scale that holds all the values: its ends are ticks when it is linear, and the values
 * themselves when it is logarithmic.
 *
 * @param values at least one; finite, and above 0 for a logarithmic scale
 */
export function scaleOf(values: readonly number[], log: boolean): Scale {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const value of values) {
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  return log ? logScale(low, high) : linearScale(low, high)
}

function linearScale(lowest: number, highest: number): Scale {
  // one value, or values that floating point hardly tells apart, stand in the middle
  const size = Math.max(Math.abs(lowest), Math.abs(highest))
  const apart = highest - lowest > Math.max(size * 1e-9, 1e-290)
  const margin = apart ? 0 : size > 1e-290 ? size / 2 : 1
  const [low, high] = [lowest - margin, highest + margin]
  const step = niceStep((high - low) / (MOST_TICKS - 2))
  const first = Math.floor(low / step + 1e-9)
  const last = Math.ceil(high / step - 1e-9)
  const label = labelsOf(step, Math.max(Math.abs(first), Math.abs(last)) * step)
  const share = (value: number) => (value / step - first) / (last - first)
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => {
    return { share: i / (last - first), label: label((first + i) * step) }
  })
  return { share, ticks }
}

function logScale(lowest: number, highest: number): Scale {
  const [low, high] = highest > lowest * 1.000001 ? [lowest, highest] : [lowest / 2, highest * 2]
  const share = (value: number) => Math.log(value / low) / Math.log(high / low)
  const at = (value: number) => ({ share: share(value), label: short(value) })
  return { share, ticks: logTicks(low, high).map(at) }
}

/** Powers of ten, with 2 and 5 between them where there is room; on a short axis, even steps. */
function logTicks(low: number, high: number): number[] {
  const inside = (value: number) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)
  const first = Math.floor(Math.log10(low))
  const last = Math.ceil(Math.log10(high))
  for (const digits of [[1, 2, 5], [1, 3], [1]]) {
    const found: number[] = []
    for (let power = first; power <= last; power++) {
      for (const digit of digits) {
        const value = power < 0 ? digit / 10 ** -power : digit * 10 ** power
        if (inside(value)) found.push(value)
      }
    }
    if (found.length >= 2 && found.length <= MOST_TICKS + 1) return found
    if (found.length < 2) return evenTicks(low, high)
  }
  const every = Math.ceil((last - first) / MOST_TICKS)
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i)).filter(
    (value, i) => inside(value) && i % every === 0,
  )
}

function evenTicks(low: number, high: number): number[] {
  const step = niceStep((high - low) / 4)
  const first = Math.ceil(low / step - 1e-9)
  const last = Math.floor(high / step + 1e-9)
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step)
}

/** 1, 2 or 5 times a power of ten, the least that is not below `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least))
  return power * ([1, 2, 5].find((digit) => digit * power >= least * (1 - 1e-9)) ?? 10)
}

const UNITS = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
  [1, ''],
] as const

/** The labels of a linear axis: one unit and as many decimals as the step needs, for all. */
function labelsOf(step: number, largest: number): (value: number) => string {
  if (largest >= 1e12 || step < 1e-6) return (value) => value.toExponential(2)
  // four digits are still read at a glance: 2500 stays, 25000 becomes 25k
  const [size, unit] = UNITS.find(([size]) => largest >= size * 10) ?? [1, '']
  const decimals = Math.max(0, -Math.floor(Math.log10(step / size) + 1e-9))
  return (value) => (value === 0 ? '0' : (value / size).toFixed(decimals) + unit)
}

/** The label of a logarithmic tick, which has its own unit. */
function short(value: number): string {
  if (value >= 1e12 || value < 1e-4) return value.toExponential(0)
  const [size, unit] = UNITS.find(([size]) => value >= size) ?? [1, '']
  return Number((value / size).toPrecision(6)) + unit
}
