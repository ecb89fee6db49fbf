import { describe, expect, it } from 'vitest'
import { formatProgress, formatReport, type PrepareReport } from '../../src/data/index.js'

const report: PrepareReport = {
  folder: 'takes',
  out: 'ds',
  sampleRate: 16000,
  quantizer: 'mu-law',
  splitBy: 'lists',
  files: { used: 3, decoded: 1, reused: 2, skipped: 1, ignored: 4, hidden: 5, removed: 6 },
  skipped: [{ source: 'bad.wav', reason: 'The file is empty.' }],
  notes: [{ source: 'odd.mp3', note: 'named .mp3, but its content is wav' }],
  rebuilt: 'all files, because',
  splits: {
    train: { files: 2, samples: 1_920_000, seconds: 120 },
    valid: { files: 1, samples: 480_000, seconds: 30 },
    test: { files: 0, samples: 0, seconds: 0 },
  },
  clipping: { files: 1, samples: 12, worst: [{ source: 'loud.wav', samples: 12 }] },
  silence: { share: 0.125, worst: [{ source: 'quiet.wav', share: 0.75 }] },
}

describe('the report as text', () => {
  it('shows the splits in aligned columns', () => {
    const lines = formatReport(report).split('\n')
    const start = lines.findIndex((line) => line.startsWith('split'))
    expect(lines.slice(start, start + 5)).toEqual([
      'split  files  minutes  samples',
      'train      2     2.00  1920000',
      'valid      1     0.50   480000',
      'test       0     0.00        0',
      'total      3     2.50  2400000',
    ])
  })

  it('names what was counted, skipped, noted, removed and rebuilt', () => {
    const text = formatReport(report)
    for (const part of [
      'ds: 16000 Hz, mu-law, split by lists',
      '3 used (1 decoded, 2 unchanged), 1 skipped, 4 ignored (no audio name), 5 hidden',
      'clipping: 12 samples in 1 files',
      '  loud.wav  12 samples',
      'silence:  12.5% of 20 ms frames under -60 dBFS',
      '  quiet.wav  75.0%',
      'removed:  6 that are no longer in the source',
      'rebuilt:  all files, because',
      'used, but note:\n  odd.mp3  named .mp3, but its content is wav',
      'skipped:\n  bad.wav  The file is empty.',
    ]) {
      expect(text).toContain(part)
    }
  })

  it('leaves out what is not there', () => {
    const { rebuilt: _, ...plain } = report
    const text = formatReport({
      ...plain,
      skipped: [],
      notes: [],
      files: { ...report.files, removed: 0 },
    })
    for (const word of ['skipped:', 'note', 'removed', 'rebuilt']) expect(text).not.toContain(word)
  })
})

describe('the line of progress', () => {
  const at = { source: 'a.wav', filesTotal: 8, bytesTotal: 1000 }

  it('tells files, share, audio, speed and time left', () => {
    const halfway = { ...at, filesDone: 3, bytesDone: 250, audioSeconds: 3000, elapsed: 30 }
    expect(formatProgress(halfway)).toBe(
      'prepare 3/8 files | 25% | 50.0 min of audio | x100 real time | 1m30s left',
    )
  })

  it('does not guess at the start, and ends with nothing left', () => {
    const start = { ...at, filesDone: 0, bytesDone: 0, audioSeconds: 0, elapsed: 0 }
    expect(formatProgress(start)).toContain('0% | 0.0 min of audio | x0 real time | ? left')
    const end = { ...at, filesDone: 8, bytesDone: 1000, audioSeconds: 60, elapsed: 1 }
    expect(formatProgress(end)).toContain('100% | 1.0 min of audio | x60 real time | 0s left')
  })
})
