/**
 * How samples get from the Worker to the player: through memory that both see, where the page is
 * cross-origin isolated, else block by block in messages. What else they tell each other are messages
 * either way.
 */

export type ToPlayer =
  | { type: 'open'; memory: SharedArrayBuffer | undefined }
  | { type: 'block'; samples: Float32Array }
  | { type: 'play' }
  | { type: 'end' }

/** `read` counts all samples taken so far. */
export type FromPlayer = { type: 'read'; read: number } | { type: 'starved' }

/** Counters before the samples: written and read so far, modulo 2^32. */
const [WRITTEN, READ] = [0, 1]
const HEADER = 8

/** Memory for a ring of `samples`, a power of two. */
export function ringMemory(samples: number): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER + 4 * samples)
}

class Ring {
  readonly #counts: Uint32Array
  readonly #samples: Float32Array

  constructor(memory: SharedArrayBuffer) {
    this.#counts = new Uint32Array(memory, 0, 2)
    this.#samples = new Float32Array(memory, HEADER)
  }

  get capacity(): number {
    return this.#samples.length
  }

  /** Samples that are written and not read. */
  get filled(): number {
    return (Atomics.load(this.#counts, WRITTEN) - Atomics.load(this.#counts, READ)) >>> 0
  }

  write(samples: Float32Array): void {
    const at = Atomics.load(this.#counts, WRITTEN)
    for (let i = 0; i < samples.length; i++) {
      this.#samples[(at + i) & (this.capacity - 1)] = samples[i]!
    }
    Atomics.add(this.#counts, WRITTEN, samples.length)
  }

  /** Fills the beginning of `into`. Returns how many there were. */
  read(into: Float32Array): number {
    const at = Atomics.load(this.#counts, READ)
    const count = Math.min(into.length, this.filled)
    for (let i = 0; i < count; i++) into[i] = this.#samples[(at + i) & (this.capacity - 1)]!
    Atomics.add(this.#counts, READ, count)
    return count
  }
}

/** The Worker's end. */
export class Writer {
  readonly #port: MessagePort
  readonly #ring: Ring | undefined
  #written = 0
  #read = 0

  /** @param onStarved called when the player has run out of samples */
  constructor(port: MessagePort, memory: SharedArrayBuffer | undefined, onStarved: () => void) {
    this.#port = port
    this.#ring = memory && new Ring(memory)
    port.onmessage = ({ data }: MessageEvent<FromPlayer>) => {
      if (data.type === 'read') this.#read = data.read
      else onStarved()
    }
    this.#tell({ type: 'open', memory })
  }

  /** Samples on their way, about. */
  get buffered(): number {
    return this.#ring?.filled ?? this.#written - this.#read
  }

  /** Samples that may be on their way. */
  get capacity(): number {
    return this.#ring?.capacity ?? Number.POSITIVE_INFINITY
  }

  /** The samples are not to be used again. */
  write(samples: Float32Array<ArrayBuffer>): void {
    this.#written += samples.length
    if (this.#ring) this.#ring.write(samples)
    else this.#tell({ type: 'block', samples }, [samples.buffer])
  }

  /** Lets the player begin, or go on after it was starved. */
  play(): void {
    this.#tell({ type: 'play' })
  }

  /** Nothing comes any more. */
  end(): void {
    this.#tell({ type: 'end' })
  }

  #tell(message: ToPlayer, transfer: Transferable[] = []): void {
    this.#port.postMessage(message, transfer)
  }
}

/** The player's end. */
export class Reader {
  isPlaying = false
  hasEnded = false
  read = 0
  readonly #port: MessagePort
  #ring: Ring | undefined
  #blocks: Float32Array[] = []
  #waiting = 0
  #told = 0

  constructor(port: MessagePort) {
    this.#port = port
    port.onmessage = ({ data }: MessageEvent<ToPlayer>) => {
      if (data.type === 'open') this.#ring = data.memory && new Ring(data.memory)
      else if (data.type === 'block') this.#blocks.push(data.samples)
      else if (data.type === 'play') this.isPlaying = true
      else this.hasEnded = true
      if (data.type === 'block') this.#waiting += data.samples.length
    }
  }

  get buffered(): number {
    return this.#ring?.filled ?? this.#waiting
  }

  /** Fills the beginning of `into`. Returns how many there were. */
  take(into: Float32Array): number {
    const count = this.#ring?.read(into) ?? this.#takeBlocks(into)
    this.read += count
    // the Worker need not know it to the sample
    if (!this.#ring && this.read - this.#told > 1000) {
      this.#told = this.read
      this.#tell({ type: 'read', read: this.read })
    }
    return count
  }

  #takeBlocks(into: Float32Array): number {
    let count = 0
    while (count < into.length && this.#blocks.length > 0) {
      const block = this.#blocks[0]!
      const part = block.subarray(0, into.length - count)
      into.set(part, count)
      count += part.length
      if (part.length === block.length) this.#blocks.shift()
      else this.#blocks[0] = block.subarray(part.length)
    }
    this.#waiting -= count
    return count
  }

  /** Stops until the Worker says that there is enough again. */
  starve(): void {
    this.isPlaying = false
    this.#tell({ type: 'starved' })
  }

  #tell(message: FromPlayer): void {
    this.#port.postMessage(message)
  }
}
