import { LongwaveError } from '../base/errors.js'
import { type FlagshipConfig, flagshipPresets } from './flagship.js'
import { flagship } from './flagship-model.js'
import type { Model } from './model.js'

/** A checkpoint or a command names a model that does not exist. Exit 2. */
export class UnknownModelError extends LongwaveError {
  override name = 'UnknownModelError'
  override readonly exitCode = 2
}

const FAMILIES: Record<string, (config: never) => Model> = { flagship }

/** The model of a family under a configuration, as checkpoints name them. */
export function openModel(family: string, config: unknown): Model {
  const open = FAMILIES[family]
  if (!open) {
    throw new UnknownModelError({
      fact: `There is no model family ${family}.`,
      expected: Object.keys(FAMILIES).join(', '),
      got: family,
      hint: 'the checkpoint may come from a newer version of Longwave',
    })
  }
  return open(config as never)
}

/** Named configurations with their family. */
export const presets: Readonly<Record<string, { family: string; config: FlagshipConfig }>> =
  Object.fromEntries(
    Object.entries(flagshipPresets).map(([name, config]) => [name, { family: 'flagship', config }]),
  )
