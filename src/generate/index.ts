export { type Continuation, type ContinueOptions, continueRecording } from './continue.js'
export { NoDistributionError } from './errors.js'
export { checkSampling, type Sampling, sampleCode } from './sample.js'
