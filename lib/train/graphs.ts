/**
 * The graphs of a run, before any device: what trains, what updates, what scores.
 *
 * @module
 */

import { variable } from "../graph/leaves.ts";
import type { Node } from "../graph/node.ts";
import type { Precision } from "../graph/precision.ts";
import type { Context } from "../layers/site.ts";
import type { Trace } from "../models/model.ts";
import { dropout } from "../ops/dropout.ts";
import { defaultLossScaling, type LossScaling } from "../ops/loss_scale.ts";
import type { Attached } from "../peft/method.ts";
import { backwardRoots } from "./backward.ts";
import { buildUpdate, type Update } from "./optimizer.ts";
import { warmupSteps } from "./schedule.ts";
import type { TrainSettings } from "./settings.ts";
import { exampleInput, type Task } from "./task.ts";

/** Losses kept on the device between two readbacks. */
export const LOSS_CAPACITY = 256;

/** The graphs of one run, for any sizes. */
export interface RunGraphs {
  /** Null where nothing trains. */
  readonly update: Update | null;
  /** Roots of the forward-and-backward program; null where nothing trains. */
  readonly backward: readonly Node[] | null;
  /** Scores of the classes, [B, classes]. */
  readonly scores: Node;
}

/** What the graphs are built from. */
export interface GraphParts {
  readonly attached: Attached;
  readonly task: Task;
  readonly settings: TrainSettings;
  /** f32 unless given. */
  readonly precision?: Precision;
  /** How a run in f16 scales its loss; as PyTorch does unless given. */
  readonly lossScaling?: LossScaling;
}

/**
 * Builds the graphs of a run.
 *
 * @param steps Optimizer steps of the run; 0 where nothing trains.
 * @param recompute Whether the backward pass keeps the borders of blocks alone.
 */
export function runGraphs(
  { attached, task, settings, precision, lossScaling = defaultLossScaling }: GraphParts,
  steps: number,
  recompute: boolean,
): RunGraphs {
  const scores = task.scores();
  if (steps === 0) return { update: null, backward: null, scores };
  const scaling = precision === "f16" ? lossScaling : null;
  const update = updateOf(attached, settings, steps, scaling);
  const trace: Trace = new Map();
  const loss = task.loss(trainingContext(settings, update.step), trace);
  const borders = [...trace].filter(([name]) => /hidden\.\d+$/.test(name)).map(([, node]) => node);
  const backward = backwardRoots(loss, update, recompute ? new Set(borders) : undefined);
  return { update, backward, scores };
}

function updateOf(
  { trainable, rates }: Attached,
  settings: TrainSettings,
  steps: number,
  lossScaling: LossScaling | null,
): Update {
  // Tables that are vectors in their own right; relative biases are biases, whatever their shape.
  const vectors = trainable.filter(({ name }) => /bias|prompt|prefix|ia3/.test(name));
  return buildUpdate({
    parameters: trainable.map(({ node }) => node),
    vectors: new Set(vectors.map(({ node }) => node)),
    rate: (parameter) => rates.get(parameter) ?? 1,
    steps,
    schedule: settings.schedule,
    warmupSteps: warmupSteps(settings.warmup, steps),
    optimizer: settings.optimizer,
    scaleParameter: settings.scaleParameter,
    learningRate: settings.learningRate,
    beta1: settings.betas[0],
    beta2: settings.betas[1],
    epsilon: settings.eps,
    weightDecay: settings.weightDecay,
    decay: settings.decay,
    clipNorm: settings.clipNorm,
    capacity: LOSS_CAPACITY,
    lossScaling,
  });
}

/** Dropout keyed by the run's seed, its step and the example's place. */
function trainingContext(settings: TrainSettings, step: Node): Context {
  const seed = variable("seed", [1], "control", "u32");
  const examples = exampleInput();
  return {
    frozenDropout: settings.frozenDropout,
    dropout: (x, probability, site) => dropout(x, { probability, site, examples, step, seed }),
  };
}
