import { UsageError } from '../base/errors.js'
import { expDown } from '../base/exp.js'
import type { Random } from '../base/random.js'
import { NoDistributionError } from './errors.js'

/** How the next sample is drawn from its distribution. */
export interface Sampling {
  /** Divides the logits: 1 is the model's own distribution, 0 always takes the likeliest code. */
  temperature: number
  /** Only the `topK` likeliest codes may come. */
  topK?: number
  /** Only the fewest likeliest codes that hold this share of the probability may come. */
  topP?: number
}

/**
 * Draws a code. In this order: the logits are divided by the temperature; all but the `topK`
 * likeliest codes are dropped; of those that are left, the likeliest are kept until their share of
 * what is left reaches `topP` (the one that reaches it stays in); one uniform number picks among the
 * kept in proportion to their probabilities, laid out by rising code. Of equally likely codes the
 * lower is taken for the likelier; what is e^-40 times as likely as the likeliest never comes.
 *
 * Every call draws exactly one uniform number, also where there is nothing to choose, so that
 * sample n of a recording always meets number n of the seed.
 *
 * @param logits [levels]
 * @throws UsageError when `sampling` makes no sense
 * @throws NoDistributionError when a logit is not a number, or all are -infinity
 */
export function sampleCode(logits: Float32Array, sampling: Sampling, random: Random): number {
  checkSampling(sampling)
  const chosen = random.uniform()
  const { temperature, topK = logits.length, topP = 1 } = sampling
  const best = likeliest(logits)
  if (temperature === 0 || topK === 1) return best

  const levels = logits.length
  reserve(levels)
  const top = logits[best]!
  const all = weights
  for (let code = 0; code < levels; code++) {
    all[code] = expDown((logits[code]! - top) / temperature)
  }
  if (topK < levels || topP < 1) keepLikeliest(logits, topK, topP)
  return pick(levels, chosen)
}

// what a draw works with, between calls of no meaning
let weights = new Float64Array(256)
let heap = new Int32Array(256)

function reserve(levels: number): void {
  if (weights.length >= levels) return
  weights = new Float64Array(levels)
  heap = new Int32Array(levels)
}

/** @throws UsageError that names the option */
export function checkSampling({ temperature, topK = 1, topP = 1 }: Sampling): void {
  const bad = (option: string, expected: string, got: number) => {
    throw new UsageError({ fact: `\`${option}\` makes no sense.`, expected, got: String(got) })
  }
  if (!(temperature >= 0 && temperature < Number.POSITIVE_INFINITY)) {
    bad('temperature', 'a number from 0', temperature)
  }
  if (!(Number.isInteger(topK) && topK >= 1)) bad('topK', 'a whole number from 1', topK)
  if (!(topP > 0 && topP <= 1)) bad('topP', 'a share above 0, at most 1', topP)
}

/** The code of the largest logit, the lowest of equals. */
function likeliest(logits: Float32Array): number {
  let best = 0
  for (let code = 0; code < logits.length; code++) {
    const logit = logits[code]!
    if (Number.isNaN(logit) || logit === Number.POSITIVE_INFINITY) throw notNumbers(logit, code)
    if (logit > logits[best]!) best = code
  }
  if (!(logits[best]! > Number.NEGATIVE_INFINITY)) throw notNumbers(Number.NEGATIVE_INFINITY, best)
  return best
}

function notNumbers(logit: number, code: number): NoDistributionError {
  return new NoDistributionError({
    fact: 'The model gives no distribution of the next sample.',
    expected: 'finite logits',
    got: `${logit} for code ${code}`,
    hint: 'The checkpoint may be of a training that diverged: try an earlier one.',
  })
}

/** Sets to 0 the weights that top-k and top-p drop. */
function keepLikeliest(logits: Float32Array, topK: number, topP: number): void {
  const levels = logits.length
  const most = Math.min(topK, levels)
  for (let code = 0; code < levels; code++) heap[code] = code
  for (let i = (levels >> 1) - 1; i >= 0; i--) sink(logits, i, levels)
  // behind the heap, from the end on, the likeliest in their order
  let size = levels
  while (most < levels && levels - size < most) take(logits, --size)
  let kept = most
  if (topP < 1) {
    // with both, what top-k leaves is the whole of which top-p is a share
    const whole = most < levels ? sumOf(size, levels) : sumOf(0, levels)
    const enough = topP * whole
    kept = 0
    for (let sum = 0; sum < enough && kept < most; kept++) {
      if (levels - size === kept) take(logits, --size)
      sum += weights[heap[levels - 1 - kept]!]!
    }
  }
  for (let i = 0; i < levels - kept; i++) weights[heap[i]!] = 0
}

/** The sum of weights of codes in the heap's order. */
function sumOf(from: number, to: number): number {
  let sum = 0
  for (let i = from; i < to; i++) sum += weights[heap[i]!]!
  return sum
}

/** Moves the likeliest of a heap of one more than `size` behind its end. */
function take(logits: Float32Array, size: number): void {
  const likeliest = heap[0]!
  heap[0] = heap[size]!
  heap[size] = likeliest
  sink(logits, 0, size)
}

/** Lets a code sink until those below it are less likely. */
function sink(logits: Float32Array, at: number, size: number): void {
  const code = heap[at]!
  const logit = logits[code]!
  let i = at
  for (let child = 2 * i + 1; child < size; child = 2 * i + 1) {
    let next = heap[child]!
    if (child + 1 < size && isLikelier(logits, heap[child + 1]!, next)) next = heap[++child]!
    if (logits[next]! < logit || (logits[next] === logit && next > code)) break
    heap[i] = next
    i = child
  }
  heap[i] = code
}

function isLikelier(logits: Float32Array, a: number, b: number): boolean {
  return logits[a]! > logits[b]! || (logits[a] === logits[b] && a < b)
}

function pick(levels: number, chosen: number): number {
  const all = weights
  let sum = 0
  for (let code = 0; code < levels; code++) sum += all[code]!
  let left = chosen * sum
  let last = 0
  for (let code = 0; code < levels; code++) {
    const weight = all[code]!
    if (weight === 0) continue
    last = code
    if (left < weight) break
    left -= weight
  }
  return last
}
