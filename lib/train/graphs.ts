/**
 * The graphs of a run, before any device: what trains, what updates, what scores.
 *
 * @module
 */

import { variable } from "../graph/leaves.ts";
import type { Node } from "../graph/node.ts";
import type { Precision } from "../graph/precision.ts";
import { type Dim, symbol } from "../graph/shape.ts";
import type { Context } from "../layers/site.ts";
import type { Trace } from "../models/model.ts";
import { dropout } from "../ops/dropout.ts";
import { defaultLossScaling, type LossScaling } from "../ops/loss_scale.ts";
import { rows } from "../ops/rows.ts";
import type { Attached } from "../peft/method.ts";
import { cellPrefix } from "../peft/pack.ts";
import { packedBackwardRoots } from "./backward.ts";
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

/** The graphs of several runs in one program. */
export interface PackGraphs extends Pick<RunGraphs, "backward"> {
  /** Of each cell; null where nothing trains. */
  readonly updates: readonly (Update | null)[];
  /** Scores of the classes, [B, classes]: the cells' shares of the rows in order. */
  readonly scores: Node;
}

/** What the graphs of several runs are built from; one alone has all rows. */
export interface PackParts extends Pick<GraphParts, "task" | "precision" | "lossScaling"> {
  readonly cells: readonly Pick<GraphParts, "attached" | "settings">[];
}

/** Rows of one cell's share in the graphs of several; bound together with B. */
export const SHARE: Dim = symbol("R");

/**
 * Builds the graphs of a run.
 *
 * @param steps Optimizer steps of the run; 0 where nothing trains.
 * @param recompute Whether the backward pass keeps the borders of blocks alone.
 */
export function runGraphs(
  { attached, settings, ...parts }: GraphParts,
  steps: number,
  recompute: boolean,
): RunGraphs {
  const { updates: [update], ...graphs } = packGraphs(
    { ...parts, cells: [{ attached, settings }] },
    steps,
    recompute,
  );
  return { ...graphs, update };
}

/**
 * Builds the graphs of several runs in one program, whose methods `attachPack` has attached with
 * {@linkcode SHARE}; or of one run alone.
 *
 * Each cell's loss is the mean over its share of the rows, and its update has variables of its own.
 *
 * @param steps Optimizer steps of each run; 0 where nothing trains.
 * @param recompute Whether the backward pass keeps the borders of blocks alone.
 */
export function packGraphs(
  { cells, task, precision, lossScaling = defaultLossScaling }: PackParts,
  steps: number,
  recompute: boolean,
): PackGraphs {
  const scores = task.scores();
  const scaling = precision === "f16" ? lossScaling : null;
  const alone = cells.length === 1;
  const updates = cells.map(({ attached, settings }, index) =>
    steps === 0 || attached.trainable.length === 0
      ? null
      : updateOf(attached, settings, steps, scaling, alone ? "" : cellPrefix(index))
  );
  const first = updates.find((update) => update !== null);
  if (first === undefined) return { updates, backward: null, scores };
  const trace: Trace = new Map();
  const context = trainingContext(cells[0].settings, first.step, cells.length);
  const losses = alone
    ? [task.loss(context, trace)]
    : sharedLosses(task, cells.length, context, trace);
  const borders = [...trace].filter(([name]) => /hidden\.\d+$/.test(name)).map(([, node]) => node);
  const backward = packedBackwardRoots(
    losses.flatMap((loss, i) => updates[i] === null ? [] : [{ loss, update: updates[i] }]),
    recompute ? new Set(borders) : undefined,
  );
  return { updates, backward, scores };
}

function sharedLosses(task: Task, cells: number, context: Context, trace: Trace): Node[] {
  const losses = task.losses(context, trace);
  const shares = Array.from(
    { length: cells },
    (_, index) => rows(losses, index, { of: cells, count: SHARE }),
  );
  return shares.map((share) => task.mean(share));
}

function updateOf(
  { trainable, rates }: Attached,
  settings: TrainSettings,
  steps: number,
  lossScaling: LossScaling | null,
  prefix: string,
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
    prefix,
  });
}

/** Dropout keyed by the run's seed, its step and the example's place; equal in all cells of a pack. */
function trainingContext(
  { frozenDropout }: TrainSettings,
  step: Node,
  cells: number,
): Context {
  const seed = variable("seed", [1], "control", "u32");
  const dropoutOf = (examples: Node): Context => ({
    frozenDropout,
    dropout: (x, probability, site) => dropout(x, { probability, site, examples, step, seed }),
  });
  const examples = exampleInput();
  const shares = new Map<number, Context>();
  const cell = (index: number) => {
    const own = shares.get(index) ?? dropoutOf(rows(examples, index, { of: cells, count: SHARE }));
    shares.set(index, own);
    return own;
  };
  return { ...dropoutOf(examples), cell };
}
