import type { CheckpointParts } from '../../src/train/checkpoint.js'

export interface Counted {
  step: number
}

/** Tensors that tell which step they are of. */
export function partsOf(step: number, size = 2000): CheckpointParts {
  const tensor = (value: number) => ({ shape: [size], data: new Float32Array(size).fill(value) })
  return {
    model: { 'net.weight': tensor(step), 'net.bias': { shape: [], data: Float32Array.of(0.5) } },
    optim: { 'm.net.weight': tensor(-step) },
    state: { step, config: { size }, best: null },
  }
}
