import { LongwaveError, messageOf } from '../base/errors.js'
import {
  type DType,
  lower,
  type OnnxProgram,
  showShape,
  sizeOf,
  type Tensor,
} from '../graph/index.js'
import { type Backend, type OrtModule, type OrtSession, openRuntime, whyNot } from './runtime.js'

export type Values = Float32Array | Float64Array | Int32Array

/** The engine could not be opened, or a program could not be compiled or run. Exit 5. */
export class EngineError extends LongwaveError {
  override name = 'EngineError'
  override readonly exitCode = 5
}

export interface EngineOptions {
  /** Where programs run: `cpu` (default), `webgpu` or `cuda`. */
  backend?: Backend
  /** Threads inside one operation; the engine's own choice (physical cores) by default. */
  threads?: number
  /** Start of the names of files to which every program writes its profile when it is disposed. */
  profile?: string
}

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
} as const satisfies Record<DType, unknown>

/** A compiled program: a pure function from fed to fetched arrays. */
export class Program {
  readonly #ort: OrtModule
  readonly #session: OrtSession
  readonly #program: OnnxProgram
  readonly #isProfiled: boolean

  constructor(ort: OrtModule, session: OrtSession, program: OnnxProgram, isProfiled: boolean) {
    this.#isProfiled = isProfiled
    this.#ort = ort
    this.#session = session
    this.#program = program
  }

  get inputs(): ReadonlyMap<string, Tensor> {
    return this.#program.inputs
  }

  get outputs(): ReadonlyMap<string, Tensor> {
    return this.#program.outputs
  }

  /**
   * Runs the program once.
   *
   * @param feeds an array for every input, of its type and size; others are ignored
   * @param into arrays that outputs are written to; new ones where left out. Give them for large
   *   outputs of repeated runs: fresh memory costs more than filling it
   * @returns the array of every output
   */
  async run(
    feeds: Readonly<Record<string, Values>>,
    into: Readonly<Record<string, Values>> = {},
  ): Promise<Record<string, Values>> {
    const fed: Record<string, unknown> = {}
    for (const [name, tensor] of this.inputs) fed[name] = this.#wrap(name, tensor, feeds[name])
    const fetched: Record<string, unknown> = {}
    const results: Record<string, Values> = {}
    for (const [name, tensor] of this.outputs) {
      const array = into[name] ?? new ARRAYS[tensor.dtype](sizeOf(tensor.shape))
      fetched[name] = this.#wrap(name, tensor, array)
      results[name] = array
    }
    try {
      await this.#session.run(fed, fetched)
    } catch (cause) {
      throw new EngineError(
        { fact: `A program failed while it ran: ${messageOf(cause)}` },
        { cause },
      )
    }
    return results
  }

  #wrap(name: string, tensor: Tensor, values: Values | undefined): unknown {
    const expected = `${tensor.dtype} ${showShape(tensor.shape)}`
    if (!values) {
      throw new EngineError({ fact: `The program's input ${name} was not fed.`, expected })
    }
    if (!(values instanceof ARRAYS[tensor.dtype]) || values.length !== sizeOf(tensor.shape)) {
      throw new EngineError({
        fact: `The array for ${name} does not fit.`,
        expected,
        got: `${values.constructor.name} of ${values.length}`,
      })
    }
    return new this.#ort.Tensor(tensor.dtype, values, tensor.shape)
  }

  /** Frees the program's memory, and writes its profile where one was asked for. */
  async dispose(): Promise<void> {
    if (this.#isProfiled) this.#session.endProfiling()
    await this.#session.release()
  }
}

/** Compiles graphs for one backend. */
export class Engine {
  readonly #ort: OrtModule
  readonly #options: EngineOptions
  #compiled = 0

  private constructor(ort: OrtModule, options: EngineOptions) {
    this.#ort = ort
    this.#options = options
  }

  /**
   * Loads ONNX Runtime and makes sure that the backend works here.
   *
   * @throws EngineError that says what to install where the runtime or the backend is missing
   */
  static async open(options: EngineOptions = {}): Promise<Engine> {
    const ort = await Engine.#load()
    const { backend = 'cpu' } = options
    if (backend !== 'cpu') {
      const reason = await whyNot(backend)
      if (reason !== undefined) throw unavailable(backend, reason)
    }
    return new Engine(ort, options)
  }

  static async #load(): Promise<OrtModule> {
    try {
      return await openRuntime()
    } catch (cause) {
      throw new EngineError(
        {
          fact: `ONNX Runtime could not be loaded: ${messageOf(cause)}`,
          hint: 'npm install onnxruntime-node (with ONNXRUNTIME_NODE_INSTALL=skip where CUDA files cannot be fetched)',
        },
        { cause },
      )
    }
  }

  get backend(): Backend {
    return this.#options.backend ?? 'cpu'
  }

  /** Version of ONNX Runtime. */
  get version(): string {
    return this.#ort.env.versions.node ?? this.#ort.env.versions.common
  }

  /** Backends that this build of ONNX Runtime knows; whether the machine has the hardware is seen when a program is compiled. */
  get backends(): string[] {
    return this.#ort.listSupportedBackends?.().map((entry) => entry.name) ?? ['cpu']
  }

  /**
   * Compiles what `outputs` need.
   *
   * @param feeds tensors at which the graph is cut, fed by name besides its own inputs
   * @param constants values of inputs that never change, built into the program
   */
  async compile(
    outputs: Readonly<Record<string, Tensor>>,
    feeds: Readonly<Record<string, Tensor>> = {},
    constants: Readonly<Record<string, Float32Array>> = {},
  ): Promise<Program> {
    const program = lower(outputs, feeds, constants)
    const { backend, threads, profile } = { threads: 0, ...this.#options, backend: this.backend }
    try {
      const session = await this.#ort.InferenceSession.create(program.bytes, {
        executionProviders: backend === 'cpu' ? ['cpu'] : [backend, 'cpu'],
        intraOpNumThreads: threads,
        graphOptimizationLevel: 'basic',
        // with it a program takes its memory twice, from the second run on (ORT 1.30), and is no faster
        enableMemPattern: false,
        logSeverityLevel: 4,
        ...(profile !== undefined && {
          enableProfiling: true,
          profileFilePrefix: `${profile}-${this.#compiled++}`,
        }),
        // tanh tails and masked attention are full of denormal numbers, each a hundred times slower
        extra: { session: { set_denormal_as_zero: '1' } },
      })
      return new Program(this.#ort, session, program, profile !== undefined)
    } catch (cause) {
      if (backend === 'cpu') {
        throw new EngineError(
          { fact: `ONNX Runtime refused a program: ${messageOf(cause)}` },
          { cause },
        )
      }
      throw unavailable(backend, messageOf(cause), cause)
    }
  }
}

function unavailable(
  backend: Exclude<Backend, 'cpu'>,
  reason: string,
  cause?: unknown,
): EngineError {
  return new EngineError(
    {
      fact: `The ${backend} backend is not to be had on this machine.`,
      expected: 'one of the backends that work here (npx longwave doctor lists them)',
      got: reason,
      hint: HINTS[backend],
    },
    { cause },
  )
}

const HINTS: Record<Exclude<Backend, 'cpu'>, string> = {
  webgpu: 'WebGPU needs a graphics driver with Vulkan, Metal or Direct3D 12; use --backend cpu',
  cuda: 'CUDA needs an NVIDIA driver and ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node; use --backend cpu',
}
