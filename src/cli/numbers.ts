const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 }

/** Reads `16000`, `1e-3`, `10e6`, `128k`, `1.5M`; undefined for anything else. */
export function parseNumber(text: string): number | undefined {
  const [, digits, unit] = /^(-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)([kMG]?)$/.exec(text.trim()) ?? []
  if (digits === undefined) return undefined
  const value = Number(digits) * UNITS[unit!]!
  return Number.isFinite(value) ? value : undefined
}

/** 9.61M, 128k, 950. */
export function formatCount(n: number): string {
  for (const [unit, size] of Object.entries(UNITS).reverse()) {
    if (n >= size && size > 1) return `${trim(n / size)}${unit}`
  }
  return trim(n)
}

/** Three digits, without zeros at the end. */
const trim = (n: number) => String(Number(n.toPrecision(3)))

/** 2h05m, 12m30s, 45s. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-'
  const total = Math.max(0, Math.round(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  if (total >= 3600) return `${Math.floor(total / 3600)}h${two(Math.floor((total % 3600) / 60))}m`
  return total >= 60 ? `${Math.floor(total / 60)}m${two(total % 60)}s` : `${total}s`
}
