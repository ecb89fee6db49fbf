import { quantizer } from '../audio/index.js'
import { UsageError } from '../base/errors.js'
import type { Engine } from '../engine/index.js'
import { sizeOf } from '../graph/index.js'
import { type Declared, initialise } from '../nn/parameters.js'
import { encoderGeometry, type FlagshipConfig } from './flagship.js'
import { DenseGenerator } from './flagship-generator.js'
import { DenseLearner } from './flagship-learner.js'
import { describeStep, planStep } from './flagship-memory.js'
import { buildBlock, buildStretch } from './flagship-programs.js'
import { DenseScorer } from './flagship-scorer.js'
import { flagshipStepForm } from './flagship-step-form.js'
import { planWindow, WindowLearner } from './flagship-window-learner.js'
import type { Arrays, Model, Stage } from './model.js'

/** The flagship under one configuration. */
export function flagship(config: FlagshipConfig): Model<FlagshipConfig> {
  if (config.form === 'paper' && (config.local || config.forecast || config.recall)) {
    throw new UsageError({
      fact: 'The paper form has neither local path nor forecast nor recall: it learns one target of every window.',
      hint: 'use the preset stream, or leave out --local, --forecast and --recall',
    })
  }
  if (config.form === 'paper' && config.window) {
    throw new UsageError({
      fact: 'In the paper form every token sees every other: it has no sliding window.',
      hint: 'use the preset stream, or leave out --window',
    })
  }
  const { chunk, recall } = config
  if (recall && !(recall.ahead >= 1 && recall.ahead < chunk)) {
    throw new UsageError({
      fact: 'recall.ahead makes no sense: what comes after a place ends before the next chunk does.',
      expected: `1 to ${chunk - 1} samples`,
      got: `${recall.ahead}`,
    })
  }
  const { taps, reach, dilation } = encoderGeometry(config)
  if (taps < 1) {
    const { kernel, strides } = config
    const shortest = reach - (taps - 1) * dilation + 1
    throw new UsageError({
      fact: `A chunk of ${config.chunk} samples is shorter than the convolutions of its encoder reach.`,
      expected: `${shortest} or more, for kernels of ${kernel} and strides ${strides.join(', ')}`,
      got: `${config.chunk}`,
      hint: 'take a longer --chunk, or other strides: --set strides=[2,2,2]',
    })
  }
  const values = quantizer(config.audio.quantizer).table
  const parameters = declared(config)
  return {
    family: 'flagship',
    config,
    context: config.chunk * config.tokens,
    parameters,
    size: parameters.reduce((total, { shape }) => total + sizeOf(shape), 0),
    initialise: (seed) => initialise(parameters, seed),
    plan: (stage) =>
      config.form === 'paper' ? planWindow(config, stage) : describeStep(planStep(config, stage)),
    learner: (engine: Engine, stage: Stage) =>
      config.form === 'paper'
        ? WindowLearner.open(engine, config, stage.context, values)
        : DenseLearner.open(engine, config, { ...stage, values }),
    scorer: (engine: Engine, weights: Arrays) => DenseScorer.open(engine, config, weights, values),
    generator: (engine: Engine, weights: Arrays, context: number) =>
      DenseGenerator.open(engine, config, weights, values, context),
    ...(config.form === 'stream' && { stepForm: flagshipStepForm(config, values) }),
  }
}

/** All parameters, in the order of the network. */
function declared(config: FlagshipConfig): Declared[] {
  const stretch = buildStretch(config, 1, 'all')
  const block = buildBlock(config, { tokens: 2, phases: 1, scored: 1 }, 'all')
  return [...stretch.p.declared.values(), ...block.p.declared.values()]
}
