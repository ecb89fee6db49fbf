import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ClipCounter, SilenceMeter } from '../../src/data/measure.js'

const clippedIn = (samples: number[], bitDepth?: number) => {
  const counter = new ClipCounter(1, bitDepth)
  counter.push([Float32Array.from(samples)])
  return counter.clipped
}

describe('clipping', () => {
  it('is a run of 3 or more samples at full scale, of either sign', () => {
    expect(clippedIn([0, 1, 1, 0, 1, 0])).toBe(0)
    expect(clippedIn([0, 1, 1, 1, 0, -1, -1, -1, -1, 0])).toBe(7)
    expect(clippedIn([32767 / 32768, -1, 1])).toBe(3)
    expect(clippedIn([0.999, 0.999, 0.999])).toBe(0)
  })

  it('has its own full scale for 8 bits', () => {
    expect(clippedIn([127 / 128, 127 / 128, 127 / 128], 8)).toBe(3)
    expect(clippedIn([127 / 128, 127 / 128, 127 / 128], 16)).toBe(0)
  })

  it('is counted in every channel, whatever the blocks', () => {
    const sample = fc.constantFrom(0, 1, -1, 1)
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 30 }), fc.nat({ max: 30 }), (samples, cut) => {
        const counter = new ClipCounter(2, 16)
        for (const part of [samples.slice(0, cut), samples.slice(cut)]) {
          counter.push([Float32Array.from(part), new Float32Array(part.length)])
        }
        expect(counter.clipped).toBe(clippedIn(samples))
      }),
    )
  })
})

describe('silence', () => {
  const shareOf = (...blocks: Float32Array[]) => {
    const meter = new SilenceMeter(1000) // 20 samples a frame
    for (const block of blocks) meter.push(block)
    return meter.share()
  }

  it('is the share of 20 ms frames under -60 dBFS', () => {
    const loud = new Float32Array(20).fill(0.00101)
    const quiet = new Float32Array(20).fill(0.00099)
    expect(shareOf(loud, quiet, quiet, loud)).toBe(0.5)
    expect(shareOf(quiet)).toBe(1)
    expect(shareOf(loud)).toBe(0)
  })

  it('counts a started frame, and is 0 for nothing', () => {
    expect(shareOf(new Float32Array(20).fill(0.5), new Float32Array(3))).toBe(0.5)
    expect(shareOf()).toBe(0)
  })

  it('does not depend on the blocks', () => {
    const samples = Float32Array.from({ length: 95 }, (_, i) => (i % 40 < 20 ? 0.5 : 0))
    fc.assert(
      fc.property(fc.nat({ max: 95 }), (cut) => {
        expect(shareOf(samples.subarray(0, cut), samples.subarray(cut))).toBe(shareOf(samples))
      }),
    )
  })
})
