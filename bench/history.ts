/**
 * npm run bench:history -- DATASET [--checkpoint checkpoints/piano] [--blocks 10] [--threads 0]
 *
 * What a sample's whole history is worth: the same targets of test pieces are scored after 500 to 128,000 samples of
 * the piece and nothing before. The contexts of `eval` bound what tokens see; here the forecast and the local
 * path begin there, too, as they do when somebody plays a prompt of that length. Writes docs/results/history.{json,md,svg}.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { openDataset } from 'longwave/data'
import { Engine } from 'longwave/engine'
import { linePlot, meanBits, standardError } from 'longwave/eval'
import { openCheckpoint } from 'longwave/models'
import { loadModelFolder } from 'longwave/train'
import { say } from './command.js'
import { machine, table } from './machine.js'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    checkpoint: { type: 'string', default: 'checkpoints/piano' },
    blocks: { type: 'string', default: '10' },
    threads: { type: 'string', default: '0' },
  },
})
const [data] = positionals
if (data === undefined) {
  say('usage: npm run bench:history -- DATASET')
  process.exit(2)
}
const HISTORIES = [500, 1000, 2000, 4000, 8000, 32_000, 128_000]
const LONGEST = Math.max(...HISTORIES)
/** Samples that are scored together. */
const BLOCK = 1000
const blocks = Number(options.blocks)

const threads = Number(options.threads)
const engine = await Engine.open(threads > 0 ? { threads } : {})
const { model, weights } = openCheckpoint(loadModelFolder(options.checkpoint))
const scorer = await model.scorer(engine, weights)
const pieces = openDataset(data).pieces('test')

/** Mean bits of one block under every history. */
async function score(codes: Uint8Array, at: number): Promise<number[]> {
  const found: number[] = []
  for (const history of HISTORIES) {
    const mine = codes.subarray(at - history, at + BLOCK)
    const nats = await scorer.score(mine, mine.length)
    found.push(meanBits(nats, history, mine.length)!)
  }
  return found
}

const scored: { piece: string; at: number; bits: number[] }[] = []
for (const piece of pieces) {
  const room = piece.samples - LONGEST - BLOCK
  for (let i = 0; i < blocks; i++) {
    const at = LONGEST + Math.floor(((i + 0.5) / blocks) * room)
    const bits = await score(piece.codes(), at)
    scored.push({ piece: piece.name, at, bits })
    say(`${piece.name} at ${at}: ${bits.map((x) => x.toFixed(4)).join(' ')}`)
  }
}
await scorer.dispose()

const rows = HISTORIES.map((history, i) => {
  const each = (of: (bits: number[]) => number) =>
    scored.map(({ bits }) => ({ weight: 1, mean: of(bits) }))
  const mean = scored.reduce((sum, { bits }) => sum + bits[i]!, 0) / scored.length
  const lost = scored.reduce((sum, { bits }) => sum + bits[i]! - bits.at(-1)!, 0) / scored.length
  return { history, bits: mean, lost, error: standardError(each((b) => b[i]! - b.at(-1)!)) }
})
const about = { ...(await machine()), checkpoint: options.checkpoint, rows, scored }
const text = [
  '# What history is worth',
  '',
  `\`npm run bench:history\` on ${about.date}, commit ${about.commit}: ${options.checkpoint}, ${scored.length} blocks of ${BLOCK} samples, spread over ${pieces.length} test pieces;`,
  'each is scored after so many samples of its piece and nothing before, neither for the tokens nor for the forecast and the local path.',
  `± is the standard error of the difference from ${LONGEST} samples, block by block.`,
  '',
  table(
    ['history, samples', 'bits/sample', `more than with ${LONGEST}`],
    rows.map(({ history, bits, lost, error }) => [
      `${history}`,
      bits.toFixed(4),
      history === LONGEST ? '-' : `${lost.toFixed(4)} ± ${error!.toFixed(4)}`,
    ]),
  ),
  '',
].join('\n')
const svg = linePlot({
  title: `bits/sample after so much of the piece, ${scored.length} blocks`,
  x: { label: 'history, samples', log: true },
  y: { label: 'bits/sample' },
  series: [
    {
      name: 'flagship',
      points: rows.map(({ history, bits, error }) => [history, bits, error ?? 0] as const),
    },
  ],
})
mkdirSync('docs/results', { recursive: true })
writeFileSync('docs/results/history.json', `${JSON.stringify(about, null, 2)}\n`)
writeFileSync('docs/results/history.md', text)
writeFileSync('docs/results/history.svg', svg)
process.stdout.write(text)
