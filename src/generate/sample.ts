import { UsageError } from '../base/errors.js'
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
 * lower is taken for the likelier.
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

  const top = logits[best]!
  const weights = new Float64Array(logits.length)
  for (let code = 0; code < logits.length; code++) {
    weights[code] = Math.exp((logits[code]! - top) / temperature)
  }
  if (topK < logits.length || topP < 1) keepLikeliest(logits, weights, topK, topP)
  return pick(weights, chosen)
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
function keepLikeliest(
  logits: Float32Array,
  weights: Float64Array,
  topK: number,
  topP: number,
): void {
  const order = Array.from(weights.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b)
  let kept = Math.min(topK, order.length)
  if (topP < 1) {
    const enough = topP * order.slice(0, kept).reduce((sum, code) => sum + weights[code]!, 0)
    kept = 0
    for (let sum = 0; sum < enough; kept++) sum += weights[order[kept]!]!
  }
  for (const code of order.slice(kept)) weights[code] = 0
}

function pick(weights: Float64Array, chosen: number): number {
  let left = chosen * weights.reduce((sum, weight) => sum + weight, 0)
  let last = 0
  for (let code = 0; code < weights.length; code++) {
    const weight = weights[code]!
    if (weight === 0) continue
    last = code
    if (left < weight) break
    left -= weight
  }
  return last
}
