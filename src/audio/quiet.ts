/** Starts of the lines that the decoder packages print on bad input. */
const OURS = ['@wasm-audio-decoders/', 'mpg123-decoder', 'libopus', 'opus-decoder', 'ogg-opus']

let users = 0
let restore: (() => void) | undefined

/**
 * Runs `work` while the lines of the decoder packages are kept from the console: their errors come
 * back as values. All other lines pass.
 */
export async function quietly<T>(work: () => Promise<T> | T): Promise<T> {
  if (users++ === 0) {
    const { error, warn } = console
    const filter =
      (print: typeof console.error): typeof console.error =>
      (...args) => {
        const text = String(args[0])
        if (!OURS.some((start) => text.startsWith(start))) print.apply(console, args)
      }
    console.error = filter(error)
    console.warn = filter(warn)
    restore = () => {
      console.error = error
      console.warn = warn
    }
  }
  try {
    return await work()
  } finally {
    if (--users === 0) restore?.()
  }
}
