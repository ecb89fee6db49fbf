/** What is done already, in a folder, so that a killed script goes on where it was. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Part } from './parts.js'

/** Something a person can mend; its message is all that is shown. */
export class TableError extends Error {}

/** A part was done, or begun, with something else. */
export class OtherPlanError extends TableError {}

const RUNNING = 'running.pid'

export class Store {
  readonly #folder: string

  /** @throws TableError when another process works in the folder */
  constructor(folder: string) {
    this.#folder = folder
    for (const name of ['done', 'plans']) mkdirSync(join(folder, name), { recursive: true })
    this.#refuseCompany()
  }

  /**
   * What `work` found, now or before; kept when it is whole.
   *
   * @throws OtherPlanError when it was begun with other things that it depends on
   */
  async once<Found>(part: Part, work: () => Promise<Found>): Promise<Found> {
    const { plan, done } = this.#pathsOf(part)
    if ((existsSync(done) || existsSync(plan)) && !this.#isSame(part)) {
      throw new OtherPlanError(
        `What ${this.#folder} holds of ${part.name} was made with other options or flags: see ${plan}. ` +
          'Give the same, or another folder, or remove it, with its file in done/ and its run.',
      )
    }
    const known = this.find<Found>(part)
    if (known !== undefined) return known
    this.#write(plan, json(part.of))
    const found = await work()
    this.#write(done, json(found))
    return found
  }

  /** What was found before, with the same things that it depends on. */
  find<Found>(part: Part): Found | undefined {
    const { done } = this.#pathsOf(part)
    if (!existsSync(done) || !this.#isSame(part)) return undefined
    return JSON.parse(readFileSync(done, 'utf8')) as Found
  }

  #isSame(part: Part): boolean {
    const { plan } = this.#pathsOf(part)
    return existsSync(plan) && readFileSync(plan, 'utf8') === json(part.of)
  }

  #pathsOf({ name }: Part) {
    const path = (folder: string) => join(this.#folder, folder, `${name}.json`)
    return { plan: path('plans'), done: path('done') }
  }

  /** Remembers the process that works in this folder now. */
  working(pid: number): void {
    this.#write(join(this.#folder, RUNNING), `${pid}\n`)
  }

  /** Nobody works in this folder any more. */
  idle(): void {
    rmSync(join(this.#folder, RUNNING), { force: true })
  }

  /** A script may be killed and leave a training behind, which must not be met in its folder. */
  #refuseCompany(): void {
    const path = join(this.#folder, RUNNING)
    if (!existsSync(path)) return
    const pid = Number(readFileSync(path, 'utf8'))
    if (pid > 0 && isAlive(pid)) {
      throw new TableError(
        `Process ${pid} still works in ${this.#folder}. Wait for it, or end it; if it is something else, remove ${path}.`,
      )
    }
    rmSync(path, { force: true })
  }

  #write(path: string, text: string): void {
    writeFileSync(`${path}.tmp`, text)
    renameSync(`${path}.tmp`, path)
  }
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
