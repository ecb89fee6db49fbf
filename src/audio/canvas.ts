import { drawable, GLYPH, glyphRows } from './font.js'

/** A grid of colour indices to draw on. What lies outside is not drawn. */
export interface Canvas {
  width: number
  height: number
  /** [height, width] */
  pixels: Uint8Array
}

export function createCanvas(width: number, height: number, ink: number): Canvas {
  return { width, height, pixels: new Uint8Array(width * height).fill(ink) }
}

export function fillRect(
  { width, height, pixels }: Canvas,
  x: number,
  y: number,
  w: number,
  h: number,
  ink: number,
): void {
  const [left, right] = [Math.max(0, x), Math.min(width, x + w)]
  if (left >= right) return
  for (let row = Math.max(0, y); row < Math.min(height, y + h); row++) {
    pixels.fill(ink, row * width + left, row * width + right)
  }
}

/** Width of a text in pixels, at so many pixels per pixel of the font. */
export const textWidth = (text: string, scale: number) =>
  (drawable(text).length * GLYPH.advance - 1) * scale

/** Draws a line of text with its top left corner at (x, y). */
export function drawText(
  canvas: Canvas,
  text: string,
  x: number,
  y: number,
  ink: number,
  scale: number,
): void {
  drawable(text).forEach((character, i) => {
    const left = x + i * GLYPH.advance * scale
    glyphRows(character).forEach((bits, row) => {
      for (let column = 0; column < GLYPH.width; column++) {
        if (((bits >> (GLYPH.width - 1 - column)) & 1) === 0) continue
        fillRect(canvas, left + column * scale, y + row * scale, scale, scale, ink)
      }
    })
  })
}
