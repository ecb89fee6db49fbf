/**
 * Compiles the kernels to dist/stream: once for every runtime with SIMD, once with relaxed SIMD; and writes
 * each as a module to src/stream/generated, which loads in Node, browsers and bundles alike.
 * Skipped where the results are newer than the sources, so that builds stay quick.
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import asc from 'assemblyscript/asc'

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(here)
const out = join(root, 'dist', 'stream')
const generated = join(root, 'src', 'stream', 'generated')

const relaxed = ['--enable', 'relaxed-simd']
const threads = ['--enable', 'threads', '--sharedMemory', '--maximumMemory', '65536']
const BUILDS = {
  'kernels.wasm': [],
  'kernels-relaxed.wasm': relaxed,
  'kernels-threads.wasm': threads,
  'kernels-relaxed-threads.wasm': [...relaxed, ...threads],
}

const sources = [
  ...readdirSync(here).map((name) => join(here, name)),
  join(root, 'src', 'stream', 'opcodes.ts'),
  join(root, 'package.json'), // a new compiler
]
const newest = Math.max(...sources.map((path) => statSync(path).mtimeMs))

mkdirSync(out, { recursive: true })
mkdirSync(generated, { recursive: true })
for (const [name, options] of Object.entries(BUILDS)) {
  const path = join(out, name)
  const module = join(generated, name.replace('.wasm', '.ts'))
  const made = [path, module].map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0)
  if (Math.min(...made) > newest) continue
  const { error, stderr } = await asc.main([
    'assembly/index.ts',
    ...['--baseDir', root, '--outFile', `dist/stream/${name}`],
    ...['-O3', '--noAssert', '--runtime', 'stub', '--importMemory', '--memoryBase', '1024'],
    ...['--enable', 'simd', ...options],
  ])
  if (error) {
    process.stderr.write(`The kernels of ${name} do not compile.\n${stderr}\n${error.message}\n`)
    process.exit(1)
  }
  writeFileSync(module, `export const base64: string =\n  '${readFileSync(path, 'base64')}'\n`)
}
