/** Recall as its formula says, number by number; what it may see; what it is for. */
import { describe, expect, it } from 'vitest'
import {
  constant,
  Graph,
  gradients,
  input,
  reshape,
  sizeOf,
  transpose,
} from '../../src/graph/index.js'
import { flagship } from '../../src/models/flagship-model.js'
import {
  afterTaps,
  type RecallConfig,
  recall,
  recallReach,
  recallRows,
  recallStates,
} from '../../src/models/flagship-recall.js'
import { distanceBucket } from '../../src/nn/attention.js'
import { initialise, Parameters } from '../../src/nn/parameters.js'
import { engine } from '../graph/gradcheck.js'
import { distance, normals, RECALL, STREAM, stir, typed } from './tiny.js'

const CHUNK = 11
const TOKENS = 5
const CONFIG = { chunk: CHUNK, recall: { width: 4, heads: 2, taps: 3, ahead: 2 } }

/** The whole of recall over a signal of `TOKENS` chunks, and its parameters. */
function build(config: { chunk: number; recall: RecallConfig } = CONFIG) {
  const graph = new Graph('float64')
  const p = new Parameters(graph)
  const time = TOKENS * CHUNK
  const x = input(graph, 'x', [1, 1, time])
  const zeros = recallStates(config).map(({ stateShape }) =>
    constant(graph, Array(sizeOf(stateShape)).fill(0), stateShape),
  )
  const { r } = recallRows(p, config, x, zeros)
  const rows = transpose(reshape(r, [TOKENS, CHUNK, r.shape[1]!]), [1, 0, 2])
  const found = transpose(
    recall(p, config, rows, { queries: TOKENS, window: TOKENS - 1 }),
    [1, 0, 2],
  )
  const y = reshape(found, [time, config.recall.heads * config.recall.width])
  const parameters = typed(stir(initialise([...p.declared.values()], 1), 1), 'float64')
  return { x, y, time, parameters }
}

/** The formula at the head of the file, without a matrix. */
function plain(p: Record<string, ArrayLike<number>>, x: ArrayLike<number>, t: number): number[] {
  const { width, heads, taps, ahead } = CONFIG.recall
  const after = afterTaps(CONFIG.recall)
  const at = (i: number) => (i < 0 ? 0 : x[i]!)
  const convolve = (name: string, count: number, end: number) =>
    Array.from({ length: width }, (_, o) => {
      let y = p[`${name}.b`]![o]!
      for (let k = 0; k < count; k++) y += p[`${name}.w`]![o * count + k]! * at(end - count + 1 + k)
      return y
    })
  const norm = (v: number[]) => {
    const mean = v.reduce((a, b) => a + b, 0) / width
    const variance = v.reduce((a, b) => a + (b - mean) ** 2, 0) / width
    return v.map(
      (a, i) =>
        ((a - mean) / Math.sqrt(variance + 1e-5)) * p['recall.norm.scale']![i]! +
        p['recall.norm.offset']![i]!,
    )
  }
  const q = norm(convolve('recall.place', taps, t))
  const seen = Math.min(Math.floor(t / CHUNK) + 1, TOKENS - 1)
  return Array.from({ length: heads }, (_, h) => {
    const m = (i: number, j: number) => p['recall.match']![(i * heads + h) * width + j]!
    const places = Array.from({ length: seen }, (_, i) => {
      const place = t - (i + 1) * CHUNK
      const k = norm(convolve('recall.place', taps, place))
      let score = p['recall.distance']![distanceBucket(i) * heads + h]!
      for (let a = 0; a < width; a++)
        for (let b = 0; b < width; b++) score += q[a]! * m(a, b) * k[b]!
      return { score, value: convolve('recall.after', after, place + ahead) }
    })
    const total = places.reduce((all, { score }) => all + Math.exp(score), 0)
    return Array.from({ length: width }, (_, i) =>
      places.reduce((all, { score, value }) => all + (Math.exp(score) / total) * value[i]!, 0),
    )
  }).flat()
}

describe('recall', () => {
  it('is its formula: what followed places alike, whole chunks back', async () => {
    const { y, time, parameters } = build()
    const program = await (await engine()).compile({ y })
    const x = normals(time, 2)
    const found = (await program.run({ ...parameters, x })).y!
    for (let t = 0; t < time; t++) {
      const expected = plain(parameters, x, t)
      expect(
        distance(found.slice(t * expected.length, (t + 1) * expected.length), expected),
      ).toBeLessThan(1e-10)
    }
    await program.dispose()
  })

  it('sees the newest samples, and stretches that end `ahead` after every place; nothing later', async () => {
    const { x, y, time, parameters } = build()
    const dy = input(y.graph, 'dy', y.shape)
    const program = await (await engine()).compile({ dx: gradients([[y, dy]], [x])[0]! })
    const wide = y.shape[1]!
    const { taps, ahead } = CONFIG.recall
    const after = afterTaps(CONFIG.recall)
    for (const t of [0, 5, 10, 11, 30, 44, 54]) {
      const only = new Float64Array(time * wide)
      only.set(normals(wide, 3, t), t * wide)
      const { dx } = await program.run({ ...parameters, x: normals(time, 4), dy: only })
      const expected = new Set<number>()
      for (let k = 0; k < taps; k++) expected.add(t - k)
      for (let i = 0; i < Math.min(Math.floor(t / CHUNK) + 1, TOKENS - 1); i++) {
        const place = t - (i + 1) * CHUNK
        for (let k = 0; k < taps; k++) expected.add(place - k)
        for (let k = 0; k < after; k++) expected.add(place + ahead - k)
      }
      // a softmax of one token hears nothing of the scores
      const alone = t < CHUNK
      const wanted = [...expected].filter((at) => at >= 0 && !alone).sort((a, b) => a - b)
      const seen = [...dx!.keys()].filter((at) => dx![at] !== 0)
      if (!alone) expect(seen).toEqual(wanted)
      else expect(seen.every((at) => at <= t - CHUNK + ahead)).toBe(true)
    }
    await program.dispose()
  })

  it('reaches a chunk and what tells a place behind its token', () => {
    expect(recallReach(CONFIG)).toBe(CHUNK + 2)
  })
})

describe('a recall that joins a trained model', () => {
  it('changes no other initial value, and starts by saying nothing', () => {
    const without = flagship({ ...RECALL, recall: null }).initialise(3)
    const added = flagship(RECALL).initialise(3)
    for (const [name, array] of Object.entries(without)) expect(added[name], name).toEqual(array)
    expect(added['head.recall.w']!.every((w) => w === 0)).toBe(true)
    const news = Object.keys(added).filter((name) => !Object.hasOwn(without, name))
    for (const name of news) expect(name).toMatch(/^(head\.)?recall\./)
    expect(news.length).toBe(9)
  })

  it('reads what is ahead of a place and behind the newest sample, or is refused', () => {
    const of = (ahead: number) => () =>
      flagship({ ...STREAM, recall: { ...RECALL.recall!, ahead } })
    expect(of(0)).toThrow('recall.ahead makes no sense')
    expect(of(60)).toThrow('recall.ahead')
    expect(of(59)).not.toThrow()
    expect(() => flagship({ ...RECALL, local: null, form: 'paper' })).toThrow('paper form')
  })
})
