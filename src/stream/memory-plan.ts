/** Writers of the two parts of memory: constants with their contents, the state with its sizes. */
import { PlanError } from './errors.js'
import { aligned, CONSTANTS, MOST_MEMORY } from './format.js'

type Section = Float32Array | Int16Array | Uint32Array

/** Constants one after the other; the same array is written once. */
export class Constants {
  readonly #sections: { at: number; bytes: Uint8Array }[] = []
  readonly #known = new Map<Section, number>()
  #end = 0

  /** Address behind the last. */
  get end(): number {
    return CONSTANTS + this.#end
  }

  /** @returns the address */
  add(section: Section): number {
    const known = this.#known.get(section)
    if (known !== undefined) return known
    const bytes = new Uint8Array(section.buffer, section.byteOffset, section.byteLength)
    const at = this.#end
    this.#sections.push({ at, bytes })
    this.#end = aligned(at + bytes.length)
    this.#known.set(section, CONSTANTS + at)
    return CONSTANTS + at
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.#end)
    for (const { at, bytes } of this.#sections) all.set(bytes, at)
    return all
  }
}

/** Places of the state, counted from its start. */
export class State {
  #end = 0

  get bytes(): number {
    return this.#end
  }

  add(bytes: number): number {
    const at = this.#end
    this.#end = aligned(at + bytes)
    if (this.#end > MOST_MEMORY) {
      throw new PlanError({
        fact: 'The state does not fit into the memory of WebAssembly.',
        expected: 'less than 4 GiB',
        got: `${(this.#end / 2 ** 30).toFixed(1)} GiB so far`,
        hint: 'use a cache of f16 or int8, or a shorter context',
      })
    }
    return at
  }
}

/** Instructions as words. */
export class Words {
  readonly #words: number[] = []

  get length(): number {
    return this.#words.length
  }

  add(...words: number[]): void {
    this.#words.push(...words)
  }

  /** Changes a word that was added. */
  set(i: number, word: number): void {
    this.#words[i] = word
  }

  build(): Uint32Array {
    return Uint32Array.from(this.#words, (word) => word >>> 0)
  }
}

const view = new DataView(new ArrayBuffer(4))

/** The bits of a float32. */
export function floatWord(x: number): number {
  view.setFloat32(0, x)
  return view.getUint32(0)
}
