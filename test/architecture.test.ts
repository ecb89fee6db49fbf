import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'

/** Folders of src/ and their floors: a folder imports from itself and from lower floors only. */
const FLOORS: Readonly<Record<string, number>> = {
  base: 0,
  audio: 1,
  graph: 1,
  formats: 1,
  engine: 2,
  nn: 2,
  data: 2,
  models: 3,
  stream: 3,
  train: 4,
  eval: 4,
  generate: 4,
  cli: 5,
}

interface Import {
  target: string
  line: number
}

/** What a module imports: static, re-exported, for its side effects, or at run time. */
function importsOf(source: string): Import[] {
  const forms = [
    /^\s*(?:import|export)\b[^'"]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\bimport\s*\(\s*['"]([^'"]+)['"]/g,
  ]
  return forms.flatMap((form) =>
    [...source.matchAll(form)].map((match) => {
      const end = match.index + match[0].length
      return { target: match[1]!, line: source.slice(0, end).split('\n').length }
    }),
  )
}

/** What is wrong with the module at `path`, relative to src/. */
function violations(path: string, source: string): string[] {
  const found: string[] = []
  const report = (line: number, what: string) => found.push(`src/${path}:${line} ${what}`)
  const [folder = ''] = path.split('/')
  const floor = FLOORS[folder]
  if (floor === undefined || !path.includes('/')) report(1, 'is in no folder that has a floor')

  for (const { target, line } of importsOf(source)) {
    if (/^onnxruntime-/.test(target) && folder !== 'engine') {
      report(line, `imports ${target}: only src/engine does`)
    }
    if (/^longwave($|\/)/.test(target)) report(line, `imports ${target}: its own package by name`)
    if (!target.startsWith('.')) continue
    if (!target.endsWith('.js')) report(line, `imports ${target} without .js`)
    const [to = ''] = join(dirname(path), target).split('/')
    if (to === folder) continue
    const toFloor = FLOORS[to]
    if (toFloor === undefined) report(line, `imports ${target}, outside every floor`)
    else if (toFloor >= floor!) {
      report(line, `imports ${target}: ${folder} is on floor ${floor}, ${to} on ${toFloor}`)
    }
  }
  for (const [i, text] of source.split('\n').entries()) {
    if (/\bMath\s*\.\s*random\b/.test(text)) report(i + 1, 'calls for numbers without a seed')
    if (/^\s*export\s+default\b|\bas\s+default\b/.test(text)) report(i + 1, 'exports a default')
  }
  return found
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(ts|tsx|js|mjs)$/.test(path))
    .map((path) => path.replaceAll('\\', '/'))
    .sort()
}

const files = filesIn('src').map((path) => [path, readFileSync(join('src', path), 'utf8')] as const)

describe('the house', () => {
  it('holds every rule in every file', () => {
    expect(files.flatMap(([path, source]) => violations(path, source))).toEqual([])
  })

  it('was looked at: files, imports and every folder that imports another were found', () => {
    expect(files.length).toBeGreaterThan(50)
    const imports = files.flatMap(([path, source]) =>
      importsOf(source).map(({ target }) => `${path} -> ${target}`),
    )
    expect(imports.length).toBeGreaterThan(200)
    expect(imports).toContain('models/registry.ts -> ../base/errors.js')
    expect(imports).toContain('engine/runtime.ts -> onnxruntime-node')
    expect(imports).toContain('graph/index.ts -> ./ops/conv.js') // over several lines
  })
})

describe('the rules', () => {
  const breaks = (path: string, source: string) => violations(path, source)

  it('allow the folder itself, lower floors and packages', () => {
    const source = [
      "import { a } from './a.js'",
      "import type { Graph } from '../graph/index.js'",
      "export { b } from '../base/errors.js'",
      "import fs from 'node:fs'",
      "import { zod } from 'zod'",
      'export const notDefault = 1',
    ].join('\n')
    expect(breaks('engine/engine.ts', source)).toEqual([])
    expect(breaks('graph/ops/conv.ts', "import { misfit } from '../op.js'")).toEqual([])
    expect(breaks('graph/ops/conv.ts', "import { x } from '../../base/errors.js'")).toEqual([])
    expect(breaks('engine/runtime.ts', "await import('onnxruntime-node')")).toEqual([])
  })

  it.each([
    ['a higher floor', 'nn/a.ts', "import { x } from '../models/index.js'"],
    ['another folder of the same floor', 'audio/a.ts', "import { x } from '../graph/index.js'"],
    ['a type of a higher floor', 'base/a.ts', "import type { x } from '../graph/index.js'"],
    ['a re-export from above', 'graph/a.ts', "export * from '../engine/index.js'"],
    ['several lines', 'graph/a.ts', "import {\n  x,\n  y,\n} from '../engine/index.js'"],
    ['an import at run time', 'graph/a.ts', "const x = await import('../cli/main.js')"],
    ['a side effect', 'graph/a.ts', "import '../cli/main.js'"],
    ['a nested folder', 'graph/ops/a.ts', "import { x } from '../../nn/index.js'"],
    ['a folder without a floor', 'base/a.ts', "import { x } from '../utils/x.js'"],
    ['what is outside src', 'base/a.ts', "import { x } from '../../test/x.js'"],
    ['a file in no folder', 'index.ts', 'export const x = 1'],
    ['ONNX Runtime elsewhere', 'train/a.ts', "import * as ort from 'onnxruntime-web/webgpu'"],
    ['the package by its name', 'base/a.ts', "import { x } from 'longwave/train'"],
    ['no extension', 'base/a.ts', "import { x } from './x'"],
    ['unseeded numbers', 'base/a.ts', 'const x = Math.random()'],
    ['a default export', 'base/a.ts', 'export default function f() {}'],
    ['a default export by another name', 'base/a.ts', 'export { f as default }'],
  ])('reject %s', (_, path, source) => {
    expect(breaks(path, source)).toHaveLength(1)
  })

  it('name the file and the line', () => {
    const source = "import { a } from './a.js'\nimport {\n  b,\n} from '../models/index.js'"
    expect(breaks('nn/b.ts', source)).toEqual([
      'src/nn/b.ts:4 imports ../models/index.js: nn is on floor 2, models on 3',
    ])
  })
})
