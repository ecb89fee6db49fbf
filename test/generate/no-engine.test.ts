import { expect, it, vi } from 'vitest'
import { openStream } from '../../src/generate/index.js'
import { tinyModel } from '../cli/tiny.js'

vi.mock('../../src/engine/runtime.js', async (original) => ({
  ...(await original<object>()),
  openRuntime: () => Promise.reject(new Error('Cannot find package onnxruntime-node')),
}))

it('steps through long prompts where ONNX Runtime is not installed', async () => {
  const checkpoint = tinyModel()
  const codes = Uint8Array.from({ length: 600 }, (_, n) => 128 + Math.round(30 * Math.sin(n / 5)))
  expect(codes.length).toBeGreaterThan(checkpoint.model.stepForm!.memory)
  const made: Uint8Array[] = []
  for (const options of [{}, { engine: null }]) {
    const stream = await openStream(checkpoint, { seed: 4, ...options })
    const told: number[] = []
    await stream.prime(codes, { onProgress: (samples) => told.push(samples) })
    expect(told.at(-1)).toBe(codes.length)
    for await (const block of stream.generate({ samples: 200, blockSize: 200 })) made.push(block)
  }
  expect(made[0]).toEqual(made[1])
})
