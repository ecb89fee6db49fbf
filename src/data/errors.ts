import { LongwaveError } from '../base/errors.js'
import type { PrepareReport } from './report.js'

/** `prepare` found nothing to make a dataset of. The report names each reason. Exit 6. */
export class NothingUsableError extends LongwaveError {
  override name = 'NothingUsableError'
  override readonly exitCode = 6
  readonly report: PrepareReport

  constructor(report: PrepareReport) {
    super({
      fact: `Nothing in ${report.folder} can be used.`,
      expected: 'one or more audio files of 0.1 s or longer',
      got: `${report.skipped.length} skipped, ${report.files.ignored} without an audio name`,
      hint: 'The report says why each file was skipped. WAV, FLAC, MP3 and Ogg are read.',
    })
    this.report = report
  }
}

/** A folder is no dataset, or one that is not whole. Exit 4. */
export class DatasetError extends LongwaveError {
  override name = 'DatasetError'
  override readonly exitCode = 4
}

/** The work was stopped from outside, by Ctrl-C for example. Exit 130. */
export class InterruptedError extends LongwaveError {
  override name = 'InterruptedError'
  override readonly exitCode = 130
}
