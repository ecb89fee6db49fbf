import { expect, it } from 'vitest'
import { hasRelaxedSimd, loadKernels } from '../../src/stream/kernels.js'
import { kernels } from './models.js'

const exportsOf = (module: WebAssembly.Module) =>
  WebAssembly.Module.exports(module).map(({ name }) => name)

it('compiles the kernels once, and a module can be posted elsewhere', async () => {
  const module = await loadKernels()
  expect(await loadKernels()).toBe(module)
  expect(WebAssembly.Module.imports(structuredClone(module))).toEqual([
    { module: 'env', name: 'memory', kind: 'memory' },
  ])
})

it('takes relaxed SIMD from Node 22 on, unless all runtimes have to agree', async () => {
  expect(hasRelaxedSimd()).toBe(Number(process.versions.node.split('.')[0]) >= 22)
  const [fast, exact] = [await loadKernels(), await loadKernels({ exact: true })]
  expect(fast === exact).toBe(!hasRelaxedSimd())
  expect(exportsOf(exact)).toEqual(exportsOf(kernels('kernels.wasm')))
})
