import { LongwaveError, UsageError } from '../base/errors.js'
import type { Scorer } from '../models/index.js'
import { commonStart, meanBits, standardError } from './targets.js'

/** A recording to score. */
export interface Recording {
  readonly name: string
  readonly samples: number
  /** [samples] */
  codes(): Uint8Array
}

/** Bits of one recording under one context. Means of no samples are null. */
export interface PieceResult {
  name: string
  samples: number
  bitsPerSample: number
  /** Over the targets on which contexts are compared. */
  commonBitsPerSample: number
  commonSamples: number
  /** Over the targets that have as many samples before them as the context asks for. */
  fullContextBits: number | null
  fullContextSamples: number
  /** Over those at the beginning, which have fewer. */
  shortHistoryBits: number | null
  shortHistorySamples: number
}

/** Bits of all recordings under one context. */
export interface EvalResult {
  model: string
  parameters: number
  context: number
  samples: number
  bitsPerSample: number
  natsPerSample: number
  commonBitsPerSample: number
  /** Of `bitsPerSample`, over pieces; null with one piece. */
  standardError: number | null
  /**
   * Of what the context changes in `commonBitsPerSample`, over pieces: how hard a piece is does not
   * count, as all contexts are scored on the same ones. Null with one piece or one context.
   */
  commonStandardError: number | null
  /** Wall time. */
  seconds: number
  samplesPerSecond: number
  pieces: PieceResult[]
}

export interface EvalProgress {
  /** What is being scored. */
  name: string
  context: number
  /** Samples scored so far, over all pieces and contexts, and how many there are. */
  samples: number
  total: number
  seconds: number
}

/** A model gave a recording a score that is not a number. Exit 7. */
export class ScoreError extends LongwaveError {
  override name = 'ScoreError'
  override readonly exitCode = 7
}

/**
 * Scores every sample of every recording under each context. Contexts are compared on the same
 * targets: those with the longest context asked for.
 *
 * @param model what the results are named by
 * @param contexts samples of history, in any order
 */
export async function evaluate(
  model: { family: string; size: number },
  scorer: Scorer,
  recordings: readonly Recording[],
  contexts: readonly number[],
  onProgress: (progress: EvalProgress) => void = () => {},
): Promise<EvalResult[]> {
  checkArguments(recordings, contexts)
  const samples = recordings.reduce((sum, recording) => sum + recording.samples, 0)
  const total = samples * contexts.length
  const largest = Math.max(...contexts)
  const began = performance.now()
  const results: EvalResult[] = []
  let done = 0
  for (const context of contexts) {
    const started = performance.now()
    const pieces: PieceResult[] = []
    for (const recording of recordings) {
      const { name } = recording
      const codes = recording.codes()
      const nats = await scorer.score(codes, context, (scored) => {
        const seconds = (performance.now() - began) / 1000
        onProgress({ name, context, samples: done + scored, total, seconds })
      })
      pieces.push(pieceResult(name, nats, context, largest))
      done += codes.length
    }
    const seconds = (performance.now() - started) / 1000
    results.push(resultOf(model, context, pieces, seconds))
  }
  return withPairedErrors(results)
}

/** The standard errors of differences between contexts, piece by piece. */
function withPairedErrors(results: readonly EvalResult[]): EvalResult[] {
  if (results.length < 2) return [...results]
  const means = results[0]!.pieces.map((_, i) => {
    const bits = results.map(({ pieces }) => pieces[i]!.commonBitsPerSample)
    return bits.reduce((sum, b) => sum + b, 0) / bits.length
  })
  return results.map((result) => ({
    ...result,
    commonStandardError: standardError(
      result.pieces.map((piece, i) => ({
        weight: piece.commonSamples,
        mean: piece.commonBitsPerSample - means[i]!,
      })),
    ),
  }))
}

function checkArguments(recordings: readonly Recording[], contexts: readonly number[]): void {
  if (recordings.length === 0) throw new UsageError({ fact: 'There are no recordings to score.' })
  const bad = contexts.find((context) => !Number.isSafeInteger(context) || context < 1)
  if (contexts.length > 0 && bad === undefined) return
  throw new UsageError({
    fact: 'A context is a count of samples.',
    expected: 'whole numbers from 1',
    got: contexts.length === 0 ? 'none' : String(bad),
  })
}

/** @param nats [samples] -ln p of every sample */
export function pieceResult(
  name: string,
  nats: Float32Array,
  context: number,
  largest: number,
): PieceResult {
  const samples = nats.length
  const common = commonStart(samples, largest)
  const full = Math.min(context, samples)
  const bitsPerSample = meanBits(nats, 0, samples)
  if (bitsPerSample === null || !Number.isFinite(bitsPerSample)) {
    throw new ScoreError({
      fact: `The score of ${name} under a context of ${context} is not a finite number.`,
      expected: 'nats of every sample',
      got: samples === 0 ? 'no samples' : String(bitsPerSample),
      hint: 'The checkpoint may be of a training that diverged: try an earlier one.',
    })
  }
  return {
    name,
    samples,
    bitsPerSample,
    commonBitsPerSample: meanBits(nats, common, samples)!,
    commonSamples: samples - common,
    fullContextBits: meanBits(nats, full, samples),
    fullContextSamples: samples - full,
    shortHistoryBits: meanBits(nats, 0, full),
    shortHistorySamples: full,
  }
}

function resultOf(
  { family, size }: { family: string; size: number },
  context: number,
  pieces: PieceResult[],
  seconds: number,
): EvalResult {
  const sum = (of: (piece: PieceResult) => number) => pieces.reduce((all, p) => all + of(p), 0)
  const samples = sum((p) => p.samples)
  const bitsPerSample = sum((p) => p.samples * p.bitsPerSample) / samples
  return {
    model: family,
    parameters: size,
    context,
    samples,
    bitsPerSample,
    natsPerSample: bitsPerSample * Math.LN2,
    commonBitsPerSample:
      sum((p) => p.commonSamples * p.commonBitsPerSample) / sum((p) => p.commonSamples),
    standardError: standardError(pieces.map((p) => ({ weight: p.samples, mean: p.bitsPerSample }))),
    commonStandardError: null,
    seconds,
    samplesPerSecond: samples / seconds,
    pieces,
  }
}
