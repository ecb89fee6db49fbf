/** Audio that is decoded block by block, so that a file of hours needs little memory. */
export interface AudioStream {
  /** What the content is: 'wav', 'flac', 'mp3', 'ogg vorbis', 'ogg opus' or 'ogg flac'. */
  format: string
  /** In Hz. */
  sampleRate: number
  channels: number
  /** Bits of one sample of the source where it has such a number. */
  bitDepth?: number
  /** Blocks of [channels][n] samples, 1.0 being full scale. Throws `AudioDecodeError`. */
  blocks(): AsyncGenerator<Float32Array[]>
}
