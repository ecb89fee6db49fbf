import { afterEach, describe, expect, it, vi } from 'vitest'
import { doctorCommand } from '../../src/cli/doctor.js'
import { BACKENDS } from '../../src/engine/index.js'
import { runCommand } from './tiny.js'

const doctor = (...args: string[]) => runCommand(doctorCommand('1.2.3'), ...args)

afterEach(() => {
  vi.doUnmock('onnxruntime-node')
  vi.resetModules()
})

describe('longwave doctor', () => {
  it('reports the engine, its backends and the machine as one JSON object', async () => {
    const run = await doctor('--json')
    expect([run.code, run.stderr]).toEqual([0, ''])
    const report = JSON.parse(run.stdout)
    expect(report).toMatchObject({
      longwave: '1.2.3',
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      engine: { name: 'ONNX Runtime', version: expect.stringMatching(/^\d+\.\d+\.\d+/) },
      wasm: { simd: true, relaxedSimd: expect.any(Boolean) },
      matmul: { size: 1024 },
      ok: true,
      verdict: expect.stringMatching(/^Ready: cpu/),
    })
    expect(report.matmul.gflops).toBeGreaterThan(0)
    expect(report.cpu.threads).toBeGreaterThan(0)
    expect(report.cpu.features).toEqual(expect.any(Array))
    expect(report.memory.totalGB).toBeGreaterThanOrEqual(report.memory.availableGB)
    expect(report.backends.map(({ name }: { name: string }) => name)).toEqual(BACKENDS)
    for (const { works, reason } of report.backends) {
      expect(reason === null).toBe(works)
      expect(String(reason)).not.toContain('\n')
    }
  })

  it('prints the same for a person', async () => {
    const { stdout } = await doctor()
    for (const word of ['longwave', 'node', 'engine', 'cpu', 'simd', 'wasm', 'matmul', 'memory']) {
      expect(stdout).toMatch(new RegExp(`^${word} +\\S`, 'm'))
    }
    expect(stdout).toMatch(/^ {2}cpu +works$/m)
    expect(stdout).toMatch(/^Ready: /m)
  })

  it('without ONNX Runtime says what to install, and ends as the engine does', async () => {
    vi.doMock('onnxruntime-node', () => {
      throw new Error("Cannot find package 'onnxruntime-node'")
    })
    vi.resetModules()
    const { doctorCommand } = await import('../../src/cli/doctor.js')
    const run = await runCommand(doctorCommand('1.2.3'), '--json')
    expect(run.code).toBe(5)
    const report = JSON.parse(run.stdout)
    expect(report).toMatchObject({ engine: null, matmul: null, ok: false })
    expect(report.verdict).toContain('Not ready')
    expect(report.verdict).toContain('npm install onnxruntime-node')
  })
})
