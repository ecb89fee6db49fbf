/** Seconds between updates: on a terminal, and where lines are not rewritten. */
const PAUSE = { terminal: 0.1, elsewhere: 10 }

/** One line of progress: rewritten on a terminal, elsewhere a line every 10 seconds. */
export interface Progress {
  /** @param text is only made when it is shown */
  update(text: () => string): void
  /** Prints a line that stays. */
  note(text: string): void
  /** Leaves the line. */
  end(): void
}

export function progressLine(to: NodeJS.WriteStream = process.stderr): Progress {
  const pause = (to.isTTY ? PAUSE.terminal : PAUSE.elsewhere) * 1000
  let next = performance.now() + (to.isTTY ? 0 : pause)
  let isOpen = false
  const leave = () => {
    if (isOpen) to.write('\n')
    isOpen = false
  }
  return {
    update(text) {
      const now = performance.now()
      if (now < next) return
      next = now + pause
      if (!to.isTTY) to.write(`${text()}\n`)
      else to.write(`\r\x1b[K${text().slice(0, (to.columns ?? 80) - 1)}`)
      isOpen = to.isTTY
    },
    note(text) {
      leave()
      to.write(`${text}\n`)
    },
    end: leave,
  }
}
