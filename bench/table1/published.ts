/** What papers print. Nothing of it was measured here, and nothing here can be compared with it digit by digit. */
export interface Published {
  model: string
  parameters: string
  context: string
  nll: string
  unit: string
  source: string
}

const GOEL = 'Goel et al. 2022 (SaShiMi), table of YouTubeMix'
const VERMA = 'Verma 2022/2023, table 1'

export const PUBLISHED: readonly Published[] = [
  ...(
    [
      ['WaveNet', '4.24M', '4,092', '1.449'],
      ['SampleRNN, 3 tiers', '35.03M', 'unbounded; trained on 1,024', '1.723'],
      ['SaShiMi, 6 layers', '3.13M', 'unbounded; trained on 131,072', '1.315'],
      ['SaShiMi, 8 layers', '4.05M', 'unbounded; trained on 131,072', '1.294'],
    ] as const
  ).map(([model, parameters, context, nll]) => {
    return { model, parameters, context, nll, unit: 'bits', source: GOEL }
  }),
  ...(
    [
      ['million-context model', '3.14M', '128,000', '1.26'],
      ['million-context model', '3.14M', '512,000', '1.19'],
    ] as const
  ).map(([model, parameters, context, nll]) => {
    return { model, parameters, context, nll, unit: 'not stated', source: VERMA }
  }),
]

export const PUBLISHED_DATA =
  'YouTubeMix: about 4 hours of solo piano, 16 kHz. SaShiMi: 8-bit mu-law, every window of 131,072 samples shifted and scaled ' +
  'to the whole range (min-max) before it is quantised; hundreds of thousands of steps on GPUs. Verma: "8-bit", the quantiser and ' +
  'the unit not stated (1.26 and 1.19 nats would be 1.82 and 1.72 bits); 20M targets.'

export const WHAT_DIFFERS: readonly string[] = [
  'Other recordings, and fewer of them; splits by piece, never by excerpts of one piece.',
  'One fixed scaling of all recordings. Min-max rescaling lifts quiet windows to the whole range: finer levels there, so more bits to predict, and other codes for the same sound; and the scale of a window tells of its future. `--rescale 8.192` does it here, with every window a piece of its own.',
  "Some million targets a model, on two CPU cores; SaShiMi's 600,000 steps of 131,072 samples are 79 billion, Verma's two passes 20 million.",
  'Every sample is scored, also the first of a piece, that has no history.',
]
