/**
 * Mean of the channels: [channels][n] to [n]. One channel is returned as it is, not copied.
 * Channels must have equal lengths.
 */
export function downmix(channels: readonly Float32Array[]): Float32Array {
  const first = channels[0]
  if (first === undefined) return new Float32Array(0)
  if (channels.length === 1) return first
  const mono = new Float32Array(first.length)
  for (let i = 0; i < mono.length; i++) {
    let sum = 0
    for (const channel of channels) sum += channel[i]!
    mono[i] = sum / channels.length
  }
  return mono
}
