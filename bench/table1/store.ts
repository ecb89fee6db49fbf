/** What is done already, in a folder, so that a killed script goes on where it was. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Something a person can mend; its message is all that is shown. */
export class TableError extends Error {}

const PLAN = 'plan.json'
const RUNNING = 'running.pid'

export class Store {
  readonly #folder: string

  /**
   * @param plan all options that results depend on
   * @throws TableError when the folder holds results of another plan, or another process works in it
   */
  constructor(folder: string, plan: object) {
    this.#folder = folder
    mkdirSync(join(folder, 'done'), { recursive: true })
    const path = join(folder, PLAN)
    const text = `${JSON.stringify(plan, null, 2)}\n`
    if (existsSync(path) && readFileSync(path, 'utf8') !== text) {
      throw new TableError(
        `${folder} holds a table with other options: see ${path}. Give the same, or another folder.`,
      )
    }
    this.#refuseCompany()
    this.#write(path, text)
  }

  /** What `work` found, now or before; kept when it is whole. */
  async once<Found>(name: string, work: () => Promise<Found>): Promise<Found> {
    const known = this.find<Found>(name)
    if (known !== undefined) return known
    const found = await work()
    this.#write(this.#pathOf(name), `${JSON.stringify(found, null, 2)}\n`)
    return found
  }

  /** What was found before. */
  find<Found>(name: string): Found | undefined {
    const path = this.#pathOf(name)
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Found) : undefined
  }

  #pathOf(name: string): string {
    return join(this.#folder, 'done', `${name}.json`)
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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
