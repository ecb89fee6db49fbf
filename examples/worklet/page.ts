/** The page: what may be chosen, what is going on, what is heard. */
import { ringMemory } from './channel.js'
import type { FromWorker, Played, Sampling, ToWorker } from './messages.js'
import { Scope } from './scope.js'

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T
const select = (id: string) => element<HTMLSelectElement>(id)
const input = (id: string) => element<HTMLInputElement>(id)

const asked = new URLSearchParams(location.search)
const RECORDING = asked.get('recording') ?? '/samples/bach_bwv855_prelude_excerpt.flac'

/** What the Worker has told of the model. */
let model: Extract<FromWorker, { type: 'loaded' }> | undefined
let take: { audio: AudioContext; gain: GainNode; scope: Scope } | undefined
let heard = 0
let playing: Played | undefined

const worker = new Worker('app/worker.js', { type: 'module' })
const tell = (message: ToWorker, transfer: Transferable[] = []) =>
  worker.postMessage(message, transfer)
worker.onerror = (event) => fail(event.message || 'The Worker could not be started.')
worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
  if (data.type === 'loading') {
    const share = data.total
      ? `${Math.round((100 * data.bytes) / data.total)}%`
      : megabytes(data.bytes)
    state('loading', `Fetching the model: ${share}`)
  } else if (data.type === 'loaded') ready(data)
  else if (data.type === 'priming') {
    const share = Math.round((100 * data.samples) / data.total)
    state('priming', `Listening to the recording: ${share}%`)
  } else if (data.type === 'made') made(data)
  else if (data.type === 'failed') fail(data.text)
}

// ------------------------------------------------------------------------------ loading

function load(): void {
  stop()
  model = undefined
  element('error').hidden = true
  element<HTMLButtonElement>('start').disabled = true
  state('loading', 'Fetching the model')
  tell({ type: 'load', checkpoint: select('checkpoint').value, recording: RECORDING })
}

function ready(loaded: NonNullable<typeof model>): void {
  model = loaded
  const { context, sampleRate, parameters, seconds } = loaded
  const contexts = [1, 2, 4, 8, 16, 32].map((n) => n * sampleRate).filter((n) => n < context)
  select('context').replaceChildren(
    ...[...contexts, context].map((n) => {
      const text = `${(n / sampleRate).toFixed(n % sampleRate ? 1 : 0)} s`
      return new Option(text, String(n), n === context, n === context)
    }),
  )
  const most = Math.max(1, Math.floor(seconds))
  input('prompt').max = String(most)
  input('prompt').value = String(Math.min(Number(input('prompt').value), most))
  input('hold').disabled = !loaded.canHold
  element('about').textContent =
    `${parameters.toLocaleString('en')} parameters, ${sampleRate.toLocaleString('en')} samples a second`
  element<HTMLButtonElement>('start').disabled = false
  state('ready', 'Ready')
}

// ------------------------------------------------------------------------------- playing

async function start(): Promise<void> {
  if (!model) return
  stop()
  element('error').hidden = true
  const { sampleRate } = model
  // at the rate of the model, so that nothing is resampled but by the system
  const audio = new AudioContext({ sampleRate, latencyHint: 'playback' })
  const gain = new GainNode(audio, { gain: Number(input('volume').value) })
  const mine = { audio, gain, scope: new Scope(element<HTMLCanvasElement>('scope'), audio) }
  take = mine
  element('stop').hidden = false
  element<HTMLButtonElement>('start').textContent = 'Again'
  state('priming', 'Starting')
  await audio.resume()
  await audio.audioWorklet.addModule('app/player.js')
  if (take !== mine) return

  const { port1, port2 } = new MessageChannel()
  const player = new AudioWorkletNode(audio, 'longwave-player', {
    numberOfInputs: 0,
    numberOfOutputs: 2,
    outputChannelCount: [1, 1],
  })
  player.port.postMessage(null, [port2])
  player.port.onmessage = ({ data }: MessageEvent<Played>) => {
    if (take === mine) report(data)
  }
  player.connect(mine.scope.input, 0)
  player.connect(gain, 1).connect(audio.destination)
  const seconds = Number(select('seconds').value)
  const memory = crossOriginIsolated
    ? ringMemory(
        2 ** Math.ceil(Math.log2((Number.isFinite(seconds) ? seconds + 3 : 12) * sampleRate)),
      )
    : undefined
  tell(
    {
      type: 'take',
      precision: select('precision').value as 'int8' | 'f32',
      context: Number(select('context').value),
      promptSeconds: Number(input('prompt').value),
      hold: model.canHold && input('hold').checked,
      ...sampling(),
      seed: Number(input('seed').value) >>> 0,
      ...{ seconds, player: port1 },
      ...(memory && { memory }),
    },
    [port1],
  )
}

function sampling(): Sampling {
  return { temperature: Number(input('temperature').value), topP: Number(input('top-p').value) }
}

function stop(): void {
  tell({ type: 'stop' })
  void take?.audio.close()
  take?.scope.stop()
  take = undefined
  playing = undefined
  element('stop').hidden = true
  for (const figure of ['speed', 'buffered', 'underruns', 'played']) show(figure, '–')
  element('slow').hidden = true
  if (model) state('ready', 'Ready')
}

function made({
  samples,
  heard: lead,
  speed,
  startsIn,
}: Extract<FromWorker, { type: 'made' }>): void {
  if (!take || !model) return
  heard = lead
  const factor = speed / model.sampleRate
  show('speed', `${factor.toFixed(2)}×`)
  element('slow').hidden = factor >= 1 || speed === 0
  show('slow-factor', factor.toFixed(2))
  if (playing?.state === 'playing' || startsIn === undefined || startsIn === 0) return
  const wait = Number.isFinite(startsIn) ? `, plays in ${Math.ceil(startsIn)} s` : ''
  state('buffering', `Making ${(samples / model.sampleRate).toFixed(1)} s ahead${wait}`)
}

function report(played: Played): void {
  if (!take || !model) return
  playing = played
  const { sampleRate } = model
  show('buffered', `${Math.round((1000 * played.buffered) / sampleRate)} ms`)
  show(
    'underruns',
    played.underruns === 0
      ? '0'
      : `${played.underruns} (${(played.silence / sampleRate).toFixed(1)} s)`,
  )
  show('played', `${(played.samples / sampleRate).toFixed(1)} s`)
  take.scope.isModel = played.samples > heard
  take.scope.isRunning = played.state === 'playing'
  if (played.state === 'playing') {
    state('playing', take.scope.isModel ? 'Playing the model' : 'Playing the recording')
  } else if (played.state === 'ended') state('ended', 'Played to the end')
}

// ------------------------------------------------------------------------------- showing

function state(name: string, text: string): void {
  document.body.dataset.state = name
  element('state').textContent = text
}

function show(id: string, text: string): void {
  element(id).textContent = text
}

function fail(text: string): void {
  stop()
  const [fact, ...more] = text.split('\n')
  element('error-fact').textContent = fact!
  element('error-more').textContent = more.map((line) => line.trim()).join('\n')
  element('error').hidden = false
  state('failed', 'Stopped by an error')
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`

// ------------------------------------------------------------------------------- choosing

const own = asked.get('checkpoint')
if (own !== null) {
  select('checkpoint').value = own
  if (select('checkpoint').value !== own)
    select('checkpoint').add(new Option(own, own, true, true), 0)
}
for (const name of ['seconds', 'precision', 'temperature', 'top-p', 'seed', 'prompt', 'volume']) {
  const value = asked.get(name)
  if (value === null) continue
  const choice = element<HTMLInputElement | HTMLSelectElement>(name)
  choice.value = value
  // another length than those offered
  if (choice.value === '' && Number(value) > 0)
    select(name).add(new Option(`${value} s`, value, true, true))
}
for (const id of ['temperature', 'top-p']) {
  const shown = () => show(`${id}-shown`, Number(input(id).value).toFixed(2))
  shown()
  input(id).oninput = () => {
    shown()
    tell({ type: 'sampling', ...sampling() })
  }
}
input('volume').oninput = () => {
  if (take) take.gain.gain.value = Number(input('volume').value)
}
if (asked.get('hold') === '0') input('hold').checked = false
element('dice').onclick = () => {
  input('seed').value = String(crypto.getRandomValues(new Uint16Array(1))[0]!)
}
select('checkpoint').onchange = load
element('start').onclick = () =>
  void start().catch((thrown) => fail(String(thrown?.message ?? thrown)))
element('stop').onclick = stop
element('notice').hidden = crossOriginIsolated
load()
