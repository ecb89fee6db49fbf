export { type Baselines, baselines } from './baselines.js'
export { contextCurve } from './context-curve.js'
export {
  type EvalOptions,
  type EvalProgress,
  type EvalResult,
  evaluate,
  type PieceResult,
  type Recording,
  ScoreError,
} from './evaluate.js'
export { linePlot, type PlotOptions, type PlotSeries } from './plot.js'
export {
  codeCounts,
  type LinearBits,
  type LinearModel,
  linearBits,
  linearModel,
  orderZeroBits,
  uniformBits,
} from './reference.js'
export { formatEvaluation } from './table.js'
export { commonStart, meanBits, standardError } from './targets.js'
