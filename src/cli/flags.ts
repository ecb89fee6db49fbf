import type { Command } from 'commander'
import { z } from 'zod'
import { UsageError } from '../base/errors.js'
import { BACKENDS } from '../engine/index.js'
import { parseNumber } from './numbers.js'

/** Flags that several commands share; each is a string on the command line. */

interface Range {
  above?: number
  from?: number
  to?: number
  whole?: boolean
}

/**
 * A number such as 16000, 10e6, 128k.
 * @param missing what is said when the flag is not given
 */
export function number(flag: string, what: string, range: Range, missing?: string) {
  return z.string(missing).transform((text, context) => {
    const value = parseNumber(text)
    if (value !== undefined && isIn(value, range)) return value
    context.addIssue(`${flag} takes ${what}, not ${text}`)
    return z.NEVER
  })
}

function isIn(n: number, { above, from, to, whole }: Range): boolean {
  if (whole && !Number.isSafeInteger(n)) return false
  if (above !== undefined && n <= above) return false
  return n >= (from ?? Number.NEGATIVE_INFINITY) && n <= (to ?? Number.POSITIVE_INFINITY)
}

export const count = (flag: string, from = 1) =>
  number(flag, `a whole number from ${from}, such as 16000 or 128k`, { from, whole: true })

export const seconds = (flag: string, missing?: string) =>
  number(flag, 'seconds, a number above 0', { above: 0 }, missing)

/** Counts between commas; one that is given twice counts once. */
export function counts(flag: string) {
  return z.string().transform((text, context): number[] => {
    const values = text.split(',').map((part) => count(flag).safeParse(part))
    const good = values.flatMap(({ data }) => (data === undefined ? [] : [data]))
    if (good.length === values.length) return [...new Set(good)]
    context.addIssue(
      `${flag} takes whole numbers from 1 between commas, such as 8000,128k, not ${text}`,
    )
    return z.NEVER
  })
}

export const checkpointFlag = z
  .string({ error: '--checkpoint C is missing: the folder of a model or of a run' })
  .min(1, '--checkpoint takes a folder')

export const engineFlags = {
  backend: z.enum(BACKENDS, { error: `--backend takes ${BACKENDS.join(', ')}` }).default('cpu'),
  threads: count('--threads', 0).default(0),
}

/** How samples are drawn, by the verbs that make audio. */
export const samplingFlags = {
  context: count('--context').optional(),
  precision: z.enum(['f32', 'int8'], { error: '--precision takes f32 or int8' }).default('f32'),
  cache: z.enum(['f32', 'f16', 'int8'], { error: '--cache takes f32, f16 or int8' }).optional(),
  temperature: number('--temperature', 'a number from 0', { from: 0 }).default(1),
  topK: number('--top-k', 'a whole number from 1 to 256', {
    from: 1,
    to: 256,
    whole: true,
  }).optional(),
  topP: number('--top-p', 'a share above 0, at most 1', { above: 0, to: 1 }).optional(),
  hold: z.boolean().default(false),
  seed: number('--seed', 'a whole number from 0 to 4294967295', {
    from: 0,
    to: 0xffffffff,
    whole: true,
  }).default(0),
}

/** What the options of `samplingFlags` say in --help. */
export function withSampling(command: Command): Command {
  return command
    .option('--context <samples>', "samples of history (default: the model's own)")
    .option('--precision <numbers>', 'f32, or int8: a quarter of the memory (default: f32)')
    .option(
      '--cache <numbers>',
      'what is remembered, in f32, f16 or int8 (default: as --precision)',
    )
    .option('--temperature <t>', '1 as the model learned it, 0 always the likeliest (default: 1)')
    .option('--top-k <n>', 'draw from the n likeliest codes')
    .option('--top-p <share>', 'draw from the likeliest codes that hold this share')
    .option('--hold', 'let the end of the prompt sound on: its forecast adapts no further')
    .option('--seed <n>', 'the same seed gives the same samples (default: 0)')
}

/** @throws UsageError that names every flag that makes no sense */
export function parseFlags<T extends z.ZodType>(schema: T, given: unknown, command: string) {
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  throw new UsageError({
    fact: parsed.error.issues.map(({ message }) => message).join('; '),
    hint: `See longwave ${command} --help`,
  })
}
