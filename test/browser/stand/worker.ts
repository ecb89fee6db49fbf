import { continueHere, type Request } from './continue.js'

self.onmessage = async ({ data }: MessageEvent<Request>) => {
  self.postMessage(await continueHere(data))
}
