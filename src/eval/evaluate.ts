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

/**
 * Bits of one recording under one context. Means of no samples are null, and means over the whole
 * piece where only the common targets were scored.
 */
export interface PieceResult {
  name: string
  samples: number
  bitsPerSample: number | null
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
  /** Null where only the common targets were scored. */
  bitsPerSample: number | null
  natsPerSample: number | null
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
  /** Of those scored. */
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

export interface EvalOptions {
  /** Scores only the targets on which contexts are compared, and computes no more than these need. */
  onlyCommon?: boolean
  onProgress?: (progress: EvalProgress) => void
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
  { onlyCommon = false, onProgress = () => {} }: EvalOptions = {},
): Promise<EvalResult[]> {
  checkArguments(recordings, contexts)
  const largest = Math.max(...contexts)
  const firstOf = (samples: number) => (onlyCommon ? commonStart(samples, largest) : 0)
  const targets = recordings.reduce((sum, { samples }) => sum + samples - firstOf(samples), 0)
  const total = targets * contexts.length
  const began = performance.now()
  const results: EvalResult[] = []
  let done = 0
  for (const context of contexts) {
    const started = performance.now()
    const pieces: PieceResult[] = []
    for (const recording of recordings) {
      const { name } = recording
      const codes = recording.codes()
      const tell = (scored: number) => {
        const seconds = (performance.now() - began) / 1000
        onProgress({ name, context, samples: done + scored, total, seconds })
      }
      const from = firstOf(codes.length)
      const nats = await scorer.score(codes, context, tell, from)
      pieces.push(pieceResult(name, nats, { samples: codes.length, context, largest, onlyCommon }))
      done += codes.length - from
    }
    const seconds = (performance.now() - started) / 1000
    results.push(resultOf(model, context, pieces, { targets, seconds }))
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

/** Which targets of a piece were scored, and for what. */
interface Scored {
  samples: number
  context: number
  /** The longest context asked for. */
  largest: number
  onlyCommon: boolean
}

/** @param nats -ln p of every sample, [samples], or of the common targets alone */
function pieceResult(name: string, nats: Float32Array, scored: Scored): PieceResult {
  const { samples, context, largest, onlyCommon } = scored
  const mean = meanBits(nats, 0, nats.length)
  if (mean === null || !Number.isFinite(mean)) {
    throw new ScoreError({
      fact: `The score of ${name} under a context of ${context} is not a finite number.`,
      expected: 'nats of every sample',
      got: nats.length === 0 ? 'no samples' : String(mean),
      hint: 'The checkpoint may be of a training that diverged: try an earlier one.',
    })
  }
  const commonSamples = samples - commonStart(samples, largest)
  // of the common targets alone nothing else is known
  const whole = onlyCommon ? nats.subarray(0, 0) : nats
  const full = Math.min(context, whole.length)
  return {
    name,
    samples,
    bitsPerSample: meanBits(whole, 0, whole.length),
    commonBitsPerSample: meanBits(nats, nats.length - commonSamples, nats.length)!,
    commonSamples,
    fullContextBits: meanBits(whole, full, whole.length),
    fullContextSamples: whole.length - full,
    shortHistoryBits: meanBits(whole, 0, full),
    shortHistorySamples: full,
  }
}

function resultOf(
  { family, size }: { family: string; size: number },
  context: number,
  pieces: PieceResult[],
  { targets, seconds }: { targets: number; seconds: number },
): EvalResult {
  const sum = (of: (piece: PieceResult) => number) => pieces.reduce((all, p) => all + of(p), 0)
  const samples = sum((p) => p.samples)
  const wholes = pieces.flatMap(({ samples: weight, bitsPerSample: mean }) =>
    mean === null ? [] : [{ weight, mean }],
  )
  const bits = wholes.reduce((all, { weight, mean }) => all + weight * mean, 0)
  const bitsPerSample = wholes.length > 0 ? bits / samples : null
  return {
    model: family,
    parameters: size,
    context,
    samples,
    bitsPerSample,
    natsPerSample: bitsPerSample === null ? null : bitsPerSample * Math.LN2,
    commonBitsPerSample:
      sum((p) => p.commonSamples * p.commonBitsPerSample) / sum((p) => p.commonSamples),
    standardError: standardError(wholes),
    commonStandardError: null,
    seconds,
    samplesPerSecond: targets / seconds,
    pieces,
  }
}
