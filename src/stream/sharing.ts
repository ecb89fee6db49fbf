/**
 * How threads share a step. Large products are split by their outputs and attention by its heads; what
 * is small every thread does for itself, on numbers of its own, which is cheaper than to wait. Numbers
 * that several threads write are shared, and the threads wait for each other where one reads what
 * another wrote. Every number is computed as on one thread, so results are the same bits.
 */
import type { Instruction, StepPlan } from '../nn/step-plan.js'
import { BLOCK } from './opcodes.js'

/** From and to, of each thread. */
export type Parts = readonly (readonly [from: number, to: number])[]

export interface Share {
  /**
   * - `each`: every thread does all of it, with its own numbers
   * - `split`: each thread makes its part of the outputs
   * - `first`: the first thread does it, on shared numbers
   */
  readonly mode: 'each' | 'split' | 'first'
  /** Of a split: outputs of a product, groups or heads of attention. */
  readonly parts: Parts
  /** The threads wait for each other before it. */
  readonly waits: boolean
}

export interface Sharing {
  readonly shares: ReadonlyMap<Instruction, Share>
  /** Vectors that several threads write or read, by the name of the whole. */
  readonly shared: ReadonlySet<string>
}

/** Multiply-adds of a product from which on half of them take longer than to wait. */
const WORTH = 40_000

const WHOLE: Parts = []

/** @param ownerOf the whole vector that a vector is, or is a part of */
export function share(
  plan: StepPlan,
  threads: number,
  ownerOf: (vector: string) => string,
): Sharing {
  const shares = new Map<Instruction, Share>()
  if (threads === 1) {
    for (const step of plan.instructions) {
      shares.set(step, { mode: 'each', parts: WHOLE, waits: false })
    }
    return { shares, shared: new Set() }
  }
  const splits = new Map<Instruction, Parts>()
  const shared = new Set<string>()
  for (const step of plan.instructions) {
    const parts = partsOf(plan, step, threads)
    if (!parts) continue
    splits.set(step, parts)
    shared.add(ownerOf(step.outputs[0]!))
  }
  const vectors = new Set(plan.vectors.map(({ name }) => name))
  /** Who wrote a shared vector since all waited, and whether all threads may still be reading one. */
  const written = new Map<string, { rows: Parts | 'first' }>()
  const read = new Set<string>()
  let every: Instruction['every']
  for (const step of plan.instructions) {
    const parts = splits.get(step)
    const target = ownerOf(step.outputs[0]!)
    const mode = parts ? 'split' : shared.has(target) ? 'first' : 'each'
    const rows = mode === 'first' ? mode : parts ? rowsOf(plan, step, parts) : WHOLE
    const reads = step.inputs.filter((name) => vectors.has(name)).map(ownerOf)
    // not all instructions run at every sample: nothing is left to wait for at the ends of a block
    let waits = !isSame(every, step.every) && written.size + read.size > 0
    every = step.every
    for (const name of reads) {
      const writer = written.get(name)
      if (!writer) continue
      // of queries every thread reads what it wrote itself
      const own =
        mode === 'first'
          ? writer.rows === 'first'
          : step.kernel === 'attend' && equal(writer.rows, rows)
      waits ||= !own
    }
    if (shared.has(target)) {
      const writer = written.get(target)
      waits ||= read.has(target) || (writer !== undefined && !equal(writer.rows, rows))
    }
    if (waits) {
      written.clear()
      read.clear()
    }
    if (shared.has(target)) written.set(target, { rows })
    if (mode !== 'first') for (const name of reads) if (shared.has(name)) read.add(name)
    shares.set(step, { mode, parts: parts ?? WHOLE, waits })
  }
  return { shares, shared }
}

/** How an instruction is split, if it is worth it. */
function partsOf(plan: StepPlan, step: Instruction, threads: number): Parts | undefined {
  const { kernel, inputs, outputs, weights, numbers } = step
  if (kernel === 'affine' || kernel === 'convolve') {
    const { shape, data } = plan.weights[weights[0]!]!
    const blocks = Math.floor(shape[0]! / BLOCK)
    if (data.length < WORTH || blocks < threads) return undefined
    return divide(blocks, threads).map(([from, to], k) => [
      BLOCK * from,
      k === threads - 1 ? shape[0]! : BLOCK * to,
    ])
  }
  if (kernel === 'attend') {
    const cache = plan.caches.find(({ name }) => name === inputs[1])
    const units = cache && cache.groups > 1 ? cache.groups : numbers.heads!
    const size = plan.vectors.find(({ name }) => name === outputs[0])!.size
    if (cache && units >= threads && size * cache.window >= WORTH) return divide(units, threads)
  }
  return undefined
}

function divide(units: number, threads: number): [number, number][] {
  const at = (k: number) => Math.round((k * units) / threads)
  return Array.from({ length: threads }, (_, k) => [at(k), at(k + 1)])
}

/** Parts as rows of the output. */
function rowsOf(plan: StepPlan, { kernel, outputs }: Instruction, parts: Parts): Parts {
  if (kernel !== 'attend') return parts
  const { size } = plan.vectors.find(({ name }) => name === outputs[0])!
  const unit = size / parts.at(-1)![1]
  return parts.map(([from, to]) => [from * unit, to * unit])
}

function equal(a: Parts | 'first', b: Parts | 'first'): boolean {
  if (a === 'first' || b === 'first') return a === b
  return a.length === b.length && a.every(([from, to], k) => from === b[k]![0] && to === b[k]![1])
}

const isSame = (a: Instruction['every'], b: Instruction['every']) =>
  a?.period === b?.period && a?.phase === b?.phase
