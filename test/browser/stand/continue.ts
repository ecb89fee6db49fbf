/** What a page and a Worker are asked to do in test/browser/same.test.ts. */
import { decodeAudio, downmix, resample } from 'longwave/audio'
import { fetchCheckpoint, openStream } from 'longwave/generate'

export interface Request {
  checkpoint: string
  recording: string
  /** Samples of the recording that are heard. */
  prompt: number
  samples: number
  precision: 'f32' | 'int8'
  seed: number
  threads?: number
}

export interface Answer {
  /** The whole recording in codes of the model. */
  heard: number[]
  made: number[]
  /** What could not be had. */
  notices: string[]
}

export async function continueHere(request: Request): Promise<Answer> {
  const { checkpoint, recording, prompt, samples, precision, seed, threads = 1 } = request
  const notices: string[] = []
  const notice = (text: string) => notices.push(text)
  const trained = await fetchCheckpoint(checkpoint)
  const bytes = new Uint8Array(await (await fetch(recording)).arrayBuffer())
  const { channels, sampleRate } = await decodeAudio(bytes)
  const { audio } = trained
  const heard = audio.quantizer.encode(resample(downmix(channels), sampleRate, audio.sampleRate))
  const stream = await openStream(trained, { precision, exact: true, seed, threads, notice })
  await stream.prime(heard.subarray(0, prompt))
  const made: number[] = []
  for await (const block of stream.generate({ samples })) made.push(...block)
  await stream.dispose()
  return { heard: [...heard], made, notices }
}
