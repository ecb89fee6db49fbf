/**
 * What runtime.ts is in bundles for browsers: there is no engine there yet, and nothing of Node.
 * Streams need none: prompts are then taken in sample by sample.
 */
import type * as runtime from './runtime.js'

export const BACKENDS: typeof runtime.BACKENDS = []

export const openRuntime: typeof runtime.openRuntime = async () => {
  throw new Error('it does not run in browsers here')
}

export const whyNot: typeof runtime.whyNot = async () => 'there is no engine in browsers'
