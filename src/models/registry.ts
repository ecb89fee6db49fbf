import { LongwaveError } from '../base/errors.js'
import { flagshipPresets } from './flagship.js'
import { flagship } from './flagship-model.js'
import type { Model } from './model.js'
import { samplernn, samplernnPresets } from './samplernn.js'
import { sashimi, sashimiPresets } from './sashimi.js'
import { wavenet, wavenetPresets } from './wavenet.js'

/** A checkpoint or a command names a model that does not exist. Exit 2. */
export class UnknownModelError extends LongwaveError {
  override name = 'UnknownModelError'
  override readonly exitCode = 2
}

const FAMILIES: Record<string, (config: never) => Model> = {
  flagship,
  wavenet,
  samplernn,
  sashimi,
}

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

/** A named configuration and its family. */
export interface Preset {
  readonly family: string
  /** Plain JSON. */
  readonly config: object
}

const of = (family: string, configs: Readonly<Record<string, object>>) =>
  Object.entries(configs).map(([name, config]) => [name, { family, config }] as const)

/** Named configurations with their family. */
export const presets: Readonly<Record<string, Preset>> = Object.fromEntries([
  ...of('flagship', flagshipPresets),
  ...of('wavenet', wavenetPresets),
  ...of('samplernn', samplernnPresets),
  ...of('sashimi', sashimiPresets),
])
