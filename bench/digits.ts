/**
 * node out/bench/digits.js FSDD TO: the Free Spoken Digit Dataset as long recordings, for runs/digits.sh.
 *
 * Its 3000 recordings, {digit}_{speaker}_{index}.wav, last 0.4 s each, less than what models hear at once; so those of
 * one speaker and split are joined, in a shuffled order, to TO/{split}/{speaker}.wav. Index 0-4 is the test split, as
 * its authors say, 5-9 valid, the rest train.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeAudio, downmix, encodeWav } from 'longwave/audio'
import { Random } from 'longwave/random'

const [folder, to] = process.argv.slice(2)
if (folder === undefined || to === undefined) {
  process.stderr.write('usage: node out/bench/digits.js FSDD TO\n')
  process.exit(2)
}
const RATE = 8000

const splitOf = (index: number) => (index < 5 ? 'test' : index < 10 ? 'valid' : 'train')

const joined = new Map<string, string[]>()
for (const name of readdirSync(join(folder, 'recordings')).sort()) {
  const [, speaker, index] = /^\d_([a-z]+)_(\d+)\.wav$/.exec(name) ?? []
  if (speaker === undefined) continue
  const key = `${splitOf(Number(index))}/${speaker}`
  joined.set(key, [...(joined.get(key) ?? []), name])
}
if (joined.size === 0) {
  process.stderr.write(`${folder} has no recordings/DIGIT_SPEAKER_INDEX.wav.\n`)
  process.exit(2)
}
const random = new Random(1)
for (const [key, names] of joined) {
  const parts: Float32Array[] = []
  for (const i of random.permutation(names.length)) {
    const path = join(folder, 'recordings', names[i]!)
    const { channels, sampleRate } = await decodeAudio(readFileSync(path))
    if (sampleRate !== RATE) throw new Error(`${path} has ${sampleRate} Hz, not ${RATE}.`)
    parts.push(downmix(channels))
  }
  const samples = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    samples.set(part, at)
    at += part.length
  }
  mkdirSync(join(to, key, '..'), { recursive: true })
  writeFileSync(join(to, `${key}.wav`), encodeWav([samples], RATE))
}
