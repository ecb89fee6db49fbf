/** The Worker: fetches a model and a recording, primes, and makes samples ahead of the player. */
import { decodeAudio, downmix, resample } from 'longwave/audio'
import {
  canHold,
  fetchCheckpoint,
  type ModelStream,
  openStream,
  type StreamSnapshot,
} from 'longwave/generate'
import type { TrainedModel } from 'longwave/models'
import { Writer } from './channel.js'
import type { FromWorker, Load, Sampling, Take, ToWorker } from './messages.js'
import { Pace } from './pace.js'

/** Samples of a block: 20 ms at 16 kHz. */
const BLOCK = 320
/** Parameters from which on a second thread pays; below it the threads mostly wait for each other. */
const LARGE = 1e6
/** Seconds of the recording that are heard before the model goes on. */
const LEAD = 2
/** Seconds that a fast model is ahead of the player, so that another temperature is heard soon. */
const AHEAD = 2

const tell = (message: FromWorker) => self.postMessage(message)

interface Loaded extends TrainedModel {
  /** The recording in codes of the model. */
  codes: Uint8Array
}

interface Primed {
  stream: ModelStream
  start: StreamSnapshot
  prompt: Uint8Array
}

let loaded: Promise<Loaded> | undefined
/** Streams that have heard their prompt, to begin again at once. */
let primed: { key: string; made: Promise<Primed> } | undefined
let sampling: Sampling = { temperature: 1, topP: 1 }
let stop = new AbortController()
/** The take before: a stream makes one at a time. */
let running: Promise<void> = Promise.resolve()

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === 'load') return void load(data).catch(fail)
  if (data.type === 'take') {
    stop.abort()
    stop = new AbortController()
    const { signal } = stop
    running = running.then(() => play(data, signal)).catch(fail)
    return
  }
  if (data.type === 'stop') return stop.abort()
  sampling = samplingOf(data)
}

const samplingOf = ({ temperature, topP }: Sampling): Sampling => ({ temperature, topP })

function fail(thrown: unknown): void {
  if (thrown instanceof DOMException && thrown.name === 'AbortError') return
  tell({ type: 'failed', text: describe(thrown) })
}

/** For people: errors of Longwave say what was expected and what to do. */
function describe(thrown: unknown): string {
  if (typeof thrown === 'object' && thrown !== null && 'describe' in thrown) {
    return (thrown as { describe(): string }).describe()
  }
  return thrown instanceof Error ? thrown.message : String(thrown)
}

async function load(request: Load): Promise<void> {
  stop.abort()
  primed = undefined
  loaded = read(request)
  const { model, audio, codes } = await loaded
  tell({
    type: 'loaded',
    ...{ sampleRate: audio.sampleRate, context: model.context, parameters: model.size },
    canHold: canHold(model),
    seconds: codes.length / audio.sampleRate,
  })
}

async function read({ checkpoint, recording }: Load): Promise<Loaded> {
  const trained = await fetchCheckpoint(checkpoint, {
    onProgress: (bytes, total) => tell({ type: 'loading', bytes, total }),
  })
  const response = await fetch(recording)
  if (!response.ok) throw new Error(`${recording} could not be fetched: status ${response.status}`)
  // our own decoder: the codes that Node hears, which the browser's resampling would not give
  const { channels, sampleRate } = await decodeAudio(new Uint8Array(await response.arrayBuffer()))
  const { audio } = trained
  const heard = resample(downmix(channels), sampleRate, audio.sampleRate)
  return { ...trained, codes: audio.quantizer.encode(heard) }
}

async function play(take: Take, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  sampling = samplingOf(take)
  if (!loaded) return
  const model = await loaded
  const { stream, start, prompt } = await prime(model, take, signal)
  signal.throwIfAborted()
  stream.restore(start, { seed: take.seed })

  const { sampleRate, quantizer } = model.audio
  const total = Math.round(take.seconds * sampleRate)
  const pace = new Pace(sampleRate, total)
  let isStarved = true
  const writer = new Writer(take.player, take.memory, () => {
    isStarved = true
  })
  const lead = quantizer.decode(prompt.subarray(-LEAD * sampleRate))
  const heard = lead.length
  writer.write(lead as Float32Array<ArrayBuffer>)
  for (let made = 0; made < total; ) {
    signal.throwIfAborted()
    const most = pace.isFast ? AHEAD * sampleRate : writer.capacity
    if (writer.buffered + BLOCK > most) {
      await sleep(10)
      continue
    }
    const began = performance.now()
    for await (const codes of stream.generate({
      samples: Math.min(BLOCK, total - made),
      ...sampling,
    })) {
      writer.write(quantizer.decode(codes) as Float32Array<ArrayBuffer>)
      made += codes.length
    }
    pace.add(BLOCK, performance.now() - began)
    const startsIn = isStarved ? pace.secondsUntilStart(made, writer.buffered) : undefined
    if (startsIn === 0) {
      isStarved = false
      writer.play()
    }
    tell({ type: 'made', samples: made, heard, speed: pace.speed, startsIn })
  }
  writer.play()
  writer.end()
  tell({ type: 'done' })
}

/** A stream that has heard the prompt of a take; the same as the last time where that will do. */
async function prime(model: Loaded, take: Take, signal: AbortSignal): Promise<Primed> {
  const { precision, context, promptSeconds, hold } = take
  const key = JSON.stringify([precision, context, promptSeconds, hold])
  if (primed?.key === key) {
    const known = await primed.made.catch(() => undefined)
    if (known) return known
  }
  void primed?.made.then(({ stream }) => stream.dispose()).catch(() => {})
  const made = open()
  primed = { key, made }
  return made

  async function open(): Promise<Primed> {
    const isShared = take.memory && navigator.hardwareConcurrency > 1 && model.model.size > LARGE
    const threads = isShared ? 2 : 1
    const stream = await openStream(model, { precision, context, hold, threads })
    const prompt = model.codes.subarray(0, Math.round(promptSeconds * model.audio.sampleRate))
    const total = prompt.length
    await stream.prime(prompt, {
      onProgress(samples) {
        signal.throwIfAborted()
        tell({ type: 'priming', samples, total })
      },
    })
    return { stream, start: stream.snapshot(), prompt }
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
