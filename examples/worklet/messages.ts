/** What the page and its Worker tell each other. */

export interface Load {
  type: 'load'
  /** Address of the folder of a checkpoint. */
  checkpoint: string
  /** Address of a recording to go on from. */
  recording: string
}

/** How samples are drawn; may change while they are made. */
export interface Sampling {
  temperature: number
  /** Share of the likeliest codes that are drawn from. */
  topP: number
}

/** One continuation. */
export interface Take extends Sampling {
  type: 'take'
  precision: 'int8' | 'f32'
  /** Samples of history that a prediction sees. */
  context: number
  /** Seconds of the recording that the model hears before. */
  promptSeconds: number
  /** Whether the forecast stands still after them. */
  hold: boolean
  seed: number
  /** Seconds to make; Infinity goes on until it is stopped. */
  seconds: number
  /** Leads to the player. */
  player: MessagePort
  /** Memory shared with the player, where the page may have such. */
  memory?: SharedArrayBuffer
}

export type ToWorker = Load | Take | ({ type: 'sampling' } & Sampling) | { type: 'stop' }

export type FromWorker =
  | { type: 'loading'; bytes: number; total: number | undefined }
  | {
      type: 'loaded'
      sampleRate: number
      context: number
      parameters: number
      /** Whether there is a forecast to hold. */
      canHold: boolean
      /** Of the recording. */
      seconds: number
    }
  | { type: 'priming'; samples: number; total: number }
  /** `heard` samples at the start are of the recording; `speed` in samples/s, of the model alone. */
  | { type: 'made'; samples: number; heard: number; speed: number; startsIn: number | undefined }
  | { type: 'done' }
  | { type: 'failed'; text: string }

/** What the player tells the page. */
export interface Played {
  state: 'waiting' | 'playing' | 'ended'
  /** Samples, silences not counted. */
  samples: number
  /** Samples that are there and not played yet. */
  buffered: number
  /** Times that the next sample was not there in time, and samples of silence that it cost. */
  underruns: number
  silence: number
}
