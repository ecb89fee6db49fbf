/**
 * Runs a packed model sample by sample: one call into WebAssembly a sample, nothing allocated. No
 * imports but the format, so that it runs in a Worker and an AudioWorklet too.
 */
import { LongwaveError } from '../base/errors.js'
import { PackedModelError } from './errors.js'
import { aligned, type CachePlace, CONSTANTS, decodePacked, type PackedHeader } from './format.js'
import { toHalf } from './half.js'
import { Team } from './team.js'
import { SIGNAL, SIGNAL_BYTES } from './thread.js'

interface Exports {
  run(program: number, state: number): number
  runVoices(program: number, voices: number, count: number): number
}

const PAGE = 0x10000
/** Words that a step of several voices has for each. */
const WORDS_OF_VOICE = 3

/** The whole memory of a stream at one sample: what `restore` goes back to. */
export type Snapshot = Uint8Array

/**
 * One stream, or several voices that are streams of their own over the same weights. Methods are of
 * the first voice where none is named.
 */
export class StreamRuntime {
  readonly header: PackedHeader
  readonly voices: number
  readonly #memory: WebAssembly.Memory
  readonly #exports: Exports
  readonly #bytes: Int8Array
  readonly #halves: Uint16Array
  readonly #words: Uint32Array
  readonly #floats: Float32Array
  /** Address of the words for a step of several voices. */
  readonly #list: number
  /** The threads beside this one. */
  readonly #team: Team | undefined
  /** Of every voice; their numbers change with every step. */
  readonly #outputs: readonly Float32Array[]

  /**
   * @param kernels from `loadKernels`, for as many threads as the model was packed for
   * @param packed from `pack`; read, not kept
   * @param voices how many streams there are; each takes the memory of a state
   */
  constructor(kernels: WebAssembly.Module, packed: Uint8Array, voices = 1) {
    const { header, constants } = decodePacked(packed)
    this.header = header
    this.voices = voices
    this.#list = header.state + voices * header.stateBytes
    const threads = header.programs.length
    const signal = aligned(this.#list + 4 * WORDS_OF_VOICE * voices)
    const pages = Math.ceil((signal + SIGNAL_BYTES) / PAGE)
    try {
      this.#memory = new WebAssembly.Memory({
        initial: pages,
        ...(threads > 1 && { maximum: pages, shared: true }),
      })
    } catch (error) {
      const gigabytes = ((pages * PAGE) / 2 ** 30).toFixed(2)
      throw new LongwaveError(
        {
          fact: `There is not enough memory for ${voices === 1 ? 'this stream' : `${voices} voices`}.`,
          expected: `${gigabytes} GiB`,
          hint: 'use a shorter context, or a cache of f16 or int8',
        },
        { cause: error },
      )
    }
    const { buffer } = this.#memory
    this.#bytes = new Int8Array(buffer)
    this.#halves = new Uint16Array(buffer)
    this.#words = new Uint32Array(buffer)
    this.#floats = new Float32Array(buffer)
    new Uint8Array(buffer).set(constants, CONSTANTS)
    const { exports } = new WebAssembly.Instance(kernels, { env: { memory: this.#memory } })
    this.#exports = exports as unknown as Exports
    this.#outputs = Array.from({ length: voices }, (_, voice) => this.vector(header.output, voice))
    if (threads === 1) return
    const memory = this.#memory
    const common = { kernels, memory, signal, words: SIGNAL }
    const duties = header.programs.slice(1).map((program) => ({ ...common, program }))
    this.#team = new Team(duties, memory, signal)
  }

  /** When the threads can step: at once where there is one alone, which nobody has to wait for. */
  get ready(): Promise<void> {
    return this.#team?.ready ?? Promise.resolve()
  }

  /** A vector of the plan, in place: inputs are written here before a step. */
  vector(name: string, voice = 0): Float32Array {
    const { at, size } = this.#place(name)
    return new Float32Array(this.#memory.buffer, this.#stateOf(voice) + at, size)
  }

  /** The same of a vector of integers. */
  integers(name: string, voice = 0): Int32Array {
    const { at, size } = this.#place(name)
    return new Int32Array(this.#memory.buffer, this.#stateOf(voice) + at, size)
  }

  /** Address of the state of a voice. */
  #stateOf(voice: number): number {
    if (voice >= 0 && voice < this.voices) return this.header.state + voice * this.header.stateBytes
    throw new LongwaveError({
      fact: `There is no voice ${voice}.`,
      expected: `0 to ${this.voices - 1}`,
    })
  }

  #place(name: string) {
    const place = this.header.vectors[name]
    if (place) return place
    throw new LongwaveError({
      fact: `The model has no vector ${name}.`,
      expected: `one of ${this.header.inputs.join(', ')}, ${this.header.output}`,
    })
  }

  /** The output of the newest step of a voice; its next step reuses it. */
  output(voice = 0): Float32Array {
    return this.#outputs[voice]!
  }

  /** Takes the sample that was written to the inputs. Returns the output; the next step reuses it. */
  step(voice = 0): Float32Array {
    const state = this.#stateOf(voice)
    this.#team?.begin(state)
    const unknown = this.#run(state)
    if (unknown !== 0) throw notKnown(unknown)
    return this.#outputs[voice]!
  }

  #run(state: number): number {
    try {
      return this.#exports.run(this.header.programs[0]!, state)
    } catch (error) {
      if (!this.#team) throw readable(error)
      throw new LongwaveError(
        {
          fact: 'A thread of the sampler does not answer.',
          expected: `${this.header.programs.length} threads that step together`,
          hint: 'open the stream again, with one thread',
        },
        { cause: error },
      )
    }
  }

  /** Ends the other threads; there are no steps afterwards. */
  dispose(): void {
    this.#team?.stop()
  }

  /**
   * Lets several voices each take the sample that was written to its inputs: the same as a step of one
   * after the other, in less time.
   *
   * @param voices each at most once
   */
  stepVoices(voices: ArrayLike<number>): void {
    if (this.#team) {
      for (let i = 0; i < voices.length; i++) this.step(voices[i]!)
      return
    }
    for (let i = 0; i < voices.length; i++) {
      this.#words[this.#list / 4 + i] = this.#stateOf(voices[i]!)
    }
    try {
      const unknown = this.#exports.runVoices(this.header.programs[0]!, this.#list, voices.length)
      if (unknown !== 0) throw notKnown(unknown)
    } catch (thrown) {
      throw readable(thrown)
    }
  }

  /**
   * Writes what a cache remembers of tokens of a phase, as if the stream had come by them.
   *
   * @param first counted from the first token that the phase has come by
   * @param rows [tokens, groups width]; only those that the window holds are kept, the newest
   */
  remember(cache: string, phase: number, first: number, rows: Float32Array, voice = 0): void {
    const place = this.#cache(cache)
    const { at, phases, window, groups, width, padded, rowBytes, phaseBytes } = place
    const tokens = rows.length / (groups * width)
    if (!(phase >= 0 && phase < phases && Number.isInteger(tokens))) {
      throw new LongwaveError({
        fact: `The rows for ${cache} do not fit.`,
        expected: `one of ${phases} phases, rows of ${groups * width}`,
        got: `phase ${phase}, ${rows.length} numbers`,
      })
    }
    const start = this.#stateOf(voice) + at + phase * phaseBytes
    const [bytes, halves, floats] = [this.#bytes, this.#halves, this.#floats]
    for (let part = Math.max(0, tokens - window) * groups; part < tokens * groups; part++) {
      const from = part * width
      const slot = (first + Math.floor(part / groups)) % window
      const to = start + slot * rowBytes
      const group = (part % groups) * padded
      if (place.type === 'f32') {
        floats.set(rows.subarray(from, from + width), to / 4 + group)
        continue
      }
      if (place.type === 'f16') {
        for (let i = 0; i < width; i++) halves[to / 2 + group + i] = toHalf(rows[from + i]!)
        continue
      }
      const factors = place.factors / 4 + group
      for (let i = 0; i < width; i++) {
        // float32 throughout, as the kernel does it
        const scaled = Math.fround(rows[from + i]! * floats[factors + i]!)
        const byte = roundEven(Math.max(-127, Math.min(127, scaled)))
        bytes[to + group + i] = i % 2 === 0 ? byte + 128 : byte // as assembly/words.ts has it
      }
    }
  }

  /** Tells all caches that they have come by `samples` samples. */
  setRemembered(samples: number, voice = 0): void {
    for (const { positions, phases } of Object.values(this.header.caches)) {
      const newest = Math.max(0, samples - 1)
      for (const at of positions) {
        const to = (this.#stateOf(voice) + at) / 4
        this.#words[to] = samples % phases
        this.#words[to + 1] = Math.floor(samples / phases)
        this.#words[to + 2] = newest % phases
        this.#words[to + 3] = Math.floor(newest / phases)
      }
    }
  }

  /** Samples that a cache has come by. */
  remembered(cache: string, voice = 0): number {
    const { positions, phases } = this.#cache(cache)
    const from = (this.#stateOf(voice) + positions[0]!) / 4
    return this.#words[from]! + this.#words[from + 1]! * phases
  }

  #cache(name: string): CachePlace {
    const place = this.header.caches[name]
    if (place) return place
    throw new LongwaveError({
      fact: `The model has no cache ${name}.`,
      expected: `one of ${Object.keys(this.header.caches).join(', ')}`,
    })
  }

  /** Begins as before the first sample. */
  reset(voice = 0): void {
    this.#state(voice).fill(0)
  }

  snapshot(voice = 0): Snapshot {
    return this.#state(voice).slice()
  }

  /** Goes back to a snapshot of this or of another stream of the same packed model. */
  restore(snapshot: Snapshot, voice = 0): void {
    if (snapshot.length !== this.header.stateBytes) {
      throw new LongwaveError({
        fact: 'The snapshot is not of this model.',
        expected: `${this.header.stateBytes} bytes`,
        got: `${snapshot.length}`,
      })
    }
    this.#state(voice).set(snapshot)
  }

  #state(voice: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, this.#stateOf(voice), this.header.stateBytes)
  }
}

function notKnown(opcode: number): PackedModelError {
  return new PackedModelError({
    fact: 'The packed model has an instruction that these kernels do not know.',
    got: `opcode ${opcode}`,
    hint: 'the kernels and the packed model come from different versions',
  })
}

/** WebAssembly stops an instruction that would leave its memory. */
function readable(thrown: unknown): unknown {
  if (!(thrown instanceof WebAssembly.RuntimeError)) return thrown
  return new PackedModelError(
    {
      fact: 'The packed model has an instruction that reaches outside of its memory.',
      got: thrown.message,
      hint: 'pack the checkpoint again',
    },
    { cause: thrown },
  )
}

/** Where float32 has no digits behind the point. */
const COARSE = 1.5 * 2 ** 23

/** Rounds small numbers to the nearest integer, halves to the even one, as WebAssembly does. */
function roundEven(x: number): number {
  return Math.fround(x + COARSE) - COARSE
}
