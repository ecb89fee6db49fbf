import { UsageError } from '../base/errors.js'
import { type Scale, scaleOf } from './scale.js'

/** One line of a plot: points of x and y, and, where known, the standard error of y. */
export interface PlotSeries {
  name: string
  points: readonly (readonly [x: number, y: number, err?: number])[]
}

export interface PlotOptions {
  title: string
  /** `log`: a logarithmic axis, for a context or a count of steps. */
  x: { label: string; log?: boolean }
  y: { label: string }
  series: readonly PlotSeries[]
}

const SIZE = { width: 800, height: 450 }
const FONT = 'ui-sans-serif, system-ui, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif'
/** Told apart without colour vision too (Okabe and Ito 2008), but darker, for lines on white. */
const COLOURS = ['#0b6fb8', '#d1570a', '#00805d', '#b5548c', '#8a6d00', '#3f9fcf', '#444444']
/** With more points than these, dots would hide the line. */
const MOST_DOTS = 40
const TEXT = '#24292f'
const FAINT = '#6e7781'
const GRID = '#e4e7eb'

/** Where the data lie, in pixels. */
interface Frame {
  left: number
  top: number
  right: number
  bottom: number
  x: Scale
  y: Scale
}

/**
 * A line chart as SVG text, light and readable at the width of a README. Points that are not finite
 * break the line. The same options give the same text.
 *
 * @throws UsageError when there is no point to draw, or a logarithmic axis gets an x of 0 or less
 */
export function linePlot({ title, x, y, series }: PlotOptions): string {
  const shown = series.map(({ name, points }) => ({ name, points: points.filter(isFinitePoint) }))
  const all = shown.flatMap(({ points }) => points)
  if (all.length === 0) throw new UsageError({ fact: 'there is no point to draw' })
  const wrong = all.find(([at]) => x.log && at <= 0)
  if (wrong) {
    const got = `an x of ${wrong[0]}`
    throw new UsageError({ fact: 'a logarithmic axis has no 0 and nothing below', got })
  }
  const yScale = scaleOf(
    all.flatMap(([, at, err = 0]) => [at - err, at + err]),
    false,
  )
  const xScale = scaleOf(
    all.map(([at]) => at),
    x.log ?? false,
  )
  const widest = Math.max(...yScale.ticks.map(({ label }) => label.length))
  const left = 48 + 7.5 * widest
  const needsLegend = series.length > 1 || series[0]!.name !== ''
  const legend = drawLegend(needsLegend ? series : [], left)
  const frame: Frame = {
    left,
    top: 52 + (needsLegend ? legend.height : 0),
    right: SIZE.width - 24,
    bottom: SIZE.height - 58,
    x: xScale,
    y: yScale,
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" ` +
      `width="${SIZE.width}" height="${SIZE.height}" role="img" font-family='${FONT}'>`,
    `<title>${escaped(title)}</title>`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    text(frame.left, 30, title, { size: 17, weight: 600 }),
    ...legend.lines,
    ...drawAxes(frame, x.label, y.label),
    ...series.flatMap((one, i) => drawSeries(one, frame, COLOURS[i % COLOURS.length]!)),
    '</svg>',
    '',
  ].join('\n')
}

const isFinitePoint = ([x, y, err = 0]: PlotSeries['points'][number]) =>
  Number.isFinite(x) && Number.isFinite(y) && Number.isFinite(err)

/** The legend's lines from `left` on, wrapped at the right margin, and the height that it takes. */
function drawLegend(series: readonly PlotSeries[], left: number) {
  const lines: string[] = []
  let [x, y] = [left, 52]
  series.forEach(({ name }, i) => {
    const width = 44 + 7 * name.length
    if (x > left && x + width > SIZE.width) {
      x = left
      y += 20
    }
    const colour = COLOURS[i % COLOURS.length]!
    lines.push(
      `<line x1="${round(x)}" x2="${round(x + 18)}" y1="${y}" y2="${y}" stroke="${colour}" ` +
        `stroke-width="3" stroke-linecap="round"/>`,
      text(x + 24, y + 4, name, { size: 13 }),
    )
    x += width
  })
  return { lines, height: y - 28 }
}

function drawAxes({ left, top, right, bottom, x, y }: Frame, xLabel: string, yLabel: string) {
  const lines: string[] = []
  for (const { share, label } of y.ticks) {
    const at = bottom - share * (bottom - top)
    lines.push(
      rule(left, at, right, at, GRID),
      text(left - 8, at + 4, label, { size: 12, fill: FAINT, anchor: 'end' }),
    )
  }
  for (const { share, label } of x.ticks) {
    const at = left + share * (right - left)
    lines.push(
      rule(at, bottom, at, bottom + 5, FAINT),
      text(at, bottom + 20, label, { size: 12, fill: FAINT, anchor: 'middle' }),
    )
  }
  const middle = (top + bottom) / 2
  lines.push(
    rule(left, bottom, right, bottom, FAINT),
    text((left + right) / 2, SIZE.height - 14, xLabel, { size: 13, anchor: 'middle' }),
    text(20, middle, yLabel, { size: 13, anchor: 'middle', turned: true }),
  )
  return lines
}

function drawSeries({ points }: PlotSeries, frame: Frame, colour: string): string[] {
  const { left, top, right, bottom } = frame
  const px = (x: number) => round(left + frame.x.share(x) * (right - left))
  const py = (y: number) => round(bottom - frame.y.share(y) * (bottom - top))
  const finite = points.filter(isFinitePoint)
  const dots = finite.length <= MOST_DOTS
  const lines: string[] = []

  let path = ''
  let drawing = false
  for (const point of points) {
    if (isFinitePoint(point)) path += `${drawing ? 'L' : 'M'}${px(point[0])} ${py(point[1])}`
    drawing = isFinitePoint(point)
  }
  lines.push(
    `<path d="${path}" fill="none" stroke="${colour}" stroke-width="${dots ? 2 : 1.4}" ` +
      `stroke-linejoin="round"/>`,
  )
  for (const [x, y, err = 0] of finite) {
    if (err <= 0) continue
    const [at, low, high] = [px(x), py(y - err), py(y + err)]
    lines.push(
      `<path d="M${at} ${low}V${high}M${round(at - 4)} ${low}h8M${round(at - 4)} ${high}h8" ` +
        `fill="none" stroke="${colour}" stroke-width="1.2"/>`,
    )
  }
  if (dots) {
    for (const [x, y] of finite) {
      lines.push(`<circle cx="${px(x)}" cy="${py(y)}" r="3.5" fill="${colour}" stroke="#ffffff"/>`)
    }
  }
  return lines
}

interface TextStyle {
  size: number
  weight?: number
  fill?: string
  anchor?: 'start' | 'middle' | 'end'
  /** Read from below to above. */
  turned?: boolean
}

function text(x: number, y: number, content: string, style: TextStyle): string {
  const { size, weight = 400, fill = TEXT, anchor = 'start', turned = false } = style
  const place = turned
    ? `transform="translate(${round(x)} ${round(y)}) rotate(-90)"`
    : `x="${round(x)}" y="${round(y)}"`
  return (
    `<text ${place} font-size="${size}" font-weight="${weight}" fill="${fill}" ` +
    `text-anchor="${anchor}">${escaped(content)}</text>`
  )
}

const rule = (x1: number, y1: number, x2: number, y2: number, colour: string) =>
  `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" ` +
  `stroke="${colour}" stroke-width="1"/>`

const round = (x: number) => Math.round(x * 10) / 10

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }

/** Text as XML: markup escaped, and without the characters that XML has no form for. */
const escaped = (content: string) =>
  content
    .replace(/[\p{Cc}\p{Cs}\ufffe\uffff]/gu, '')
    .replace(/[&<>]/g, (character) => ENTITIES[character]!)
