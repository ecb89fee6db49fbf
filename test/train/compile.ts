import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import ts from 'typescript'

/**
 * Compiles a module of the repository and all that it imports to `to`, so that a process of its own
 * can run it: what is tested is this source, not a build of yesterday.
 *
 * @returns the path of the compiled module
 */
export function compile(entry: string, to: string, others: readonly string[] = []): string {
  mkdirSync(to, { recursive: true })
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  writeFileSync(join(to, 'package.json'), JSON.stringify({ type: 'module', version }))
  symlinkSync(resolve('node_modules'), join(to, 'node_modules'))
  const queue = [entry, ...others]
  for (const path of queue) {
    const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext }
    const source = readFileSync(path, 'utf8')
    const { outputText } = ts.transpileModule(source, { compilerOptions: options })
    const out = join(to, path.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(out), { recursive: true })
    writeFileSync(out, outputText)
    for (const [, target] of outputText.matchAll(/(?:from |import |import\()'(\.[^']+)\.js'/g)) {
      const next = relative('.', resolve(dirname(path), `${target!}.ts`))
      if (!queue.includes(next)) queue.push(next)
    }
  }
  return join(to, entry.replace(/\.ts$/, '.js'))
}
