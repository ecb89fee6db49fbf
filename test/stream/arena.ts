/** A memory with the kernels in it, to call them one by one. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

type Kernel = (...operands: number[]) => number

/** Writes arrays one after the other, as far as kernels may read beyond their ends. */
export class Arena {
  readonly kernels: Record<string, Kernel>
  readonly #memory = new WebAssembly.Memory({ initial: 64 })
  #end = 0x10000

  constructor(file: string) {
    const module = new WebAssembly.Module(readFileSync(join('dist', 'stream', file)))
    const { exports } = new WebAssembly.Instance(module, { env: { memory: this.#memory } })
    this.kernels = exports as unknown as Record<string, Kernel>
  }

  /** Forgets all arrays; what is not written is NaN, so that nobody reads it unpunished. */
  clear(): void {
    new Uint8Array(this.#memory.buffer, 0x10000).fill(0xff)
    this.#end = 0x10000
  }

  /** @returns the address, a multiple of 4 and not of 16: no kernel may need more */
  place(bytes: number): number {
    const at = this.#end + 4
    this.#end = Math.ceil((at + bytes) / 16) * 16
    return at
  }

  write(array: Float32Array | Int8Array | Int16Array): number {
    const at = this.place(array.byteLength)
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
    new Uint8Array(this.#memory.buffer).set(bytes, at)
    return at
  }

  zeros(bytes: number): number {
    const at = this.place(bytes)
    new Uint8Array(this.#memory.buffer, at, bytes).fill(0)
    return at
  }

  get buffer(): ArrayBuffer {
    return this.#memory.buffer
  }

  floats(at: number, length: number): Float32Array {
    return new Float32Array(this.#memory.buffer.slice(at, at + 4 * length))
  }

  shorts(at: number, length: number): Int16Array {
    return new Int16Array(this.#memory.buffer.slice(at, at + 2 * length))
  }

  /** The list at an address as the vector that it stands for. */
  list(at: number, capacity: number, length: number): number[] {
    const view = new DataView(this.#memory.buffer)
    const vector = Array<number>(length).fill(0)
    const count = view.getUint32(at, true)
    for (let i = 0; i < count; i++) {
      const index = view.getUint16(at + 16 + 2 * (capacity + i), true)
      vector[index] = view.getInt16(at + 16 + 2 * i, true)
    }
    return vector
  }
}
