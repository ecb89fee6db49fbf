import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { FileError, messageOf } from '../base/errors.js'
import { replaceDurably } from './durable.js'

/** Name of the metrics in a run folder. */
export const METRICS_FILE = 'metrics.jsonl'

/** One line of metrics.jsonl: all but `timing` is the same whenever the same run is repeated. */
export interface StepMetrics {
  /** Steps taken, from 1. */
  step: number
  /** Targets seen. */
  targets: number
  /** Bits per sample of the targets of this step, before its update. */
  bits: number
  /** Bits per sample of the held-out segments after the update, where they were scored. */
  heldOutBits?: number
  lr: number
  /** Of the gradient before clipping. */
  gradNorm: number
  /** Index of the stage. */
  stage: number
  timing: StepTiming
}

/** What differs from one repetition of a run to the next. */
export interface StepTiming {
  targetsPerSecond: number
  gflops: number
  rssMB: number
  /** Of this step, without scoring held-out segments and saving. */
  seconds: number
}

/** The metrics of a run so far; a line that was cut by a kill ends them. */
export function readMetrics(runDir: string): StepMetrics[] {
  return parse(readText(runDir)).map(({ metrics }) => metrics)
}

function readText(runDir: string): string {
  const path = join(runDir, METRICS_FILE)
  if (!existsSync(path)) return ''
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new FileError(
      { fact: `${path} cannot be read.`, got: messageOf(error) },
      { cause: error },
    )
  }
}

function parse(text: string): { line: string; metrics: StepMetrics }[] {
  const found: { line: string; metrics: StepMetrics }[] = []
  for (const line of text.split('\n').slice(0, -1)) {
    try {
      found.push({ line, metrics: JSON.parse(line) as StepMetrics })
    } catch {
      break
    }
  }
  return found
}

/** Appends to metrics.jsonl. */
export class MetricsLog {
  readonly #path: string
  readonly #file: number

  /** Opens the log of a run and cuts what comes after `step`: it will be done again. */
  constructor(runDir: string, step: number) {
    this.#path = join(runDir, METRICS_FILE)
    const text = readText(runDir)
    const kept = parse(text)
      .filter(({ metrics }) => metrics.step <= step)
      .map(({ line }) => `${line}\n`)
      .join('')
    try {
      if (kept !== text) replaceDurably(runDir, METRICS_FILE, new TextEncoder().encode(kept))
      this.#file = openSync(this.#path, 'a')
    } catch (error) {
      throw this.#refused(error)
    }
  }

  append(metrics: StepMetrics): void {
    try {
      writeSync(this.#file, `${JSON.stringify(metrics)}\n`)
    } catch (error) {
      throw this.#refused(error)
    }
  }

  /** Waits until the disk holds all lines: a checkpoint must not be ahead of them. */
  sync(): void {
    try {
      fsyncSync(this.#file)
    } catch (error) {
      throw this.#refused(error)
    }
  }

  close(): void {
    closeSync(this.#file)
  }

  #refused(error: unknown): FileError {
    return new FileError(
      {
        fact: `${this.#path} cannot be written.`,
        got: messageOf(error),
        hint: 'Is the disk full?',
      },
      { cause: error },
    )
  }
}
