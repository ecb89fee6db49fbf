/** Scores of trained models, and of models that need no training, by `longwave eval`. */
import { type Baselines, type EvalResult, standardError } from 'longwave/eval'
import { longwave, say, threadsFlag } from '../command.js'
import { TableError } from './store.js'

/** Bits of one split of one set. */
export interface ScoreOf {
  samples: number
  bits: number
  nats: number
  /** Standard error over pieces; null with one piece. */
  error: number | null
  pieces: { name: string; samples: number; bits: number }[]
}

export interface Scored {
  score: ScoreOf
  reference: Baselines | null
}

/** @throws TableError where it cannot be scored */
export async function evaluate(
  checkpoint: string,
  data: string,
  split: string,
  { limit, threads, reference }: { limit: number; threads: number; reference: boolean },
): Promise<Scored> {
  const args = [
    ...['eval', '--checkpoint', checkpoint, '--data', data, '--split', split],
    ...['--limit', `${limit}`, '--json', ...(reference ? [] : ['--no-reference'])],
    ...threadsFlag(threads),
  ]
  say(`$ longwave ${args.join(' ')}`)
  const { status, stdout } = await longwave(args, { quiet: true })
  if (status !== 0) throw new TableError(`The score of ${checkpoint} ended with ${status}.`)
  const found = JSON.parse(stdout) as { results: EvalResult[]; reference: Baselines | null }
  const { samples, bitsPerSample, natsPerSample, standardError: error, pieces } = found.results[0]!
  const score = {
    samples,
    bits: bitsPerSample!,
    nats: natsPerSample!,
    error,
    pieces: pieces.map(({ name, samples, bitsPerSample }) => {
      return { name, samples, bits: bitsPerSample! }
    }),
  }
  return { score, reference: found.reference }
}

/** How many bits `a` has more than `b`, with the standard error of that difference, piece by piece. */
export function difference(a: ScoreOf, b: ScoreOf): { bits: number; error: number | null } {
  const pieces = a.pieces.map(({ bits, samples }, i) => {
    return { weight: samples, mean: bits - b.pieces[i]!.bits }
  })
  return { bits: a.bits - b.bits, error: standardError(pieces) }
}
