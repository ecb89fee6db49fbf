import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fetchCheckpoint, openStream } from '../../src/generate/index.js'
import { openCheckpoint } from '../../src/models/index.js'
import { loadModelFolder } from '../../src/train/index.js'
import { tinyCheckpoint } from '../cli/tiny.js'

let root: string
let server: Server
let home: string

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'longwave-fetch-'))
  tinyCheckpoint(join(root, 'tiny'))
  server = createServer((request, response) => {
    try {
      response.end(readFileSync(join(root, request.url!)))
    } catch {
      response.writeHead(404).end('no such file')
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  home = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(() => {
  server.close()
  rmSync(root, { recursive: true, force: true })
})

/** A copy of the checkpoint with one file changed. */
function changed(name: string, file: string, content: string | Uint8Array): string {
  cpSync(join(root, 'tiny'), join(root, name), { recursive: true })
  writeFileSync(join(root, name, file), content)
  return `${home}/${name}`
}

describe('a checkpoint from an address', () => {
  it('is the one of the folder, with or without a slash at the end', async () => {
    const seen: [number, number | undefined][] = []
    const fetched = await fetchCheckpoint(`${home}/tiny`, {
      onProgress: (bytes, total) => seen.push([bytes, total]),
    })
    const read = openCheckpoint(loadModelFolder(join(root, 'tiny')))
    expect(fetched.weights).toEqual(read.weights)
    expect(fetched.model.config).toEqual(read.model.config)
    expect(fetched.audio.sampleRate).toBe(8000)
    expect(fetched.audio.quantizer).toBe(read.audio.quantizer)
    const { length } = readFileSync(join(root, 'tiny', 'model.safetensors'))
    expect(seen.at(-1)![0]).toBe(length)
    expect((await fetchCheckpoint(new URL(`${home}/tiny/`))).weights).toEqual(read.weights)
    const stream = await openStream(fetched, { engine: null })
    expect(await stream.next({ temperature: 1 })).toBeTypeOf('number')
  })

  it('is refused for people where there is none, or another one', async () => {
    const refused = async (url: string, fact: RegExp, more: object) => {
      await expect(fetchCheckpoint(url)).rejects.toMatchObject({
        message: expect.stringMatching(fact),
        failure: more,
      })
    }
    await refused(`${home}/none/`, /none\/config.json could not be fetched/, {
      got: expect.stringContaining('404'),
    })
    await refused('http://127.0.0.1:9/x', /could not be fetched/, {})
    await refused('checkpoints/piano', /is not the address/, {
      hint: expect.stringContaining('loadModelFolder'),
    })
    await refused(changed('html', 'config.json', '<html>'), /damaged: .*config.json/, {
      expected: 'JSON',
    })
    await refused(changed('bare', 'config.json', '{}'), /does not describe a model/, {})
    const half = readFileSync(join(root, 'tiny', 'model.safetensors')).subarray(0, 2000)
    await refused(changed('cut', 'model.safetensors', half), /damaged: .*model.safetensors/, {})
  })

  it('stops at a signal', async () => {
    const signal = AbortSignal.abort()
    await expect(fetchCheckpoint(`${home}/tiny`, { signal })).rejects.toThrow(/abort/i)
  })
})
