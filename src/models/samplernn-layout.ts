/** What the network of SampleRNN and its step plan have in common. */

/** Samples of a frame of every recurrent tier, the lowest first: 8, 16 and 32. */
export function frameSizes({ frames }: { frames: readonly number[] }): number[] {
  let size = 1
  return frames.map((factor) => {
    size *= factor
    return size
  })
}

/** A code as the tiers hear it: twice the level as a number from -1 to 1, silence 0. */
export const valueOfCode = (code: number, levels: number) => (4 * code) / levels - 2
