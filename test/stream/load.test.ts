import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { hasRelaxedSimd, kernelFile, loadKernels } from '../../src/stream/kernels.js'

const built = pathToFileURL('dist/stream/')

it('compiles the kernels once, and a module can be posted elsewhere', async () => {
  const module = await loadKernels({}, built)
  expect(await loadKernels({}, built)).toBe(module)
  expect(WebAssembly.Module.imports(structuredClone(module))).toEqual([
    { module: 'env', name: 'memory', kind: 'memory' },
  ])
})

it('takes relaxed SIMD from Node 22 on, unless all runtimes have to agree', () => {
  expect(hasRelaxedSimd()).toBe(Number(process.versions.node.split('.')[0]) >= 22)
  expect(kernelFile()).toBe(hasRelaxedSimd() ? 'kernels-relaxed.wasm' : 'kernels.wasm')
  expect(kernelFile({ exact: true })).toBe('kernels.wasm')
})

it('tries again after a failure', async () => {
  const nowhere = pathToFileURL('dist/nothing/')
  await expect(loadKernels({}, nowhere)).rejects.toThrow(/ENOENT/)
  await expect(loadKernels({}, nowhere)).rejects.toThrow(/ENOENT/)
})
