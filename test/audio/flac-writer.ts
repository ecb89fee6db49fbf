import { concat } from './signals.js'

/** Bits, most significant first. */
class Bits {
  readonly bytes: number[] = []
  #held = 0
  #count = 0

  put(value: number, bits: number): void {
    for (let i = bits - 1; i >= 0; i--) {
      this.#held = (this.#held << 1) | (Math.floor(value / 2 ** i) & 1)
      if (++this.#count === 8) {
        this.bytes.push(this.#held & 255)
        this.#held = 0
        this.#count = 0
      }
    }
  }

  align(): void {
    while (this.#count > 0) this.put(0, 1)
  }
}

function crc(bytes: readonly number[], width: 8 | 16, polynomial: number): number {
  let sum = 0
  for (const byte of bytes) {
    sum ^= byte << (width - 8)
    for (let i = 0; i < 8; i++) sum = sum & (1 << (width - 1)) ? (sum << 1) ^ polynomial : sum << 1
    sum &= 2 ** width - 1
  }
  return sum
}

const SIZE_CODES: Readonly<Record<number, number>> = { 8: 1, 16: 4, 24: 6 }

/**
 * A FLAC file of verbatim subframes: no compression, but every field and checksum of a real one,
 * so that any samples can be tested without an encoder.
 * @param channels [channels][n] integers of `bits` bits
 * @param promised samples that the header promises; 0 for unknown
 */
export function writeFlac(
  channels: readonly ArrayLike<number>[],
  rate: number,
  bits: 8 | 16 | 24,
  block = 256,
  promised = channels[0]!.length,
): Uint8Array {
  const samples = channels[0]!.length
  const info = new Bits()
  info.put(block, 16)
  info.put(block, 16)
  info.put(0, 48)
  info.put(rate, 20)
  info.put(channels.length - 1, 3)
  info.put(bits - 1, 5)
  info.put(promised, 36)
  info.put(0, 128)
  const parts = [concat('fLaC', Uint8Array.of(0x80, 0, 0, 34), Uint8Array.from(info.bytes))]
  for (let from = 0, number = 0; from < samples; from += block, number++) {
    const size = Math.min(block, samples - from)
    const frame = new Bits()
    frame.put(0xfff8, 16)
    frame.put(7, 4) // block size in 16 bits at the end of the header
    frame.put(0, 4) // rate from STREAMINFO
    frame.put(channels.length - 1, 4)
    frame.put(SIZE_CODES[bits]!, 3)
    frame.put(0, 1)
    if (number < 0x80) frame.put(number, 8)
    else frame.put(0xc080 | ((number >> 6) << 8) | (number & 63), 16)
    frame.put(size - 1, 16)
    frame.put(crc(frame.bytes, 8, 0x07), 8)
    for (const channel of channels) {
      frame.put(2, 8) // verbatim, no wasted bits
      for (let i = from; i < from + size; i++) frame.put(channel[i]! & (2 ** bits - 1), bits)
    }
    frame.align()
    frame.put(crc(frame.bytes, 16, 0x8005), 16)
    parts.push(Uint8Array.from(frame.bytes))
  }
  return concat(...parts)
}
