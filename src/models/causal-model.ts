import { UsageError } from '../base/errors.js'
import { sizeOf } from '../graph/index.js'
import { initialise } from '../nn/parameters.js'
import { CausalGenerator } from './causal-generator.js'
import { CausalLearner } from './causal-learner.js'
import { buildCausal, type CausalNetwork } from './causal-network.js'
import { describeCausal, planCausal } from './causal-plan.js'
import { CausalScorer } from './causal-scorer.js'
import type { Model, Stage, StepForm } from './model.js'

/** Context of a network that never forgets: 17 minutes at 16 kHz, all of most pieces. */
export const UNBOUNDED = 2 ** 24

/** A network of causal layers as a model that learns, scores and generates. */
export function causalModel<Config>(
  family: string,
  config: Config,
  network: CausalNetwork,
  stepForm?: StepForm,
): Model<Config> {
  const parameters = [...buildCausal(network, network.period ?? 1).p.declared.values()]
  const whole = (stage: Stage): Stage => {
    if (stage.part === 'all') return stage
    throw new UsageError({
      fact: `The ${family} has no local path that could be trained alone.`,
      expected: 'stages of the whole model, CONTEXT:TARGETS',
      got: `local@${stage.context}`,
      hint: 'leave local@ out of --curriculum',
    })
  }
  return {
    family,
    config,
    context: Math.min(network.receptiveField, UNBOUNDED),
    parameters,
    size: parameters.reduce((total, { shape }) => total + sizeOf(shape), 0),
    initialise: (seed) => initialise(parameters, seed),
    plan: (stage) => describeCausal(planCausal(network, whole(stage))),
    learner: async (engine, stage) => CausalLearner.open(engine, network, whole(stage)),
    scorer: async (engine, weights) => new CausalScorer(engine, network, weights),
    generator: async (engine, weights, context) =>
      new CausalGenerator(engine, network, weights, context),
    ...(stepForm && { stepForm }),
  }
}
