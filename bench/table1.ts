/**
 * The comparison that runs/table1.sh is about: node out/bench/table1.js FOLDER [RUNS] [options].
 *
 * Every part is done once: what is in RUNS/done is not done again, and a training that was stopped goes on.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { longwave, say } from './command.js'
import { machine } from './machine.js'
import { type Call, parse, USAGE } from './table1/call.js'
import { cutSample, findSources, type Sources } from './table1/data.js'
import type { Recipe } from './table1/recipes.js'
import { curves, renderTable } from './table1/render.js'
import type { Budget, ModelResult, Options, Row, SetResult, Trial } from './table1/results.js'
import { evaluate, type Scored } from './table1/scores.js'
import { generationSpeed, type Speed, type StepCost, stepCost } from './table1/speed.js'
import { Store, TableError } from './table1/store.js'
import { lastWeights, type Trained, train } from './table1/training.js'

const BUDGETS: readonly Budget[] = ['equalTargets', 'equalTime']
const SPLITS = ['test', 'valid'] as const
const PROMPT = 'samples/bach_bwv855_prelude_excerpt.flac'

/** What all parts share. */
interface Work extends Call {
  store: Store
  sources: Sources
  machine: Awaited<ReturnType<typeof machine>>
}

const dataOf = ({ runs }: Call, name: string) => join(runs, 'data', name)

/** The name of the data set of all sets together. */
const ALL = 'all'

type Prepared = Record<string, number>

/** Makes the datasets: one of everything, and one of each set. */
async function prepare(work: Work): Promise<void> {
  const { store, sources, options } = work
  for (const [name, folder] of [[ALL, sources.all], ...Object.entries(sources.sets)] as const) {
    await store.once<Prepared>(`data-${name}`, async () => {
      const args = ['prepare', folder, '--out', dataOf(work, name), '--rate', `${options.rate}`]
      say(`$ longwave ${args.join(' ')} --json`)
      const { status, stdout } = await longwave([...args, '--json'], { quiet: true })
      if (status !== 0) throw new TableError(`The recordings in ${folder} could not be prepared.`)
      const { splits } = JSON.parse(stdout) as { splits: Record<string, { seconds: number }> }
      return Object.fromEntries(Object.entries(splits).map(([s, { seconds }]) => [s, seconds]))
    })
  }
}

/** Flags of a training of so many targets. */
function flagsOf(recipe: Recipe, options: Options, targets: number, rate: number): string[] {
  return [
    ...recipe.model,
    ...recipe.course(targets, options.targetsPerStep),
    ...['--targets-per-step', `${options.targetsPerStep}`, '--lr', `${rate}`],
    ...(recipe.more ?? []),
    ...['--warmup', `${Math.round(targets / 20)}`, '--schedule', 'cosine:0.05'],
    ...['--eval-every', `${Math.ceil(targets / 10)}`],
    ...['--eval-targets', `${Math.min(240e3, Math.max(640, Math.round(targets / 10)))}`],
    ...['--seed', `${options.seed}`],
  ]
}

async function tried(work: Work, recipe: Recipe, rate: number): Promise<Trial> {
  const { store, runs, options } = work
  return store.once<Trial>(`rate-${recipe.name}-${rate}`, async () => {
    const out = join(runs, 'rates', `${recipe.name}-${rate}`)
    const found = await train({
      ...{ out, data: dataOf(work, ALL) },
      flags: flagsOf(recipe, options, options.trialTargets, rate),
      onStart: (pid) => store.working(pid),
    })
    rmSync(out, { recursive: true, force: true }) // many times the size of the models that are kept
    return { rate, heldOutBits: found?.heldOutBits ?? null }
  })
}

/** Tries a model's learning rates, and further ones while the lowest or the highest is the best. */
async function triedRates(work: Work, recipe: Recipe): Promise<Trial[]> {
  return work.store.once<Trial[]>(`rates-${recipe.name}`, async () => {
    const trials: Trial[] = []
    for (const rate of recipe.rates) trials.push(await tried(work, recipe, rate))
    for (let more = 0; more < work.options.moreRates; more++) {
      trials.sort((a, b) => a.rate - b.rate)
      const best = bestOf(trials)
      if (best === trials.at(-1)!.rate) trials.push(await tried(work, recipe, 2 * best))
      else if (best === trials[0]!.rate) trials.push(await tried(work, recipe, best / 2))
    }
    return trials.sort((a, b) => a.rate - b.rate)
  })
}

function bestOf(trials: readonly Trial[]): number | undefined {
  const bits = ({ heldOutBits }: Trial) => heldOutBits ?? Number.POSITIVE_INFINITY
  const [best] = [...trials].sort((a, b) => bits(a) - bits(b))
  return best && bits(best) < Number.POSITIVE_INFINITY ? best.rate : undefined
}

const runName = (budget: Budget, { name }: Recipe) =>
  `${budget === 'equalTargets' ? 'targets' : 'time'}-${name}`

const scoreName = (budget: Budget, recipe: Recipe, set: string, split: string) =>
  `score-${runName(budget, recipe)}-${set}-${split}`

interface Run {
  trained: Trained
  commit: string
}

/** Trains a model under a budget and scores it. */
async function compared(work: Work, recipe: Recipe, budget: Budget, rate: number): Promise<void> {
  const { store, runs, options, sources } = work
  const out = join(runs, runName(budget, recipe))
  await store.once<Run>(runName(budget, recipe), async () => {
    const isTimed = budget === 'equalTime'
    const trained = await train({
      ...{ out, data: dataOf(work, ALL) },
      flags: flagsOf(recipe, options, isTimed ? inTime(work, recipe) : options.targets, rate),
      ...(isTimed && { minutes: options.minutes }),
      onStart: (pid) => store.working(pid),
    })
    if (!trained) throw new TableError(`The training in ${out} diverged at the rate ${rate}.`)
    return { trained, commit: work.machine.commit }
  })
  for (const set of Object.keys(sources.sets)) {
    for (const split of SPLITS) {
      await store.once<Scored>(scoreName(budget, recipe, set, split), () =>
        evaluate(lastWeights(out), dataOf(work, set), split, {
          limit: options.limit,
          // the same whatever the model
          reference: recipe === work.all[0] && budget === 'equalTargets',
        }),
      )
    }
  }
}

/** Targets that a model sees in the time given, by its speed under the other budget; a little fewer. */
function inTime({ store, options }: Work, recipe: Recipe): number {
  const { targetsPerSecond } = store.find<Run>(runName('equalTargets', recipe))!.trained
  const targets = Math.round(0.97 * targetsPerSecond * 60 * options.minutes)
  return Math.max(options.targetsPerStep, targets)
}

async function measured(work: Work, recipe: Recipe): Promise<void> {
  const { store, runs, options } = work
  const weights = () => lastWeights(join(runs, runName('equalTargets', recipe)))
  for (const precision of ['int8', 'f32'] as const) {
    const how = { prompt: PROMPT, seconds: options.seconds, work: runs }
    await store.once<Speed>(`speed-${recipe.name}-${precision}`, () =>
      generationSpeed(weights(), precision, how),
    )
  }
  await store.once<StepCost | null>(`cost-${recipe.name}`, () => stepCost(weights()))
}

/** All that is known by now. */
function collected({ store, all, options, sources, machine }: Work): SetResult {
  const sets = Object.keys(sources.sets)
  const scoresOf = (budget: Budget, recipe: Recipe) =>
    sets.flatMap((set) =>
      SPLITS.flatMap((split) => {
        const scored = store.find<Scored>(scoreName(budget, recipe, set, split))
        return scored ? [{ set, split, ...scored }] : []
      }),
    )
  /** Values by set and split. */
  const bySet = <T>(found: readonly { set: string; split: string; value: T }[]) => {
    const tree: Record<string, Record<string, T>> = {}
    for (const { set, split, value } of found) tree[set] = { ...tree[set], [split]: value }
    return tree
  }
  const rowOf = (budget: Budget, recipe: Recipe): Row | undefined => {
    const run = store.find<Run>(runName(budget, recipe))
    const scores = scoresOf(budget, recipe)
    return run && { ...run, scores: bySet(scores.map((s) => ({ ...s, value: s.score }))) }
  }
  const models = all.flatMap((recipe): ModelResult[] => {
    const trials = store.find<Trial[]>(`rates-${recipe.name}`) ?? []
    const rate = bestOf(trials)
    if (rate === undefined) return []
    const [equalTargets, equalTime] = BUDGETS.map((budget) => rowOf(budget, recipe))
    const speed = (precision: string) => store.find<Speed>(`speed-${recipe.name}-${precision}`)
    return [
      {
        ...{ name: recipe.name, label: recipe.label, trials, rate, equalTargets, equalTime },
        speed: { int8: speed('int8'), f32: speed('f32') },
        cost: store.find<StepCost | null>(`cost-${recipe.name}`),
      },
    ]
  })
  const references = scoresOf('equalTargets', all[0]!).flatMap(({ reference, ...at }) =>
    reference ? [{ ...at, value: reference }] : [],
  )
  return {
    name: options.name,
    ...{ machine, options, models },
    seconds: Object.fromEntries(sets.map((set) => [set, store.find<Prepared>(`data-${set}`)!])),
    reference: bySet(references),
  }
}

/** Writes the tables of all data sets: this one anew, others as they are. */
function publish(work: Work): void {
  const { out, all } = work
  const file = `${out}.json`
  const before = existsSync(file)
    ? (JSON.parse(readFileSync(file, 'utf8')) as { sets: SetResult[] }).sets
    : []
  const own = collected(work)
  const sets = before.some(({ name }) => name === own.name)
    ? before.map((set) => (set.name === own.name ? own : set))
    : [...before, own]
  mkdirSync(dirname(out), { recursive: true })
  const pictures: string[] = []
  for (const [i, set] of sets.entries()) {
    for (const budget of BUDGETS) {
      const svg = curves(set, budget)
      if (svg === undefined) continue
      const which = [i === 0 ? '' : `-${set.name}`, budget === 'equalTime' ? '-time' : ''].join('')
      write(`${out}${which}.svg`, svg)
      pictures.push(basename(`${out}${which}.svg`))
    }
  }
  write(file, `${JSON.stringify({ sets }, null, 1)}\n`)
  write(`${out}.md`, renderTable(sets, pictures))
  const done = own.models.filter(({ equalTime }) => equalTime).length
  say(`${out}.md: ${done} of ${all.length} models done`)
}

function write(path: string, text: string): void {
  writeFileSync(`${path}.tmp`, text)
  renameSync(`${path}.tmp`, path)
}

async function main(): Promise<void> {
  const call = parse()
  const { runs, options, recipes } = call
  const store = new Store(runs, { options, models: call.all.map(({ model }) => model) })
  store.working(process.pid)
  const audio = call.folder ?? join(runs, 'audio')
  if (call.folder === undefined)
    await store.once('audio', async () => cutSample(audio).then(() => audio))
  const work = {
    ...call,
    store,
    sources: findSources(audio, options.name, runs),
    machine: await machine(),
  }
  await prepare(work)
  for (const budget of BUDGETS) {
    for (const recipe of recipes) {
      const rate = bestOf(await triedRates(work, recipe))
      if (rate === undefined) throw new TableError(`${recipe.label} diverged at every rate.`)
      await compared(work, recipe, budget, rate)
      if (budget === 'equalTargets') await measured(work, recipe)
      publish(work)
    }
  }
  store.idle()
}

try {
  await main()
} catch (error) {
  const isUsage = error instanceof TypeError && 'code' in error // from parseArgs
  if (!(error instanceof TableError) && !isUsage) throw error
  say(`${error.message}\n\n${USAGE}`)
  process.exitCode = 2
}
