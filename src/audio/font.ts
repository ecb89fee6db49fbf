/**
 * A bitmap font for the labels of pictures, drawn for this project: printable ASCII, 5 pixels wide,
 * 7 high, with 2 more rows for what hangs below the line.
 */

export const GLYPH = { width: 5, height: 7, rows: 9, advance: 6 } as const

/** From the space to the tilde; each letter or digit is a row of five pixels in base 32. */
const GLYPHS = (
  '000000000 444440400 aaa000000 aavavaa00 4fke5u400 op248j300 cik8lid00 448000000 ' +
  '248884200 842224800 04lel4000 044v44000 000004480 000v00000 00000cc00 01248g000 ' +
  'ehjlphe00 4c4444e00 eh1248v00 v2421he00 26aiv2200 vgu11he00 68guhhe00 v12488800 ' +
  'ehhehhe00 ehhf12c00 0cc0cc000 0cc0c4800 248g84200 00v0v0000 842124800 eh1240400 ' +
  'ehnlnge00 ehhvhhh00 uhhuhhu00 ehggghe00 uhhhhhu00 vgguggv00 vgguggg00 ehgnhhf00 ' +
  'hhhvhhh00 e44444e00 72222ic00 hikokih00 ggggggv00 hrllhhh00 hppljjh00 ehhhhhe00 ' +
  'uhhuggg00 ehhhlid00 uhhukih00 fgge11u00 v44444400 hhhhhhe00 hhhhaa400 hhhllrh00 ' +
  'hha4ahh00 hha444400 v1248gv00 e88888e00 0g8421000 e22222e00 4ah000000 0000000v0 ' +
  '840000000 00e1fhf00 gguhhhu00 00ehghe00 11fhhhf00 00ehvge00 698u88800 00fhhhf1e ' +
  'gguhhhh00 40c444e00 2062222ic ggikoki00 c44444e00 00qllll00 00uhhhh00 00ehhhe00 ' +
  '00uhhhugg 00fhhhf11 00mpggg00 00fge1u00 88u889600 00hhhjd00 00hhha400 00hllla00 ' +
  '00ha4ah00 00hhhhf1e 00v248v00 344844300 444444400 o44244o00 008l20000'
).split(' ')

const FIRST = 32

/** [9] the rows of a character from the top, each of 5 bits, the left pixel highest. */
export function glyphRows(character: string): number[] {
  const glyph = GLYPHS[character.charCodeAt(0) - FIRST] ?? GLYPHS['?'.charCodeAt(0) - FIRST]!
  return Array.from(glyph, (row) => Number.parseInt(row, 32))
}

/** The characters of a text that the font can draw: accents are dropped, the unknown becomes `?`. */
export function drawable(text: string): string[] {
  const plain = text
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[\u2010-\u2015]/g, '-')
  return Array.from(plain, (character) => (/^[ -~]$/.test(character) ? character : '?'))
}
