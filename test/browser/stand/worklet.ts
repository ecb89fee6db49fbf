/** Steps a packed model inside an AudioWorklet, where there is hardly anything but the language. */
import { type PackedStep, StepHost } from 'longwave/generate'

declare const registerProcessor: (name: string, processor: unknown) => void
declare const AudioWorkletProcessor: new () => { readonly port: MessagePort }

class Stepper extends AudioWorkletProcessor {
  constructor() {
    super()
    this.port.onmessage = ({ data }: MessageEvent<{ step: PackedStep; codes: number[] }>) => {
      const host = new StepHost(data.step)
      this.port.postMessage(data.codes.map((code) => host.take(code).slice()))
    }
  }

  process(): boolean {
    return true
  }
}

registerProcessor('stepper', Stepper)
