import type { Engine, Program, Values } from '../engine/index.js'
import { sizeOf, type Tensor } from '../graph/index.js'
import { buildCausal, type CausalNetwork, type CausalStretch } from './causal-network.js'
import type { Arrays } from './model.js'

/** What is computed of a stretch besides what is remembered after it. */
type Wish = 'nothing' | 'nats' | 'logits'

const WISHES: Record<Wish, (stretch: CausalStretch) => Record<string, Tensor>> = {
  nothing: () => ({}),
  nats: ({ nats }) => ({ nats }),
  logits: ({ logits }) => ({ logits }),
}

/** Runs a trained network along a recording, stretch after stretch of any length. */
export class CausalStream {
  readonly #engine: Engine
  readonly #network: CausalNetwork
  readonly #parameters: Arrays
  readonly #programs = new Map<string, Program>()
  #states: Arrays
  /** Where the states after the next stretch are written, by the names of those before. */
  #spare: Arrays

  constructor(engine: Engine, network: CausalNetwork, parameters: Arrays) {
    this.#engine = engine
    this.#network = network
    this.#parameters = parameters
    const zeros = () =>
      Object.fromEntries(
        network.stateShapes.map((shape, i) => [`state.${i}`, new Float32Array(sizeOf(shape))]),
      )
    this.#states = zeros()
    this.#spare = zeros()
  }

  /** Forgets all that came so far. */
  begin(): void {
    for (const state of Object.values(this.#states)) state.fill(0)
  }

  /**
   * Takes the next codes: whole periods.
   * @param wish also what is in `into`: `nats` [codes] of given `targets`, or `logits` [codes, levels]
   * @param isTrial what is remembered stays as it was
   */
  async run(
    wish: Wish,
    codes: Int32Array,
    {
      targets,
      into = {},
      isTrial = false,
    }: { targets?: Int32Array; into?: Arrays; isTrial?: boolean } = {},
  ): Promise<void> {
    const program = await this.#program(wish, codes.length)
    const feeds: Record<string, Values> = { ...this.#states, codes, ...(targets && { targets }) }
    const after = Object.entries(this.#spare).map(
      ([name, array]) => [name.replace('state.', 'next.'), array] as const,
    )
    await program.run(feeds, { ...into, ...Object.fromEntries(after) })
    if (isTrial) return
    ;[this.#states, this.#spare] = [this.#spare, this.#states]
  }

  async #program(wish: Wish, time: number): Promise<Program> {
    const key = `${wish} ${time}`
    const known = this.#programs.get(key)
    if (known) return known
    const stretch = buildCausal(this.#network, time)
    const outputs = { ...WISHES[wish](stretch), ...stretch.next }
    const program = await this.#engine.compile(outputs, {}, this.#parameters)
    this.#programs.set(key, program)
    return program
  }

  async dispose(): Promise<void> {
    for (const program of this.#programs.values()) await program.dispose()
  }
}
