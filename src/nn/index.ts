export {
  ADAMW,
  type AdamWConstants,
  type AdamWScalars,
  adamW,
  corrections,
  SCALARS,
} from './adamw.js'
export { type LearningRate, learningRate, type Schedule } from './schedule.js'
