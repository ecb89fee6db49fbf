import { UsageError } from '../base/errors.js'
import { Engine, EngineError } from '../engine/index.js'
import type { Arrays, Generator, Model } from '../models/index.js'
import { type CacheType, canShareMemory, loadKernels, MOST_THREADS } from '../stream/index.js'
import { ModelStream } from './model-stream.js'
import { ModelVoices } from './model-voices.js'
import { StepGenerator } from './step-generator.js'
import { type StepOptions, StepVoices } from './step-voices.js'

/** A model and its trained weights. */
export interface Checkpoint {
  model: Model
  weights: Arrays
}

export type Precision = 'f32' | 'int8'

export interface GeneratorOptions {
  /** Samples of history that a prediction sees; the model's own by default. */
  context?: number
  /**
   * Numbers of weights and activations: `f32`, or `int8`, a quarter of the memory, for which
   * activations are measured on `calibration` or else on the first prompt.
   */
  precision?: Precision
  /**
   * Numbers of what is remembered, the most of the memory at long contexts: `f32`, `f16` or `int8`; as
   * `precision` by default.
   */
  cache?: CacheType
  /** Codes of real audio, half a second or more. */
  calibration?: Uint8Array
  /** The same bits on every machine also in f32, for up to twice the time. int8 always has them. */
  exact?: boolean
  /**
   * Lets the forecast of the model stand still after a prompt, where else it adapts to what is made as it
   * did to the recording: the sound of the prompt's end goes on, and neither bursts nor dies. What
   * is drawn then is no longer the model's own prediction, the one that is scored.
   */
  hold?: boolean
  /**
   * Takes long prompts in. By default opened when needed, where ONNX Runtime is installed; null, and
   * browsers, take them in sample by sample.
   */
  engine?: Engine | null
  /**
   * Threads that make a sample together, with the same bits as one: 1 by default, 2 where there are two
   * cores to spare and time presses. In a browser it takes a page that is cross-origin isolated, and
   * a Worker to open the stream in. An engine that is opened here has as many too, or one for every core.
   */
  threads?: number
  /** Told what could not be had, such as threads; `console.warn` by default. */
  notice?: (text: string) => void
}

export interface StreamOptions extends GeneratorOptions {
  /** A whole number in [0, 2^32); 0 by default. */
  seed?: number
}

export interface OpenVoicesOptions extends GeneratorOptions {
  /** A voice for each: whole numbers in [0, 2^32). */
  seeds: readonly number[]
}

/**
 * Opens a model for generation: by its step form in WebAssembly, or in the engine where it has none.
 *
 * @throws UsageError when an option makes no sense
 */
export async function openGenerator(
  { model, weights }: Checkpoint,
  options: GeneratorOptions = {},
): Promise<Generator> {
  const { context = model.context, precision = 'f32', cache = precision } = options
  if (model.stepForm) {
    return new StepGenerator(model.stepForm, weights, await stepOptions(model, options))
  }
  if (precision !== 'f32' || cache !== 'f32' || options.engine === null) {
    const got = options.engine === null ? 'no engine' : precision === 'f32' ? cache : precision
    throw noStepForm(model, 'f32, and an engine', got)
  }
  if (options.hold) throw noForecast(model)
  checkContext(context)
  return model.generator(await engineOf(options), weights, context)
}

/** What a step form is run with. */
async function stepOptions(
  model: Model,
  options: GeneratorOptions,
): Promise<Omit<StepOptions, 'voices'>> {
  const { context = model.context, precision = 'f32', cache = precision } = options
  const { calibration, hold = false } = options
  checkContext(context)
  if (hold && !canHold(model)) throw noForecast(model)
  const exact = options.exact ?? precision === 'int8'
  const kernels = await loadKernels({ exact })
  const threads = threadsOf(options)
  const team =
    threads > 1 ? { threads, kernels: await loadKernels({ exact, threads: true }) } : undefined
  let opened: Promise<Engine | undefined> | undefined
  const open = () => {
    opened ??= engineOf(options).catch(none)
    return opened
  }
  const engine = options.engine === null ? null : open
  return { context, precision, cache, kernels, team, calibration, hold, engine }
}

/** How many threads there are to be, as far as they can be had here. */
function threadsOf({ threads = 1, notice = console.warn }: GeneratorOptions): number {
  if (!(Number.isSafeInteger(threads) && threads >= 1 && threads <= MOST_THREADS)) {
    throw new UsageError({
      fact: '`threads` makes no sense.',
      expected: `a whole number from 1 to ${MOST_THREADS}`,
      got: String(threads),
    })
  }
  if (threads === 1 || canShareMemory()) return threads
  notice(
    'One thread makes the samples: threads share memory only in a Worker of a page that is ' +
      'cross-origin isolated (Cross-Origin-Opener-Policy: same-origin, Cross-Origin-Embedder-Policy: ' +
      'require-corp).',
  )
  return 1
}

function checkContext(context: number): void {
  if (Number.isSafeInteger(context) && context > 0) return
  throw new UsageError({ fact: '`context` is not a count of samples.', got: String(context) })
}

async function engineOf({ engine, threads }: GeneratorOptions): Promise<Engine> {
  return engine ?? Engine.open(threads === undefined ? {} : { threads })
}

/** Whether a model has a forecast that `hold` is for. */
export function canHold({ stepForm }: Model): boolean {
  return Object.values(stepForm?.feeds ?? {}).includes('forecast')
}

function noForecast({ family }: Model): UsageError {
  return new UsageError({
    fact: `This ${family} has no forecast that could be held.`,
    expected: 'a flagship with a forecast, such as the preset `longwave`',
    hint: 'leave `hold` out',
  })
}

function noStepForm(model: Model, expected: string, got: string): UsageError {
  return new UsageError({
    fact: `The ${model.family} has no step form: it runs in the engine.`,
    expected,
    got,
  })
}

/** Where there is no engine a step form does without. */
function none(thrown: unknown): undefined {
  if (!(thrown instanceof EngineError)) throw thrown
}

/**
 * Opens a model as a stream of samples:
 *
 *   const stream = await openStream(openCheckpoint(loadModelFolder('checkpoints/piano')), { seed: 1 })
 *   await stream.prime(codes)
 *   for await (const block of stream.generate({ samples: 16_000 })) play(quantizer.decode(block))
 *
 * @throws UsageError when an option makes no sense
 */
export async function openStream(
  checkpoint: Checkpoint,
  { seed, ...options }: StreamOptions = {},
): Promise<ModelStream> {
  return new ModelStream(await openGenerator(checkpoint, options), seed)
}

/**
 * Opens a model as several streams that are made at the same time, over the same weights:
 *
 *   const voices = await openVoices({ model, weights }, { seeds: [1, 2, 3, 4] })
 *   await voices.prime(codes)
 *   for await (const blocks of voices.generate({ samples: 16_000 })) mix(blocks)
 *
 * @throws UsageError when an option makes no sense
 */
export async function openVoices(
  { model, weights }: Checkpoint,
  { seeds, ...options }: OpenVoicesOptions,
): Promise<ModelVoices> {
  if (seeds.length === 0) {
    throw new UsageError({ fact: '`seeds` is empty.', expected: 'a seed for every voice' })
  }
  if (!model.stepForm) throw noStepForm(model, 'a model with a step form', 'several voices')
  const step = await stepOptions(model, options)
  return new ModelVoices(
    new StepVoices(model.stepForm, weights, { ...step, voices: seeds.length }),
    seeds,
  )
}
