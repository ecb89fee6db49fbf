/** The command line of the comparison. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { FULL, type Recipe, SMOKE } from './recipes.js'
import type { Options } from './results.js'
import { TableError } from './store.js'

export const USAGE = `usage: bash runs/table1.sh FOLDER [RUNS] [--name piano] [--rate 16000] [--targets 10e6] [--minutes 60]
         [--rescale 0] [--targets-per-step 8000] [--trial-targets 0.8e6] [--more-rates 3] [--limit 60] [--seconds 2] [--seed 0]
         [--threads 0] [--models wavenet,sashimi] [--out docs/results/table1]
       bash runs/table1.sh --smoke [RUNS]`

const PLAN = {
  ...{ name: 'piano', rate: '16000', targets: '10e6', minutes: '60', limit: '60', seconds: '2' },
  ...{ 'targets-per-step': '8000', 'trial-targets': '0.8e6', 'more-rates': '3', seed: '0' },
  ...{ rescale: '0', threads: '0' },
}

/** As little as shows that all parts fit. */
const SMOKE_PLAN = {
  ...PLAN,
  ...{ name: 'smoke', targets: '3840', minutes: '0.001', limit: '0.5', seconds: '0.02' },
  ...{ 'targets-per-step': '640', 'trial-targets': '640', 'more-rates': '0' },
}

/** What the script is asked. */
export interface Call {
  /** Undefined in a smoke test. */
  folder: string | undefined
  runs: string
  out: string
  options: Options
  /** Those that are worked on now. */
  recipes: readonly Recipe[]
  all: readonly Recipe[]
}

/** @throws TableError, or an error of parseArgs, for a person */
export function parse(): Call {
  const smoke = process.argv.includes('--smoke')
  const defaults = Object.entries(smoke ? SMOKE_PLAN : PLAN).map(
    ([key, value]) => [key, { type: 'string', default: value }] as const,
  )
  const parsed = parseArgs({
    allowPositionals: true,
    options: {
      ...Object.fromEntries(defaults),
      smoke: { type: 'boolean' },
      models: { type: 'string' },
      out: { type: 'string' },
    },
  })
  const values = parsed.values as Record<string, string | boolean | undefined>
  const { positionals } = parsed
  const [folder, runs] = smoke ? [undefined, ...positionals] : positionals
  if (!smoke && folder === undefined) throw new TableError('No FOLDER was given.')
  if (positionals.length > (smoke ? 1 : 2)) throw new TableError('There are too many folders.')
  const number = (key: keyof typeof PLAN) => {
    const value = Number(values[key])
    if (Number.isFinite(value) && value >= 0) return value
    throw new TableError(`--${key} takes a number, not ${values[key]}.`)
  }
  const name = String(values.name)
  if (!/^[\w-]+$/.test(name)) throw new TableError(`--name takes a word, not ${name}.`)
  const options = {
    name,
    rate: number('rate'),
    rescale: number('rescale'),
    targets: number('targets'),
    minutes: number('minutes'),
    targetsPerStep: number('targets-per-step'),
    trialTargets: number('trial-targets'),
    moreRates: number('more-rates'),
    limit: number('limit'),
    seconds: number('seconds'),
    seed: number('seed'),
    threads: number('threads'),
  }
  const all = smoke ? SMOKE : FULL
  const wanted = typeof values.models === 'string' ? values.models.split(',') : undefined
  const unknown = wanted?.find((name) => !all.some((recipe) => recipe.name === name))
  if (unknown !== undefined) {
    throw new TableError(
      `There is no model ${unknown}: --models takes ${all.map(({ name }) => name).join(',')}.`,
    )
  }
  const where = runs ?? join('runs', smoke ? 'table1-smoke' : `table1-${name}`)
  return {
    folder,
    runs: where,
    out: String(values.out ?? (smoke ? join(where, 'table1') : 'docs/results/table1')),
    options,
    recipes: all.filter(({ name }) => !wanted || wanted.includes(name)),
    all,
  }
}
