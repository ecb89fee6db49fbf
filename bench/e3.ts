/**
 * npm run bench:e3 -- --audio FILE [--checkpoint checkpoints/piano] [--seconds 60]
 *
 * Identity E3 on real audio: -ln p of every sample of a recording by the sampler, sample by sample, beside
 * the dense pass in the engine, in float32 and in int8. Writes docs/results/e3.json and .md.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { decodeAudio, downmix, resample } from 'longwave/audio'
import { Engine } from 'longwave/engine'
import { openGenerator, type Precision } from 'longwave/generate'
import { openCheckpoint } from 'longwave/models'
import { loadModelFolder } from 'longwave/train'
import { machine, table } from './machine.js'

const { values: options } = parseArgs({
  options: {
    audio: { type: 'string', default: 'samples/bach_bwv855_prelude_excerpt.flac' },
    checkpoint: { type: 'string', default: 'checkpoints/piano' },
    seconds: { type: 'string', default: '60' },
  },
})
const OUT = 'docs/results/e3'
const say = (text: string) => process.stderr.write(`${text}\n`)

/** -ln p of a code. */
function natsOf(logits: Float32Array, code: number): number {
  let most = Number.NEGATIVE_INFINITY
  for (const logit of logits) most = Math.max(most, logit)
  let total = 0
  for (const logit of logits) total += Math.exp(logit - most)
  return Math.log(total) + most - logits[code]!
}

const trained = openCheckpoint(loadModelFolder(options.checkpoint))
const { model, weights, audio } = trained
const { channels, sampleRate } = await decodeAudio(readFileSync(options.audio))
const whole = audio.quantizer.encode(resample(downmix(channels), sampleRate, audio.sampleRate))
const codes = whole.subarray(0, Math.round(Number(options.seconds) * audio.sampleRate))
const context = codes.length

const engine = await Engine.open()
const scorer = await model.scorer(engine, weights)
const began = performance.now()
const dense = await scorer.score(codes, context)
await scorer.dispose()
say(`dense pass: ${((performance.now() - began) / 1000).toFixed(0)} s`)

async function streamed(precision: Precision): Promise<Float64Array> {
  const calibration = codes.subarray(-8000)
  const generator = await openGenerator(trained, {
    ...{ context, precision, calibration, engine: null, threads: 2 },
  })
  await generator.prime(new Uint8Array())
  const nats = new Float64Array(codes.length)
  const start = performance.now()
  for (const [t, code] of codes.entries()) {
    nats[t] = natsOf(await generator.logits(), code)
    await generator.push(code)
    if (t % 100_000 === 0) say(`${precision}: ${t}`)
  }
  await generator.dispose()
  say(`${precision}: ${((performance.now() - start) / 1000).toFixed(0)} s`)
  return nats
}

const mean = (nats: ArrayLike<number>) =>
  Array.from(nats).reduce((sum, n) => sum + n, 0) / nats.length / Math.LN2

const rows = []
for (const precision of ['f32', 'int8'] as const) {
  const nats = await streamed(precision)
  const apart = nats.map((n, t) => Math.abs(n - dense[t]!)).sort()
  rows.push({
    precision,
    bitsPerSample: mean(nats),
    costs: mean(nats) - mean(dense),
    largest: apart.at(-1)!,
    middle: apart[apart.length >> 1]!,
    percentile99: apart[Math.floor(0.99 * apart.length)]!,
  })
}
const about = {
  ...(await machine()),
  ...{ checkpoint: options.checkpoint, audio: basename(options.audio) },
  ...{ samples: codes.length, context, dense: mean(dense) },
}
const cells = rows.map((row) => [
  row.precision,
  row.bitsPerSample.toFixed(5),
  row.costs.toFixed(6),
  ...[row.middle, row.percentile99, row.largest].map((nats) => nats.toExponential(1)),
])
const head = ['sampler', 'bits/sample', 'more than the dense pass', 'median', '99%', 'largest']
mkdirSync('docs/results', { recursive: true })
writeFileSync(`${OUT}.json`, `${JSON.stringify({ about, rows }, null, 2)}\n`)
writeFileSync(
  `${OUT}.md`,
  `# Identity E3 on real audio

The sampler, sample by sample, beside the dense pass in the engine (float32, ${mean(dense).toFixed(5)} bits/sample) over
${codes.length.toLocaleString('en')} samples of ${basename(options.audio)}: bits/sample, and the difference of -ln p (nats) at every sample.

${table(head, cells)}

\`npm run bench:e3 -- --audio ${basename(options.audio)}\`

\`\`\`json
${JSON.stringify(about, null, 2)}
\`\`\`
`,
)
say(`${OUT}.md`)
process.exit()
