/**
 * The programs of a run, or of several in one, before anything is allocated.
 *
 * @module
 */

import { planEpoch, planEvaluation, type PlannedBatch } from "../data/batches.ts";
import type { Program } from "../gpu/program.ts";
import { Session } from "../gpu/session.ts";
import { variableAttributes } from "../graph/leaves.ts";
import type { Node } from "../graph/node.ts";
import { operationsOf } from "../graph/operations.ts";
import { storagePolicy } from "../graph/precision.ts";
import { type Attached, fullPrecisionNames } from "../peft/method.ts";
import { defaultExecution } from "./execution.ts";
import { packGraphs, SHARE } from "./graphs.ts";
import {
  EXAMPLE_INPUTS,
  KEPT_HOST_BYTES,
  KEPT_WAYS,
  KeptFeatures,
  keptLimit,
  type KeptWay,
} from "./kept_features.ts";
import { longestText } from "./longest_text.ts";
import type { Update } from "./optimizer.ts";
import { packSizes } from "./pack_rows.ts";
import type { TrainOutcome, TrainRun } from "./run.ts";
import { STEPS_PER_SUBMIT } from "./steps_per_submit.ts";
import {
  type PlannedSplit,
  planScoring,
  programsByLength,
  rowsOf,
  type Scoring,
} from "./scoring.ts";
import type { TrainSettings } from "./settings.ts";
import { type PackedProgram, shareRows } from "./shared_rows.ts";
import type { Encoded } from "./task.ts";

/** What runs that share programs have in common: all but the cells' own. */
export type SharedRun = Pick<
  TrainRun,
  | "gpu"
  | "model"
  | "task"
  | "seed"
  | "precision"
  | "lossScaling"
  | "train"
  | "validation"
  | "splits"
  | "execution"
>;

/** One of the runs that share programs. */
export interface PlannedCell {
  readonly attached: Attached;
  readonly settings: TrainSettings;
}

/** Runs whose programs are planned, and nothing allocated. */
export interface PlannedRun {
  readonly session: Session;
  /** Of each cell; null where nothing trains. */
  readonly updates: readonly (Update | null)[];
  readonly steps: number;
  readonly plans: readonly (readonly PlannedBatch[])[];
  readonly validation: PlannedSplit;
  readonly splits: readonly (readonly [string, PlannedSplit])[];
  /** By length of bucket. */
  readonly training: ReadonlyMap<number, Program> | null;
  readonly updating: Program | null;
  readonly scoring: Scoring;
  /** What scores the further splits, once. */
  readonly scoringOnce: Scoring;
  /** What of the training examples is computed once. */
  readonly kept: KeptFeatures | null;
  /** Bytes that are kept of all splits, on the device or by the host. */
  readonly keptBytes: number;
  readonly recomputed: boolean;
}

/**
 * Keeps what does not change as far as it fits, and computes again where asked to or where the plan
 * would not fit otherwise.
 *
 * @param cells One, or several that `attachPack` has attached; all of the same settings but for what
 *   the update alone knows.
 */
export function planRun(shared: SharedRun, cells: readonly PlannedCell[]): PlannedRun {
  const { recompute, memory, keepFeatures } = shared.execution ?? defaultExecution;
  let planned: PlannedRun;
  for (const way of keepFeatures === "never" ? [{ price: Infinity }] : KEPT_WAYS) {
    planned = planPrograms(shared, cells, recompute === "always", way);
    const { session, keptBytes } = planned;
    const limit = way.host ? KEPT_HOST_BYTES : keptLimit(memory);
    if (session.misfit(memory) === null && keptBytes <= limit) return planned;
    if (keptBytes === 0) break;
  }
  return recompute === "auto" && planned!.training !== null
    ? planPrograms(shared, cells, true, { price: Infinity })
    : planned!;
}

function planPrograms(
  run: SharedRun,
  cells: readonly PlannedCell[],
  recomputed: boolean,
  way: KeptWay,
): PlannedRun {
  const { seed, task, precision = "f32" } = run;
  const [{ settings, attached: { positions } }] = cells;
  const lengths = run.train.map(({ ids }) => ids.length);
  const { batchSize } = settings;
  const rows = settings.microBatch ?? batchSize;
  const longest = longestText(run.model, { positions });
  const stepsPerEpoch = Math.ceil(run.train.length / batchSize);
  const trains = cells.some(({ attached }) => attached.trainable.length > 0);
  const epochs = trains ? settings.epochs : 0;
  const steps = stepsPerEpoch * epochs;
  const plans = Array.from(
    { length: epochs },
    (_, epoch) => planEpoch(lengths, { batchSize, seed, epoch, longest }),
  );
  const planned = (examples: readonly Encoded[]): PlannedSplit => ({
    examples,
    batches: planEvaluation(examples.map(({ ids }) => ids.length), rows, longest),
  });
  const validation = planned(run.validation);
  const splits = Object.entries(run.splits ?? {}).map(([name, own]) =>
    [name, planned(own)] as const
  );

  const { updates, backward, scores } = packGraphs({ ...run, cells }, steps, recomputed);
  checkLabels([run.train, run.validation, ...Object.values(run.splits ?? {})], scores);
  const full = cells.flatMap(({ attached }) => fullPrecisionNames(attached));
  const policy = storagePolicy(precision, full);
  const session = new Session(run.gpu, policy);
  session.stageSteps(run.execution?.stepsPerSubmit ?? STEPS_PER_SUBMIT);
  const sizes = (T: number) => packSizes(cells.length, rows, T);
  const lengthsOf = (batches: readonly PlannedBatch[]) =>
    batches.map(({ bucketLength }) => bucketLength);
  // What is computed once is worth nothing where it is read once.
  const keeps = epochs > 1 && way.price < Infinity;
  const trained = new Set(
    cells.flatMap(({ attached }) =>
      attached.trainable.map(({ node }) => variableAttributes(node).name)
    ),
  );
  const common = { rows, cells: cells.length, policy, trained, ...way };
  const kept = !keeps ? null : new KeptFeatures(session, {
    ...{ ...common, name: "train", roots: backward!, keep: [] },
    batches: plans.flat().flatMap((batch) => microBatches(batch, rows)),
    inputs: (examples, size) => task.trainingInputs(rowsOf(run.train, examples, size)),
  });
  const keptScores = !keeps ? null : new KeptFeatures(session, {
    ...{ ...common, name: "validation", roots: [scores], keep: [scores] },
    batches: validation.batches,
    inputs: (examples, size) => task.scoringInputs(rowsOf(run.validation, examples, size)),
  });
  // What is kept is there for all cells already; what is computed again must stay as it is.
  const share = (program: PackedProgram) =>
    cells.length === 1 || recomputed ? program : shareRows(program, {
      ...{ inputs: EXAMPLE_INPUTS, trained },
      shares: { of: cells.length, count: SHARE },
    });
  const { keep: [sharedScores] } = share({ roots: [], keep: [scores] });
  const { roots: sharedBackward } = share({ roots: backward ?? [], keep: [] });
  const shares = { rows, cells: cells.length };
  const scoring = planScoring(
    ...[session, task, sharedScores, shares, lengthsOf(validation.batches)] as const,
    keptScores,
  );
  const roots = updates.flatMap((update) => update?.roots ?? []);
  return {
    session,
    updates,
    steps,
    plans,
    validation,
    splits,
    training: backward === null ? null : programsByLength(
      lengthsOf(plans.flat()),
      (T) => kept?.program(T)?.program ?? session.program(sharedBackward, sizes(T)),
    ),
    updating: roots.length === 0 ? null : session.program(roots, {}),
    scoring,
    scoringOnce: planScoring(
      ...[session, task, sharedScores, shares] as const,
      splits.flatMap(([, { batches }]) => lengthsOf(batches)),
      null,
      scoring,
    ),
    kept,
    keptBytes: (kept?.bytes ?? 0) + (keptScores?.bytes ?? 0),
    recomputed,
  };
}

/** Cuts a batch into micro-batches; the last may be short. */
export function microBatches(batch: PlannedBatch, size: number): PlannedBatch[] {
  return Array.from({ length: Math.ceil(batch.indices.length / size) }, (_, i) => ({
    ...batch,
    indices: batch.indices.slice(i * size, (i + 1) * size),
  }));
}

/** A kernel would read beyond its logits for a label that is no class. */
function checkLabels(splits: readonly (readonly Encoded[])[], scores: Node): void {
  const classes = scores.shape[scores.shape.length - 1] as number;
  const wrong = splits.flat().find(({ label }) =>
    !Number.isInteger(label) || label < 0 || label >= classes
  );
  if (wrong !== undefined) {
    throw new RangeError(
      `Cannot train on label ${wrong.label}: the classes are 0 to ${classes - 1}`,
    );
  }
}

/** What a run takes, as far as its plan tells; the same however it is carried out. */
export function plannedCost(
  planned: PlannedRun,
  { batchSize }: TrainSettings,
  epochs: number,
): Pick<TrainOutcome, "memory" | "recomputed" | "dispatchesPerStep" | "operations"> {
  const { session, training, updating, recomputed, scoring: { rows } } = planned;
  const [first] = training?.values() ?? [];
  const parts = Math.ceil(batchSize / rows);
  return {
    memory: session.memory(),
    recomputed,
    dispatchesPerStep: first === undefined ? 0 : first.dispatches * parts + updating!.dispatches,
    operations: trainingOperations(planned, epochs, rows),
  };
}

/**
 * Operations of some epochs' steps: every micro-batch takes its bucket's program whole, and what is
 * kept is computed once.
 */
function trainingOperations(
  { training, updating, plans, kept }: PlannedRun,
  epochs: number,
  rows: number,
): number {
  if (training === null || updating === null) return 0;
  const batches = plans.slice(0, epochs).flat();
  const counts = new Map(
    [...training].map(([length, { plan, sizes }]) =>
      [length, operationsOf(plan.order, sizes)] as const
    ),
  );
  const update = operationsOf(updating.plan.order, updating.sizes);
  return batches.reduce((sum, { bucketLength, indices }) => {
    const parts = Math.ceil(indices.length / rows);
    return sum + parts * counts.get(bucketLength)! + update;
  }, kept?.operations(batches.flatMap((batch) => microBatches(batch, rows))) ?? 0);
}
