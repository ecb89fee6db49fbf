import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QUANTIZER_NAMES } from '../../src/audio/index.js'
import { DatasetError, readShard, writeShard } from '../../src/data/index.js'
import { tempFolder } from './helpers.js'

const shard = { sampleRate: 16000, quantizer: 'mu-law', codes: Uint8Array.of(1, 2, 3) } as const

describe('a shard', () => {
  it('gives back what was written', async () => {
    const path = join(tempFolder(), 'a.lws')
    const any = fc.record({
      sampleRate: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
      quantizer: fc.constantFrom(...QUANTIZER_NAMES),
      codes: fc.uint8Array({ maxLength: 50 }),
    })
    await fc.assert(
      fc.asyncProperty(any, async (given) => {
        await writeShard(path, given)
        const { codes, ...rest } = await readShard(path)
        expect({ ...rest, codes: Uint8Array.from(codes) }).toEqual(given)
      }),
      { numRuns: 20 },
    )
  })

  it('has the header that docs/data.md describes', async () => {
    const path = join(tempFolder(), 'a.lws')
    await writeShard(path, { sampleRate: 8000, quantizer: 'linear', codes: Uint8Array.of(9, 8) })
    const bytes = readFileSync(path)
    expect(bytes).toHaveLength(34)
    expect(bytes.toString('latin1', 0, 4)).toBe('LWSH')
    expect([bytes.readUInt16LE(4), bytes.readUInt16LE(6), bytes.readUInt32LE(8)]).toEqual([
      1, 1, 8000,
    ])
    expect(bytes.readUInt32LE(12)).toBe(crc32(Uint8Array.of(9, 8)))
    expect(bytes.readBigUInt64LE(16)).toBe(2n)
    expect(bytes.readUInt32LE(28)).toBe(crc32(bytes.subarray(0, 28)))
    expect([...bytes.subarray(32)]).toEqual([9, 8])
  })

  /** Changes a field, makes the checksum of the header right again, reads. */
  async function withField(change: (bytes: Buffer) => Uint8Array | undefined, repair = true) {
    const path = join(tempFolder(), 'a.lws')
    await writeShard(path, shard)
    const bytes = readFileSync(path)
    const changed = change(bytes) ?? bytes
    if (repair && changed === bytes) bytes.writeUInt32LE(crc32(bytes.subarray(0, 28)), 28)
    writeFileSync(path, changed)
    const error = await readShard(path).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(DatasetError)
    return error.describe()
  }
  const undefinedOf = (_: unknown) => undefined

  it.each<[string, (bytes: Buffer) => Uint8Array | undefined, string, boolean]>([
    ['the magic', (b) => undefinedOf(b.write('RIFF')), 'wrong magic', true],
    ['the version', (b) => undefinedOf(b.writeUInt16LE(0, 4)), 'wrong version', true],
    ['a newer version', (b) => undefinedOf(b.writeUInt16LE(2, 4)), 'newer version', true],
    ['the quantizer', (b) => undefinedOf(b.writeUInt16LE(9, 6)), 'wrong quantizer', true],
    ['the rate', (b) => undefinedOf(b.writeUInt32LE(0, 8)), 'wrong sample rate', true],
    [
      'the header checksum',
      (b) => undefinedOf(b.writeUInt8(1, 24)),
      'wrong header checksum',
      false,
    ],
    ['a code', (b) => undefinedOf(b.writeUInt8(77, 33)), 'wrong checksum', true],
    ['the end', (b) => b.subarray(0, 34), 'wrong number of samples', true],
    ['all but a few bytes', (b) => b.subarray(0, 10), 'wrong size', true],
  ])('is refused when %s changed, in its own words', async (_, change, message, repair) => {
    expect(await withField(change, repair)).toContain(message)
  })

  it('is refused when it is missing', async () => {
    await expect(readShard(join(tempFolder(), 'no.lws'))).rejects.toThrow('is missing')
  })
})
