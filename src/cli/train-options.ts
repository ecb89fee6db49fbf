import { z } from 'zod'
import { UsageError } from '../base/errors.js'
import type { Schedule } from '../nn/index.js'
import type { TrainStage } from '../train/index.js'
import { count, engineFlags, number, parseFlags } from './flags.js'
import { parseNumber } from './numbers.js'

/** What `longwave train` is asked; each flag is a string on the command line. */

const SCHEDULES = 'constant, cosine[:FLOOR], linear[:FLOOR] or steps:SHARE=FACTOR[,SHARE=FACTOR]'

const schedule = z.string().transform((text, context): Schedule => {
  const found = parseSchedule(text)
  if (found) return found
  context.addIssue(`--schedule takes ${SCHEDULES}, not ${text}`)
  return z.NEVER
})

/** `cosine:0.1` falls to a tenth; `steps:0.9=0.05` takes a twentieth of the rate from 90% on. */
function parseSchedule(text: string): Schedule | undefined {
  const colon = text.indexOf(':')
  const kind = colon < 0 ? text : text.slice(0, colon)
  const rest = colon < 0 ? undefined : text.slice(colon + 1)
  if (kind === 'constant' && rest === undefined) return { kind }
  if (kind === 'cosine' || kind === 'linear') {
    const floor = rest === undefined ? 0.1 : parseNumber(rest)
    return isIn(floor, 0, 1) ? { kind, floor } : undefined
  }
  if (kind !== 'steps' || rest === undefined) return undefined
  const pairs = rest.split(',').map((pair) => pair.split('=').map(parseNumber))
  const steps = pairs.map(([share, factor, ...more]) => ({ share, factor, more: more.length }))
  const isFit = steps.every(
    ({ share, factor, more }, i) =>
      isIn(share, steps[i - 1]?.share ?? 0, 1) && isIn(factor, 0) && more === 0,
  )
  return isFit
    ? { kind, steps: steps.map(({ share, factor }) => ({ share: share!, factor: factor! })) }
    : undefined
}

const curriculum = z.string().transform((text, context): TrainStage[] => {
  const stages = text.split(',').map(parseStage)
  if (stages.every((stage) => stage !== undefined)) return stages
  context.addIssue(
    `--curriculum takes [local@]CONTEXT:TARGETS,..., such as local@16000:20e6,32k:5e6, not ${text}`,
  )
  return z.NEVER
})

function parseStage(text: string): TrainStage | undefined {
  const [, local, left, right] = /^(local@)?([^:]+):([^:]+)$/.exec(text.trim()) ?? []
  const [context, targets] = [parseNumber(left ?? ''), parseNumber(right ?? '')]
  if (!isIn(context, 1) || !isIn(targets, 1)) return undefined
  if (!Number.isInteger(context) || !Number.isInteger(targets)) return undefined
  return { context, part: local ? 'local' : 'all', targets }
}

/** A context, and the share of the targets that is seen at it; even shares where none are given. */
export interface ContextShare {
  context: number
  share: number
}

const contexts = z.string().transform((text, context): number | ContextShare[] => {
  const found = text.split(',').map((part) => {
    const [left, right, ...more] = part.split(':').map(parseNumber)
    const share = part.includes(':') ? right : 1
    if (!isIn(left, 1) || !Number.isInteger(left) || !isIn(share, 0)) return undefined
    return share > 0 && more.length === 0 ? { context: left, share } : undefined
  })
  const only = count('--context').safeParse(text)
  if (only.success) return only.data
  const hasShares = text.split(',').map((part) => part.includes(':'))
  const isAlike = hasShares.every((has) => has === hasShares[0])
  if (isAlike && found.every((entry) => entry !== undefined)) return found
  context.addIssue(
    `--context takes samples, such as 16000, or a curriculum with the share of each, such as 32k:0.5,128k:0.3,1M:0.2, not ${text}`,
  )
  return z.NEVER
})

/** `4GB`, `512M`: bytes. */
const memory = z
  .string()
  .transform((text) => text.replace(/B$/, ''))
  .pipe(number('--memory', 'bytes, such as 4GB or 800MB', { above: 0 }))

/** `encoder=0.1,context=0.5`: prefixes of parameter names and factors of their learning rate. */
const rates = z.string().transform((text, context): Record<string, number> => {
  const pairs = text.split(',').map((pair) => pair.split('='))
  const found = pairs.map(([prefix, factor = '', ...more]) => {
    const n = parseNumber(factor)
    return prefix && more.length === 0 && isIn(n, 0) ? ([prefix, n] as const) : undefined
  })
  if (found.every((entry) => entry !== undefined)) return Object.fromEntries(found)
  context.addIssue(`--rate takes PREFIX=FACTOR,... such as encoder=0.1, not ${text}`)
  return z.NEVER
})

const isIn = (n: number | undefined, from: number, to = Number.POSITIVE_INFINITY): n is number =>
  n !== undefined && n >= from && n <= to

const flags = z.object({
  data: z.string().min(1).optional(),
  out: z.string({ error: '--out RUN is missing: the folder of the run' }).min(1),
  preset: z.string().optional(),
  set: z.array(z.string()).optional(),
  chunk: count('--chunk').optional(),
  layers: count('--layers').optional(),
  heads: count('--heads').optional(),
  headWidth: count('--head-width').optional(),
  window: count('--window').optional(),
  local: count('--local', 0).optional(),
  forecast: count('--forecast', 0).optional(),
  recall: count('--recall', 0).optional(),
  context: contexts.optional(),
  targets: count('--targets').optional(),
  curriculum: curriculum.optional(),
  targetsPerStep: count('--targets-per-step').optional(),
  memory: memory.optional(),
  lr: number('--lr', 'a number above 0, such as 1e-3', { above: 0 }).optional(),
  rate: rates.optional(),
  schedule: schedule.optional(),
  warmup: count('--warmup', 0).optional(),
  weightDecay: number('--weight-decay', 'a number from 0', { from: 0 }).optional(),
  clip: number('--clip', 'a number above 0', { above: 0 }).optional(),
  average: number('--average', 'a share from 0 to 1, such as 0.999', { from: 0, to: 1 }).optional(),
  seed: number('--seed', 'a whole number from 0 to 4294967295', {
    from: 0,
    to: 0xffffffff,
    whole: true,
  }).optional(),
  evalEvery: count('--eval-every').optional(),
  evalTargets: count('--eval-targets').optional(),
  init: z.string().min(1).optional(),
  minutes: number('--minutes', 'a number above 0', { above: 0 }).optional(),
  resume: z.boolean().default(false),
  from: count('--from', 0).optional(),
  saveEvery: number('--save-every', 'minutes, a number from 0', { from: 0 }).default(10),
  ...engineFlags,
})

/** The flags that were given, read. */
export type TrainFlags = z.infer<typeof flags>

/** Flags that may change when a run goes on: the others make another run of it. */
const FREE = new Set<string>([
  ...['data', 'out', 'minutes', 'resume', 'from', 'saveEvery', 'backend', 'threads'],
])

/** @throws UsageError that names every flag that makes no sense */
export function parseTrainFlags(given: unknown): TrainFlags {
  const parsed = parseFlags(flags, given, 'train')
  const { from, resume, curriculum, context, targets } = parsed
  if (from !== undefined && !resume) {
    throw new UsageError({ fact: '--from goes with --resume.', hint: 'Add --resume' })
  }
  if (curriculum && (context !== undefined || targets !== undefined)) {
    throw new UsageError({
      fact: '--curriculum says what --context and --targets say.',
      hint: 'Give either the one or the others',
    })
  }
  return parsed
}

/** What a run remembers of its flags. */
export function lastingFlags(given: TrainFlags): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(given).filter(([key, value]) => !FREE.has(key) && value !== undefined),
  )
}

const text = (value: unknown) => (value === undefined ? '(default)' : JSON.stringify(value))

/**
 * @param isSame whether one of the flags makes no difference to the run after all
 * @throws UsageError that names every flag that is now another than when the run was begun
 */
export function checkLasting(
  given: TrainFlags,
  saved: Readonly<Record<string, unknown>>,
  isSame: (flag: Record<string, unknown>) => boolean,
): void {
  const changed = Object.entries(lastingFlags(given)).filter(
    ([key, value]) => text(value) !== text(saved[key]) && !isSame({ [key]: value }),
  )
  if (changed.length === 0) return
  throw new UsageError({
    fact: `The run was begun with other options: ${changed.map(([key]) => flagOf(key)).join(', ')}.`,
    expected: changed.map(([key]) => `${flagOf(key)} ${text(saved[key])}`).join(', '),
    got: changed.map(([key, value]) => `${flagOf(key)} ${text(value)}`).join(', '),
    hint: 'Leave them out to go on, or begin a new run with --init and another --out.',
  })
}

/** `headWidth` as it is written, `--head-width`. */
export const flagOf = (key: string) => `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`
