/** What is compared, and how each model is trained: flags of `longwave train`. */

/** A model of the table. */
export interface Recipe {
  /** Names its folders. */
  name: string
  /** As the table calls it. */
  label: string
  /** Flags that choose the model. */
  model: readonly string[]
  /** Flags that choose the segments, for so many targets in all, and so many a step at most. */
  course: (targets: number, perStep: number) => readonly string[]
  /** Learning rates that are tried first, rising. */
  rates: readonly number[]
}

const plain = (context: number) => (targets: number, perStep: number) => [
  ...['--context', `${Math.min(context, perStep)}`, '--targets', `${targets}`],
]

/** 8000 targets a step in all: one segment, or 10 streams of 800 samples. The flagship comes first. */
export const FULL: readonly Recipe[] = [
  {
    name: 'longwave',
    label: 'Longwave',
    model: ['--preset', 'longwave'],
    course: plain(8000),
    rates: [1e-3, 2e-3, 4e-3],
  },
  {
    name: 'wavenet',
    label: 'WaveNet',
    model: ['--preset', 'wavenet'],
    course: plain(8000),
    rates: [1e-3, 2e-3, 4e-3],
  },
  {
    name: 'samplernn',
    label: 'SampleRNN, 3 tiers',
    model: ['--preset', 'samplernn'],
    course: plain(800),
    rates: [1e-3, 2e-3, 4e-3],
  },
  {
    name: 'sashimi',
    label: 'SaShiMi, 6 layers',
    model: ['--preset', 'sashimi'],
    course: plain(8000),
    rates: [2e-3, 4e-3, 8e-3],
  },
  {
    // what is the network's, and what the forecast's
    name: 'longwave-plain',
    label: 'Longwave, no forecast',
    model: ['--preset', 'longwave', '--forecast', '0'],
    course: plain(8000),
    rates: [1e-3, 2e-3, 4e-3],
  },
]

/** The same families, as small as they get, for 640 targets a step. */
export const SMOKE: readonly Recipe[] = [
  {
    name: 'longwave',
    label: 'Longwave, tiny',
    model: [
      ...['--preset', 'longwave', '--chunk', '80', '--layers', '1', '--heads', '2'],
      ...['--head-width', '8', '--local', '8'],
      ...[
        'width=16',
        'filters=[8,8]',
        'strides=[2,3]',
        'kernel=3',
        'feedForward=16',
        'hidden=32',
        'local.skip=16',
        'local.dilations=[1,2,4,8]',
      ].flatMap((entry) => ['--set', entry]),
    ],
    course: plain(640),
    rates: [2e-3, 8e-3],
  },
  {
    name: 'wavenet',
    label: 'WaveNet, tiny',
    model: [
      ...['--preset', 'wavenet-small', '--set', 'layers=4', '--set', 'channels=16'],
      ...['--set', 'skip=32', '--set', 'end=32'],
    ],
    course: plain(640),
    rates: [2e-3, 8e-3],
  },
  {
    name: 'samplernn',
    label: 'SampleRNN, tiny',
    model: ['--preset', 'samplernn-small', '--set', 'width=32', '--set', 'embedding=16'],
    course: plain(160),
    rates: [2e-3, 8e-3],
  },
  {
    name: 'sashimi',
    label: 'SaShiMi, tiny',
    model: [
      ...['--preset', 'sashimi-small', '--set', 'layers=1', '--set', 'channels=16'],
      ...['--set', 'modes=8'],
    ],
    course: plain(640),
    rates: [4e-3, 8e-3],
  },
]
