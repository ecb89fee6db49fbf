/** Draws what is heard as it is heard: the waveform above, its spectrogram below. */

/** Samples of a spectrum: 128 ms at 16 kHz. */
const SPECTRUM = 2048
/** Pixels that a second is wide. */
const PACE = 90
/** Share of the height that the waveform takes. */
const WAVE = 0.36
/** Hz at the bottom of the spectrogram; its top is half the rate. */
const LOWEST = 50
/** Decibels that are black and white. */
const [DARK, BRIGHT] = [-95, -25]

const BACKGROUND = '#0b0d12'
const COLOURS = { recording: '#7fb2f0', model: '#ff9d5c' }

/** Dark to bright, as points that are blended. */
const PALETTE = [
  [11, 13, 18],
  [48, 18, 86],
  [140, 35, 105],
  [226, 85, 60],
  [252, 176, 60],
  [252, 250, 200],
] as const

export class Scope {
  /** The samples come here first. */
  readonly input: AnalyserNode
  /** Whether what is heard now comes from the model, or is the recording still. */
  isModel = false
  isRunning = false
  readonly #audio: AudioContext
  readonly #canvas: HTMLCanvasElement
  readonly #context: CanvasRenderingContext2D
  readonly #wave = new Float32Array(SPECTRUM)
  readonly #spectrum: Float32Array<ArrayBuffer>
  /** Time up to which it is drawn, in seconds of the audio. */
  #drawn: number
  #frame = 0

  constructor(canvas: HTMLCanvasElement, audio: AudioContext) {
    this.input = new AnalyserNode(audio, { fftSize: SPECTRUM, smoothingTimeConstant: 0 })
    this.#spectrum = new Float32Array(this.input.frequencyBinCount)
    this.#audio = audio
    this.#canvas = canvas
    this.#context = canvas.getContext('2d')!
    this.#drawn = audio.currentTime
    const { clientWidth, clientHeight } = canvas
    canvas.width = clientWidth
    canvas.height = clientHeight
    this.#context.fillStyle = BACKGROUND
    this.#context.fillRect(0, 0, canvas.width, canvas.height)
    this.#frame = requestAnimationFrame(() => this.#draw())
  }

  stop(): void {
    cancelAnimationFrame(this.#frame)
  }

  #draw(): void {
    this.#frame = requestAnimationFrame(() => this.#draw())
    const now = this.#audio.currentTime
    const columns = Math.min(Math.floor((now - this.#drawn) * PACE), this.#canvas.width)
    if (columns === 0) return
    if (columns < 0 || !this.isRunning) {
      this.#drawn = now
      return
    }
    this.#drawn += columns / PACE
    const { width, height } = this.#canvas
    const context = this.#context
    context.drawImage(this.#canvas, -columns, 0)
    context.fillStyle = BACKGROUND
    context.fillRect(width - columns, 0, columns, height)
    this.input.getFloatTimeDomainData(this.#wave)
    this.input.getFloatFrequencyData(this.#spectrum)
    const split = Math.round(WAVE * height)
    this.#drawWave(width - columns, columns, split)
    this.#drawSpectrum(width - columns, columns, split)
  }

  /** The newest samples, as many as were played since. */
  #drawWave(x: number, columns: number, height: number): void {
    const each = Math.round(this.#audio.sampleRate / PACE)
    const middle = height / 2
    this.#context.fillStyle = this.isModel ? COLOURS.model : COLOURS.recording
    for (let column = 0; column < columns; column++) {
      const from = SPECTRUM - each * (columns - column)
      let [low, high] = [0, 0]
      for (let i = Math.max(0, from); i < Math.max(0, from) + each; i++) {
        low = Math.min(low, this.#wave[i]!)
        high = Math.max(high, this.#wave[i]!)
      }
      const top = middle - Math.min(1, high) * (middle - 6)
      const bottom = middle - Math.max(-1, low) * (middle - 6)
      this.#context.fillRect(x + column, top, 1, Math.max(1, bottom - top))
    }
  }

  /** One spectrum, its frequencies on a logarithmic axis. */
  #drawSpectrum(x: number, columns: number, top: number): void {
    const rows = this.#canvas.height - top
    const image = this.#context.createImageData(columns, rows)
    const octaves = Math.log2(this.#audio.sampleRate / 2 / LOWEST)
    const bin = this.#audio.sampleRate / SPECTRUM
    for (let row = 0; row < rows; row++) {
      const frequency = LOWEST * 2 ** (octaves * (1 - row / rows))
      const place = Math.min(frequency / bin, this.#spectrum.length - 1.001)
      const [below, share] = [Math.floor(place), place % 1]
      const level = this.#spectrum[below]! * (1 - share) + this.#spectrum[below + 1]! * share
      const colour = colourOf((level - DARK) / (BRIGHT - DARK))
      for (let column = 0; column < columns; column++) {
        image.data.set(colour, 4 * (row * columns + column))
      }
    }
    this.#context.putImageData(image, x, top)
  }
}

/** @param share 0 is dark, 1 is bright; silence is -Infinity */
function colourOf(share: number): [number, number, number, number] {
  const place = Math.max(0, Math.min(1, share || 0)) * (PALETTE.length - 1.001)
  const [from, to] = [PALETTE[Math.floor(place)]!, PALETTE[Math.floor(place) + 1]!]
  const blend = (i: 0 | 1 | 2) => from[i] + (to[i] - from[i]) * (place % 1)
  return [blend(0), blend(1), blend(2), 255]
}
