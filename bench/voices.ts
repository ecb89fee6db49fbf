/** Several voices over the same weights, beside the same voices one after the other. */
import { flagshipPresets, openModel } from 'longwave/models'
import { flagshipPlan } from 'longwave/models/flagship-plan'
import { Calibration, loadKernels, pack, type StepPlan, StreamRuntime } from 'longwave/stream'
import { table } from './machine.js'

const VOICES = [1, 2, 4, 8]
const MOST = Math.max(...VOICES)
const CONTEXT = 128_000
/** Samples of every voice in one measurement. */
const SLICE = 20

export interface VoicesRow {
  node: string
  precision: 'f32' | 'int8'
  voices: number
  /** Samples of all voices a second: together, and one voice after the other; best slices. */
  together: number
  oneByOne: number
}

interface Way {
  voices: number
  isTogether: boolean
  go: () => void
  best: number
}

/** All ways by turns, so that what else the machine does meets all alike. */
function measure(runtime: StreamRuntime, seconds: number): Way[] {
  const inputs = Array.from({ length: MOST }, (_, voice) => runtime.vector('x', voice))
  let t = 0
  const feed = (voices: number) => {
    for (let v = 0; v < voices; v++) inputs[v]![0] = 0.5 * Math.sin(0.05 * t + v)
    t++
  }
  const ways = VOICES.flatMap((voices): Way[] => {
    const some = Array.from({ length: voices }, (_, v) => v)
    const together = () => {
      feed(voices)
      runtime.stepVoices(some)
    }
    const oneByOne = () => {
      feed(voices)
      for (const voice of some) runtime.step(voice)
    }
    const best = Number.POSITIVE_INFINITY
    return [
      { voices, isTogether: true, go: together, best },
      { voices, isTogether: false, go: oneByOne, best },
    ]
  })
  const end = performance.now() + 1000 * seconds
  for (let round = 0; round < 5 || performance.now() < end; round++) {
    for (const way of ways) {
      const start = performance.now()
      for (let i = 0; i < SLICE; i++) way.go()
      way.best = Math.min(way.best, (performance.now() - start) / SLICE)
    }
  }
  return ways
}

/** Ranges of a model that is fed two tones. */
function rangesOf(plan: StepPlan, kernels: WebAssembly.Module) {
  const runtime = new StreamRuntime(kernels, pack(plan, { precision: 'f32' }))
  const calibration = new Calibration(plan, runtime)
  const [x] = [runtime.vector('x')]
  for (let t = 0; t < 3000; t++) {
    x[0] = 0.4 * Math.sin(0.05 * t) + 0.2 * Math.sin(0.313 * t)
    runtime.step()
    if (t % 10 === 0) calibration.observe()
  }
  return calibration.ranges
}

/** The preset `stream` with random weights at full windows, on one thread. */
export async function measureVoices(seconds: number): Promise<VoicesRow[]> {
  const config = flagshipPresets.stream
  const parameters = openModel('flagship', config).initialise(1)
  const ranges = rangesOf(flagshipPlan(config, parameters, 2000), await loadKernels())
  const plan = flagshipPlan(config, parameters, CONTEXT)
  const rows: VoicesRow[] = []
  for (const precision of ['int8', 'f32'] as const) {
    const kernels = await loadKernels({ exact: precision === 'int8' })
    const runtime = new StreamRuntime(kernels, pack(plan, { precision, ranges }), MOST)
    for (let voice = 0; voice < MOST; voice++) runtime.setRemembered(CONTEXT, voice)
    const ways = measure(runtime, seconds * VOICES.length)
    for (const voices of VOICES) {
      const rate = (isTogether: boolean) => {
        const { best } = ways.find((way) => way.voices === voices && way.isTogether === isTogether)!
        return (1000 * voices) / best
      }
      const rates = { together: rate(true), oneByOne: rate(false) }
      rows.push({ node: process.version, precision, voices, ...rates })
      process.stderr.write(
        `${voices} voices, ${precision}: ${Math.round(rates.together)} samples/s, ` +
          `one by one ${Math.round(rates.oneByOne)}\n`,
      )
    }
  }
  return rows
}

export function renderVoices(rows: readonly VoicesRow[]): string {
  const count = (n: number) => Math.round(n).toLocaleString('en')
  const head = ['Node', 'numbers', 'voices', 'samples/s of all', 'one by one', 'gain']
  const cells = rows.map(({ node, precision, voices, together, oneByOne }) => [
    ...[node, precision, `${voices}`, count(together), count(oneByOne)],
    `${(together / oneByOne).toFixed(2)}x`,
  ])
  return `## Voices

Several streams over the same weights (\`openVoices\`, \`generate --voices\`): every instruction runs for all of them before the
next, and a product in float32 loads its weights once for four voices or two. Beside it the same voices one after the other.
Preset \`stream\`, context ${CONTEXT.toLocaleString('en')}, caches not filled, best slices of ${SLICE} samples, all by turns in one run.

${table(head, cells)}
`
}
