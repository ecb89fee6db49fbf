import { UsageError } from '../base/errors.js'
import { type Canvas, createCanvas, drawText, fillRect, textWidth } from './canvas.js'
import { GLYPH } from './font.js'
import { INK, PALETTE, SPECTRUM_INKS, WAVE_SHADES, type WaveInks } from './palette.js'
import { encodePng } from './png.js'
import { spectrogram } from './spectrum.js'

export interface PictureOptions {
  /** In pixels; 1200 by 600 unless told. */
  width?: number
  height?: number
  /** Where a continuation begins, in seconds: the prompt before it is drawn in another colour. */
  mark?: number
  title?: string
}

const LEAST = { width: 240, height: 160 }

/** Where things are, in pixels. */
interface Layout {
  scale: number
  left: number
  plotWidth: number
  wave: { top: number; height: number }
  spectrum: { top: number; height: number }
}

/** How samples and columns of pixels belong together. */
interface Time {
  samples: Float32Array
  sampleRate: number
  /** Columns left of this one are of the prompt. */
  markColumn: number
}

/**
 * A picture of a recording: its waveform (peaks, and the root mean square inside) above its
 * spectrogram (logarithmic frequency from 50 Hz to half the sample rate).
 *
 * @param samples [n] in [-1, 1]; a quiet recording is drawn larger
 * @returns the bytes of a PNG file
 * @throws UsageError when there are no samples, or a size makes no sense
 */
export async function wavePicture(
  samples: Float32Array,
  sampleRate: number,
  options: PictureOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { width = 1200, height = 600, mark, title = '' } = options
  check(samples, sampleRate, width, height)
  if (mark !== undefined && !Number.isFinite(mark)) {
    throw new UsageError({ fact: '`mark` is not a time', got: String(mark) })
  }
  const layout = layOut(width, height, mark !== undefined)
  const seconds = samples.length / sampleRate
  const markColumn =
    mark === undefined ? 0 : Math.round((bounded(mark, 0, seconds) / seconds) * layout.plotWidth)
  const time = { samples, sampleRate, markColumn }

  const canvas = createCanvas(width, height, INK.page)
  drawWave(canvas, layout, time)
  drawSpectrum(canvas, layout, time)
  drawFrequencies(canvas, layout, sampleRate)
  drawSeconds(canvas, layout, seconds)
  drawTitle(canvas, layout, title)
  if (mark !== undefined) drawMark(canvas, layout, markColumn)
  return encodePng({ ...canvas, palette: PALETTE })
}

function check(samples: Float32Array, sampleRate: number, width: number, height: number) {
  if (samples.length === 0) throw new UsageError({ fact: 'there are no samples to draw' })
  if (!(sampleRate > 0)) {
    throw new UsageError({ fact: 'the sample rate is not a rate', got: String(sampleRate) })
  }
  const whole = Number.isSafeInteger(width) && Number.isSafeInteger(height)
  if (!whole || width < LEAST.width || height < LEAST.height) {
    throw new UsageError({
      fact: 'the picture is too small, or not a number of pixels',
      expected: `${LEAST.width} x ${LEAST.height} or more`,
      got: `${width} x ${height}`,
    })
  }
}

function layOut(width: number, height: number, marked: boolean): Layout {
  const scale = Math.max(1, Math.floor(width / 600))
  const line = GLYPH.advance * scale
  const left = 6 * line
  const top = (marked ? 31 : 20) * scale
  const gap = 5 * scale
  const room = height - top - gap - 16 * scale
  const waveHeight = Math.round(room * 0.34)
  return {
    scale,
    left,
    plotWidth: width - left - 2 * line,
    wave: { top, height: waveHeight },
    spectrum: { top: top + waveHeight + gap, height: room - waveHeight },
  }
}

const inksAt = (column: number, { markColumn }: Time): WaveInks =>
  column < markColumn ? INK.prompt : INK.sound

function drawWave(canvas: Canvas, layout: Layout, time: Time): void {
  const { scale, left, plotWidth, wave } = layout
  const { samples } = time
  // so close that the wave is a line and not an area
  const isLine = samples.length < CLOSE * plotWidth
  const thinnest = isLine ? scale : 1
  const peak = samples.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
  const gain = (wave.height / 2 - 1) / (peak > 0 ? peak : 1)
  const middle = wave.top + wave.height / 2
  for (let column = 0; column < plotWidth; column++) {
    const { low, high, rms } = extremes(samples, column, plotWidth)
    const inks = inksAt(column, time)
    const x = left + column
    // a line is never thinner than this, so that silence is still a line
    const thin = Math.max(0, thinnest - (high - low) * gain) / 2
    const [top, bottom] = [middle - high * gain - thin, middle - low * gain + thin]
    fillSmooth(canvas, x, top, bottom, inks.peak)
    const inner = Math.min(rms * gain, high * gain, -low * gain)
    if (isLine) fillSmooth(canvas, x, top, bottom, inks.rms)
    else if (inner > 0.5) fillSmooth(canvas, x, middle - inner, middle + inner, inks.rms)
  }
}

/** Samples in a column below which the wave is drawn as a line. */
const CLOSE = 8

/** The samples that fall on a column: a column between two samples takes a point between them. */
function extremes(samples: Float32Array, column: number, columns: number) {
  const from = (column * samples.length) / columns
  const to = ((column + 1) * samples.length) / columns
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  let squares = 0
  const take = (x: number) => {
    low = Math.min(low, x)
    high = Math.max(high, x)
    squares += x * x
  }
  const between = (at: number) => {
    const i = Math.min(Math.floor(at), samples.length - 1)
    const next = Math.min(i + 1, samples.length - 1)
    return samples[i]! + (at - i) * (samples[next]! - samples[i]!)
  }
  const first = Math.ceil(from)
  const end = Math.min(Math.ceil(to), samples.length)
  for (let i = first; i < end; i++) take(samples[i]!)
  const count = Math.max(1, end - first)
  // neighbouring columns meet, so that a fast edge is one stroke
  if (end - first < CLOSE) {
    take(between(from))
    take(between(Math.min(to, samples.length - 1)))
  }
  return { low, high, rms: Math.sqrt(squares / count) }
}

/** A column from `top` to `bottom`, the pixels at its ends shaded by how much of them it covers. */
function fillSmooth(canvas: Canvas, x: number, top: number, bottom: number, shades: number): void {
  for (let y = Math.floor(top); y < bottom; y++) {
    const covered = Math.min(y + 1, bottom) - Math.max(y, top)
    const shade = Math.ceil(covered * WAVE_SHADES) - 1
    if (shade >= 0) fillRect(canvas, x, y, 1, 1, shades + shade)
  }
}

/** Decibels from the loudest down to where the picture is black. */
const RANGE = 75
const LOWEST_HZ = 50
/** The axis spans five octaves at least, whatever the sample rate. */
const lowestOf = (sampleRate: number) => Math.min(LOWEST_HZ, sampleRate / 64)
const octavesOf = (sampleRate: number) => Math.log2(sampleRate / 2 / lowestOf(sampleRate))
/** Length of the windows in seconds: long enough for single notes in the bass. */
const WINDOW = 0.128

/** The frequency at the middle of each row of the spectrogram, from the top. */
function rowFrequency(row: number, rows: number, sampleRate: number): number {
  return lowestOf(sampleRate) * 2 ** (octavesOf(sampleRate) * (1 - (row + 0.5) / rows))
}

function drawSpectrum(canvas: Canvas, { left, plotWidth, spectrum }: Layout, time: Time): void {
  const { samples, sampleRate } = time
  const window = Math.min(sampleRate * WINDOW, samples.length / 2)
  const fft = 2 ** Math.round(Math.log2(Math.max(64, window)))
  const perColumn = samples.length / plotWidth
  // up to four frames a column, so that an hour takes no more memory than a minute
  const hop = Math.max(1, Math.floor(perColumn / bounded(Math.round(perColumn / (fft / 4)), 1, 4)))
  const { frames, bins, decibels } = spectrogram(samples, { fft, hop })
  let top = RANGE - 110
  for (let i = 0; i < decibels.length; i++) top = Math.max(top, decibels[i]!)

  const rows = Array.from({ length: spectrum.height }, (_, row) => {
    const frequency = rowFrequency(row, spectrum.height, sampleRate)
    const next = rowFrequency(row + 1, spectrum.height, sampleRate)
    return { bin: (frequency * fft) / sampleRate, span: ((frequency - next) * fft) / sampleRate }
  })
  const mean = new Float32Array(bins)
  for (let column = 0; column < plotWidth; column++) {
    const first = Math.min(frames - 1, Math.ceil((column * perColumn) / hop))
    const end = Math.min(frames, Math.max(first + 1, Math.ceil(((column + 1) * perColumn) / hop)))
    mean.fill(0)
    for (let t = first; t < end; t++) {
      for (let k = 0; k < bins; k++) mean[k]! += decibels[t * bins + k]! / (end - first)
    }
    rows.forEach(({ bin, span }, row) => {
      const level = 1 + (levelAt(mean, bin, span) - top) / RANGE
      const ink = Math.round(bounded(level, 0, 1) * (SPECTRUM_INKS - 1))
      canvas.pixels[(spectrum.top + row) * canvas.width + left + column] = INK.spectrum + ink
    })
  }
}

/** The loudest of the bins in a row, or between two bins a value between theirs. */
function levelAt(decibels: Float32Array, bin: number, span: number): number {
  const last = decibels.length - 1
  if (span < 1) {
    const below = Math.min(last - 1, Math.floor(bin))
    const part = bin - below
    return decibels[below]! * (1 - part) + decibels[below + 1]! * part
  }
  let most = Number.NEGATIVE_INFINITY
  const end = Math.min(last, Math.round(bin + span / 2))
  for (let k = Math.round(bin - span / 2); k <= end; k++) most = Math.max(most, decibels[k]!)
  return most
}

function drawFrequencies(canvas: Canvas, layout: Layout, sampleRate: number): void {
  const { scale, left, spectrum } = layout
  const label = (text: string, y: number) =>
    drawText(canvas, text, left - 5 * scale - textWidth(text, scale), y, INK.faint, scale)
  for (const hertz of [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000]) {
    if (hertz > sampleRate / 2) break
    const share = Math.log2(hertz / lowestOf(sampleRate)) / octavesOf(sampleRate)
    const y = Math.round(spectrum.top + spectrum.height * (1 - share))
    const line = bounded(y, spectrum.top, spectrum.top + spectrum.height - 1)
    fillRect(canvas, left - 3 * scale, line, 2 * scale, 1, INK.faint)
    const middle = y - Math.floor((GLYPH.height * scale) / 2)
    const lowest = spectrum.top + spectrum.height - GLYPH.height * scale
    // the unit stands at the top of the axis
    if (middle > spectrum.top + 9 * scale) label(String(hertz / 1000), Math.min(middle, lowest))
  }
  label('kHz', spectrum.top)
}

function drawSeconds(canvas: Canvas, layout: Layout, seconds: number): void {
  const { scale, left, plotWidth, spectrum } = layout
  const bottom = spectrum.top + spectrum.height
  const step = niceStep((seconds * 60 * scale) / plotWidth)
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9))
  for (let i = 0; i * step <= seconds * (1 + 1e-9); i++) {
    const x = left + Math.min(plotWidth - 1, Math.round((i * step * plotWidth) / seconds))
    fillRect(canvas, x, bottom + scale, 1, 2 * scale, INK.faint)
    const text = (i * step).toFixed(decimals) + (i === 0 ? ' s' : '')
    const shift = Math.floor(textWidth(i === 0 ? '0' : text, scale) / 2)
    const most = canvas.width - scale - textWidth(text, scale)
    drawText(canvas, text, Math.min(x - shift, most), bottom + 5 * scale, INK.faint, scale)
  }
}

/** 1, 2 or 5 times a power of ten, the least that is not below `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least))
  return power * ([1, 2, 5].find((digit) => digit * power >= least) ?? 10)
}

function drawTitle(canvas: Canvas, { scale, left, plotWidth }: Layout, title: string): void {
  let text = title
  for (let kept = title.length - 1; kept > 0 && textWidth(text, scale) > plotWidth; kept--) {
    text = `${title.slice(0, kept).trimEnd()}...`
  }
  drawText(canvas, text, left, 6 * scale, INK.text, scale)
}

function drawMark(canvas: Canvas, layout: Layout, column: number): void {
  const { scale, left, plotWidth, wave, spectrum } = layout
  const x = left + column
  const bottom = spectrum.top + spectrum.height
  for (let y = wave.top; y < bottom; y += 6 * scale) {
    fillRect(canvas, x - (scale >> 1), y, scale, Math.min(3 * scale, bottom - y), INK.text)
  }
  const y = wave.top - 9 * scale
  const [before, after] = ['prompt', 'continuation']
  const gap = 4 * scale
  if (column > textWidth(before, scale) + gap) {
    drawText(canvas, before, x - gap - textWidth(before, scale), y, INK.promptText, scale)
  }
  if (plotWidth - column > textWidth(after, scale) + gap) {
    drawText(canvas, after, x + gap, y, INK.soundText, scale)
  }
}

const bounded = (x: number, least: number, most: number) => Math.min(Math.max(x, least), most)
