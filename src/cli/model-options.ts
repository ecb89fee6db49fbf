import type { QuantizerName } from '../audio/index.js'
import { UsageError } from '../base/errors.js'
import { localPath, type Model, openModel, presets, recallPath } from '../models/index.js'
import { parseNumber } from './numbers.js'
import { flagOf } from './train-options.js'

/** Model options of a command; those without a word of it are of the flagship alone. */
export interface ModelFlags {
  /** Of any family. */
  preset?: string | undefined
  chunk?: number | undefined
  layers?: number | undefined
  heads?: number | undefined
  headWidth?: number | undefined
  /** Tokens that a token sees in each layer. */
  window?: number | undefined
  /** Channels of the local path; 0 for none. */
  local?: number | undefined
  /** Curves around the forecast of linear prediction; 0 for no forecast. */
  forecast?: number | undefined
  /** Width of recall; 0 for none. */
  recall?: number | undefined
  /** `key=value` of entries of the configuration, of any family. */
  set?: readonly string[] | undefined
}

type Json = Record<string, unknown>

interface Audio {
  sampleRate: number
  quantizer: QuantizerName
}

/**
 * The model of a preset with options put over its configuration.
 *
 * @param context the longest history that will be asked for, in samples
 * @param audio what the codes of its data stand for
 */
export function modelOf(flags: ModelFlags, context: number, audio: Audio): Model {
  const { preset = DEFAULT_PRESET, set = [], local, forecast, recall } = flags
  const base = presets[preset]
  if (!Object.hasOwn(presets, preset) || !base) {
    throw new UsageError({
      fact: `There is no preset ${preset}.`,
      expected: Object.keys(presets).join(', '),
      got: preset,
    })
  }
  const { sampleRate, quantizer } = audio
  const config: Json = { ...structuredClone(base.config), audio: { sampleRate, quantizer } }
  if (base.family !== 'flagship') refuseFlagship(flags, preset, config)
  for (const key of ENTRIES) {
    if (flags[key] !== undefined) setEntry(config, key, flags[key])
  }
  if (local !== undefined) config.local = local === 0 ? null : localPath(local)
  if (forecast !== undefined) config.forecast = forecast === 0 ? null : { curves: forecast }
  if (recall !== undefined) config.recall = recall === 0 ? null : recallPath(recall)
  if (typeof config.chunk === 'number' && 'tokens' in config) {
    config.tokens = Math.ceil(context / config.chunk)
  }
  for (const text of set) {
    const equals = text.indexOf('=')
    if (equals < 1) {
      throw new UsageError({ fact: '--set takes key=value.', got: text, hint: 'layers=2' })
    }
    setEntry(config, text.slice(0, equals), parseValue(text.slice(equals + 1)))
  }
  return openModel(base.family, config)
}

/** Taken where no preset is named. */
export const DEFAULT_PRESET = 'longwave'

/** Flags that are entries of the flagship's configuration. */
const ENTRIES = ['chunk', 'layers', 'heads', 'headWidth', 'window'] as const

/** @throws UsageError that names the flags that only the flagship has */
function refuseFlagship(flags: ModelFlags, preset: string, config: Json): void {
  const keys = ([...ENTRIES, 'local', 'forecast', 'recall'] as const).filter(
    (k) => flags[k] !== undefined,
  )
  if (keys.length === 0) return
  const own = Object.keys(presets).filter((name) => presets[name]!.family === 'flagship')
  throw new UsageError({
    fact: `The preset ${preset} has no option ${keys.map(flagOf).join(', ')}.`,
    expected: `these with the presets ${own.join(', ')}`,
    got: `--preset ${preset}`,
    hint: `--set key=value changes this one: ${keysOf(config, '').join(', ')}`,
  })
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return parseNumber(text) ?? text
  }
}

/** Replaces an entry that exists (`local.channels`) by a value of its type. */
function setEntry(config: Json, path: string, value: unknown): void {
  const keys = path.split('.')
  let place: unknown = config
  for (const key of keys.slice(0, -1)) {
    if (!isObject(place) || !Object.hasOwn(place, key)) throw unknownKey(path, config)
    place = place[key]
  }
  const last = keys.at(-1)!
  if (!isObject(place) || !Object.hasOwn(place, last)) throw unknownKey(path, config)
  const old = place[last]
  if (old !== null && value !== null && kindOf(old) !== kindOf(value)) {
    throw new UsageError({
      fact: `${path} of the model takes another kind of value.`,
      expected: `${kindOf(old)}, such as ${JSON.stringify(old)}`,
      got: JSON.stringify(value),
    })
  }
  place[last] = value
}

function unknownKey(path: string, config: Json): UsageError {
  return new UsageError({
    fact: `The model has no option ${path}.`,
    expected: keysOf(config, '').join(', '),
    got: path,
  })
}

function keysOf(config: Json, prefix: string): string[] {
  return Object.entries(config).flatMap(([key, value]) =>
    isObject(value) && !Array.isArray(value)
      ? keysOf(value, `${prefix}${key}.`)
      : [`${prefix}${key}`],
  )
}

const kindOf = (value: unknown) => (Array.isArray(value) ? 'a list' : `a ${typeof value}`)

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null
