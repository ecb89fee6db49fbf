/** The 256 colours of a picture, and the index of the first of each group. */

type Rgb = readonly [number, number, number]

const PAGE: Rgb = [11, 10, 18]

/** Levels of the spectrogram, dark to light. */
export const SPECTRUM_INKS = 200
/** Steps from one colour of the waveform to the next, at its edges. */
export const WAVE_SHADES = 8

/** First index of the shades of the peaks, and of the root mean square inside. */
export interface WaveInks {
  peak: number
  rms: number
}

/**
 * Control points of the spectrogram's colours, evenly spaced: from the page's black over violet and
 * red to light yellow, with lightness rising evenly, so that equal steps of level look equal.
 */
const SPECTRUM: readonly Rgb[] = [
  [4, 3, 10],
  [25, 16, 62],
  [72, 22, 118],
  [122, 38, 130],
  [175, 53, 122],
  [224, 78, 101],
  [248, 131, 94],
  [254, 192, 130],
  [252, 250, 196],
]

const PROMPT = { peak: [58, 84, 128], rms: [128, 168, 220] } as const
const SOUND = { peak: [140, 62, 74], rms: [250, 140, 98] } as const

const between = (a: Rgb, b: Rgb, part: number): Rgb => [
  Math.round(a[0] + (b[0] - a[0]) * part),
  Math.round(a[1] + (b[1] - a[1]) * part),
  Math.round(a[2] + (b[2] - a[2]) * part),
]

function along(points: readonly Rgb[], count: number): Rgb[] {
  return Array.from({ length: count }, (_, i) => {
    const at = (i / (count - 1)) * (points.length - 1)
    const below = Math.min(points.length - 2, Math.floor(at))
    return between(points[below]!, points[below + 1]!, at - below)
  })
}

const shades = (from: Rgb, to: Rgb): Rgb[] =>
  Array.from({ length: WAVE_SHADES }, (_, i) => between(from, to, (i + 1) / WAVE_SHADES))

const colours: Rgb[] = []

function add(...more: readonly Rgb[]): number {
  colours.push(...more)
  return colours.length - more.length
}

const addWave = ({ peak, rms }: { peak: Rgb; rms: Rgb }): WaveInks => ({
  peak: add(...shades(PAGE, peak)),
  rms: add(...shades(peak, rms)),
})

export const INK = {
  spectrum: add(...along(SPECTRUM, SPECTRUM_INKS)),
  page: add(PAGE),
  text: add([232, 230, 240]),
  faint: add([150, 148, 165]),
  promptText: add(PROMPT.rms),
  soundText: add(SOUND.rms),
  prompt: addWave(PROMPT),
  sound: addWave(SOUND),
}

/** Red, green and blue of each index. */
export const PALETTE: readonly Rgb[] = colours
