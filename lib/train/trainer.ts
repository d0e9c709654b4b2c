/**
 * The training loop: programs per bucket, one submit per step, evaluation after every epoch.
 *
 * @module
 */

import { planEpoch, planEvaluation, type PlannedBatch } from "../data/batches.ts";
import { checkPrecision } from "../gpu/adapter.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Program } from "../gpu/program.ts";
import { Session, type Values } from "../gpu/session.ts";
import type { MemoryPlan } from "../graph/memory.ts";
import type { Node } from "../graph/node.ts";
import { operationsOf } from "../graph/operations.ts";
import { type Precision, storagePolicy } from "../graph/precision.ts";
import { variableAttributes } from "../graph/leaves.ts";
import type { Model } from "../models/model.ts";
import type { LossScaling } from "../ops/loss_scale.ts";
import { type Attached, fullPrecisionNames } from "../peft/method.ts";
import type { Tensor } from "../formats/safetensors.ts";
import type { Checkpoint, CheckpointInterval } from "./checkpoint.ts";
import { defaultExecution, type Execution } from "./execution.ts";
import { LOSS_CAPACITY, runGraphs } from "./graphs.ts";
import { initialValues, type WeightValues } from "./initialize.ts";
import {
  KEPT_HOST_BYTES,
  KEPT_WAYS,
  KeptFeatures,
  keptLimit,
  type KeptWay,
} from "./kept_features.ts";
import { longestText } from "./longest_text.ts";
import type { Update } from "./optimizer.ts";
import { Paused } from "./paused.ts";
import {
  type PlannedSplit,
  planScoring,
  programsByLength,
  rowsOf,
  scoreSplit,
  type Scoring,
} from "./scoring.ts";
import type { TrainSettings } from "./settings.ts";
import type { Encoded, Task } from "./task.ts";

/** Seconds between two waits for the GPU: often enough for a progress bar, rare enough to be free. */
const SYNC_SECONDS = 0.5;

/** Everything that one run needs. */
export interface TrainRun {
  readonly gpu: Gpu;
  readonly model: Model;
  readonly attached: Attached;
  readonly task: Task;
  readonly settings: TrainSettings;
  readonly seed: number;
  /** How weights and activations are stored; f32 unless given. */
  readonly precision?: Precision;
  /** How a run in f16 scales its loss; as PyTorch does unless given. */
  readonly lossScaling?: LossScaling;
  /** Values of the base's parameters; what is missing (a head) is drawn by the seed. */
  readonly weights: WeightValues;
  readonly train: readonly Encoded[];
  readonly validation: readonly Encoded[];
  /** Further splits, scored once with the weights that are kept. */
  readonly splits?: Readonly<Record<string, readonly Encoded[]>>;
  /** How it is carried out; the results do not depend on it. */
  readonly execution?: Execution;
  readonly signal?: AbortSignal;
  readonly onSync?: (progress: SyncProgress) => void;
  /** Where the run goes on from: of the same run on the same device; from the start unless given. */
  readonly resume?: Checkpoint | null;
  /** Saves the run, as often as its execution says and when it is stopped; training waits. */
  readonly onCheckpoint?: (checkpoint: Checkpoint) => Promise<void>;
  /**
   * Called with the validation scores [examples][classes] after every epoch (once, for epoch 0, where
   * nothing trains), and first of all for the epochs that a run to go on from has behind it.
   */
  readonly onEpoch?: (epoch: EpochOutcome) => EpochDecision | void;
}

/** What follows from an epoch's outcome. */
export interface EpochDecision {
  /** Keep the weights as they are now; those after the last epoch are kept where none ever are. */
  readonly keep?: boolean;
  /** Train no further. */
  readonly stop?: boolean;
  /** Save the run and leave it, to be gone on with later: it ends by throwing {@linkcode Paused}. */
  readonly pause?: boolean;
}

/** Where a run stands when the host has waited for the device. */
export interface SyncProgress {
  readonly epoch: number;
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly stepsPerSecond: number;
}

/** What an epoch led to. */
export interface EpochOutcome {
  /** From 1; 0 where nothing trains. */
  readonly epoch: number;
  /** Loss of each of the epoch's steps. */
  readonly losses: readonly number[];
  /** Scores of each validation example, in order. */
  readonly scores: Scores;
  /** Where the loss is scaled: by how much, and how many steps so far were skipped for it. */
  readonly lossScale?: LossScale;
}

/** State of a loss scale. */
export interface LossScale {
  readonly scale: number;
  readonly skippedSteps: number;
}

/** Scores of a split, [examples][classes]. */
export type Scores = readonly (readonly number[])[];

/** What a run leaves besides its epochs. */
export interface TrainOutcome {
  readonly memory: MemoryPlan;
  /** Whether the backward pass computed the blocks' insides again. */
  readonly recomputed: boolean;
  /** Seconds of the attempts before this one, up to the checkpoint that it went on from. */
  readonly secondsBefore: number;
  /** Seconds spent in training steps, waits included, evaluation and compilation not. */
  readonly trainSeconds: number;
  /** Optimizer steps and epochs that were taken; fewer than planned where training stopped early. */
  readonly steps: number;
  readonly epochs: number;
  readonly dispatchesPerStep: number;
  /** Floating-point operations of all steps that were taken, padding included, evaluation not. */
  readonly operations: number;
  /** Scores of the further splits. */
  readonly splits: Readonly<Record<string, Scores>>;
  /** Kept values of what trained, by name. */
  readonly trained: ReadonlyMap<
    string,
    { shape: readonly number[]; data: Float32Array<ArrayBuffer> }
  >;
}

/**
 * Trains and evaluates; the device's memory of the run is free again when this returns or throws.
 *
 * @throws RangeError where the plan does not fit the adapter or the budget, Error where the adapter
 *   lacks the precision; nothing has run then. {@linkcode Paused} where `onEpoch` said so.
 */
export async function train(run: TrainRun): Promise<TrainOutcome> {
  checkPrecision(run.precision ?? "f32", run.gpu.adapter);
  const planned = planRun(run);
  try {
    await planned.session.build(run.execution?.memory);
    return await trainIn(planned, run);
  } catch (error) {
    await new Promise((resolve) => setTimeout(resolve, 0)); // for the device to tell its loss
    run.gpu.check();
    throw error;
  } finally {
    planned.session.destroy();
  }
}

/** A run whose programs are planned, and nothing allocated. */
interface PlannedRun {
  readonly session: Session;
  readonly update: Update | null;
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
  /** Bytes that are kept, of all splits. */
  readonly keptBytes: number;
  readonly recomputed: boolean;
}

/**
 * Keeps what does not change as far as it fits, and computes again where asked to or where the plan
 * would not fit otherwise.
 */
function planRun(run: TrainRun): PlannedRun {
  const { recompute, memory, keepFeatures } = run.execution ?? defaultExecution;
  let planned: PlannedRun;
  for (const way of keepFeatures === "never" ? [{ price: Infinity }] : KEPT_WAYS) {
    planned = planPrograms(run, recompute === "always", way);
    const { session, keptBytes } = planned;
    const limit = way.host ? KEPT_HOST_BYTES : keptLimit(memory);
    if (session.misfit(memory) === null && keptBytes <= limit) return planned;
    if (keptBytes === 0) break;
  }
  return recompute === "auto" && planned!.update !== null
    ? planPrograms(run, true, { price: Infinity })
    : planned!;
}

function planPrograms(run: TrainRun, recomputed: boolean, way: KeptWay): PlannedRun {
  const { settings, attached, seed } = run;
  const lengths = run.train.map(({ ids }) => ids.length);
  const { batchSize } = settings;
  const rows = settings.microBatch ?? batchSize;
  const longest = longestText(run.model, attached);
  const stepsPerEpoch = Math.ceil(run.train.length / batchSize);
  const epochs = attached.trainable.length === 0 ? 0 : settings.epochs;
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

  const { update, backward, scores } = runGraphs(run, steps, recomputed);
  checkLabels([run.train, run.validation, ...Object.values(run.splits ?? {})], scores);
  const policy = storagePolicy(run.precision ?? "f32", fullPrecisionNames(attached));
  const session = new Session(run.gpu, policy);
  const lengthsOf = (batches: readonly PlannedBatch[]) =>
    batches.map(({ bucketLength }) => bucketLength);
  // What is computed once is worth nothing where it is read once.
  const keeps = epochs > 1 && way.price < Infinity;
  const trained = new Set(attached.trainable.map(({ name }) => name));
  const common = { rows, policy, trained, ...way };
  const kept = !keeps ? null : new KeptFeatures(session, {
    ...{ ...common, name: "train", roots: backward!, keep: [] },
    batches: plans.flat().flatMap((batch) => microBatches(batch, rows)),
    inputs: (batch) => run.task.trainingInputs(rowsOf(run.train, batch, rows)),
  });
  const keptScores = !keeps ? null : new KeptFeatures(session, {
    ...{ ...common, name: "validation", roots: [scores], keep: [scores] },
    batches: validation.batches,
    inputs: (batch) => run.task.scoringInputs(rowsOf(run.validation, batch, rows)),
  });
  const scoring = planScoring(
    ...[session, run.task, scores, rows, lengthsOf(validation.batches)] as const,
    keptScores,
  );
  return {
    session,
    update,
    steps,
    plans,
    validation,
    splits,
    training: backward === null ? null : programsByLength(
      lengthsOf(plans.flat()),
      (T) => kept?.program(T)?.program ?? session.program(backward, { B: rows, T }),
    ),
    updating: update === null ? null : session.program(update.roots, {}),
    scoring,
    scoringOnce: planScoring(
      ...[session, run.task, scores, rows] as const,
      splits.flatMap(([, { batches }]) => lengthsOf(batches)),
      null,
      scoring,
    ),
    kept,
    keptBytes: (kept?.bytes ?? 0) + (keptScores?.bytes ?? 0),
    recomputed,
  };
}

async function trainIn(planned: PlannedRun, run: TrainRun): Promise<TrainOutcome> {
  const { session, update, steps, plans, validation, splits } = planned;
  const { training, updating, scoring, scoringOnce, kept: features, recomputed } = planned;
  const { attached, seed, settings: { batchSize } } = run;
  const { rows } = scoring;
  upload(session, run);
  for (const [name, values] of update?.initial ?? []) session.upload(name, values);
  session.upload("seed", Uint32Array.of(seed));

  const started = performance.now();
  const past = run.resume ?? null;
  if (past !== null) restore(session, attached, past);
  const evaluate = () => scoreSplit(session, scoring, validation);
  const names = attached.trainable.map(({ name }) => name);
  const outcomes: EpochOutcome[] = [];
  let kept = past?.kept ? valuesOf(past.kept) : null;
  let trainSeconds = past?.trainSeconds ?? 0;
  let done = past?.step ?? 0;
  let ended = past?.epoch ?? 0;
  let [stopped, paused] = [false, false];
  for (const outcome of past?.outcomes ?? []) {
    outcomes.push(outcome);
    const decision = run.onEpoch?.(outcome); // what was kept, the checkpoint has
    stopped = decision?.stop === true;
    paused = decision?.pause === true;
  }
  if (paused && !stopped) throw new Paused(ended);
  const every = run.execution?.checkpoint ?? null;
  const clock = new CheckpointClock(run.onCheckpoint === undefined ? null : every, done);
  const saveIfDue = async (epoch: number, batch: number, losses: readonly number[]) => {
    const due = clock.due(done) || (paused && run.onCheckpoint !== undefined);
    if (!due && !(run.signal?.aborted && clock.behind(done))) return;
    const shape = new Map(attached.trainable.map(({ name, shape }) => [name, shape]));
    await run.onCheckpoint!({
      ...{ step: done, epoch, batch, trainSeconds },
      outcomes: [...outcomes],
      losses: [...losses],
      seconds: (past?.seconds ?? 0) + (performance.now() - started) / 1000,
      variables: await snapshot(session, attached),
      kept: kept &&
        new Map([...kept].map(([name, data]) => [name, { shape: shape.get(name)!, data }])),
    });
    clock.saved(done);
  };
  if (training !== null && updating !== null) {
    let interval = 1;
    for (const [epoch, plan] of plans.entries()) {
      if (epoch < ended || stopped) continue;
      const behind = epoch === past?.epoch ? past.batch : 0;
      const losses: number[] = behind > 0 ? [...past!.losses] : [];
      let since = performance.now();
      if (
        behind < plan.length && await features?.fill(plan.flatMap((one) => microBatches(one, rows)))
      ) {
        await session.wait();
        trainSeconds += (performance.now() - since) / 1000;
        since = performance.now();
      }
      let synced = done;
      for (const [i, batch] of plan.entries()) {
        if (i < behind) continue;
        const program = training.get(batch.bucketLength)!;
        const { examples } = rowsOf(run.train, batch, batchSize);
        const weight = run.task.weight(examples);
        // Inputs are written between submits, so each micro-batch is one; the last one updates.
        const parts = microBatches(batch, rows);
        for (const [i, part] of parts.entries()) {
          const inputs = run.task.trainingInputs(rowsOf(run.train, part, rows), weight);
          session.write(program, { ...inputs, ...features?.places(part) });
          session.run(i + 1 < parts.length ? [program] : [program, updating]);
        }
        done++;
        const last = i + 1 === plan.length;
        if (done - synced < interval && !last && !clock.dueByStep(done)) continue;
        losses.push(...await readLosses(session, synced, done));
        const seconds = (performance.now() - since) / 1000;
        const rate = (done - synced) / seconds;
        trainSeconds += seconds;
        interval = Math.max(1, Math.min(LOSS_CAPACITY - 1, Math.round(rate * SYNC_SECONDS)));
        synced = done;
        const loss = losses[losses.length - 1];
        run.onSync?.({ epoch: epoch + 1, step: done, steps, loss, stepsPerSecond: rate });
        await saveIfDue(epoch, i + 1, losses);
        run.signal?.throwIfAborted();
        since = performance.now();
      }
      ended = epoch + 1;
      const outcome: EpochOutcome = {
        epoch: ended,
        losses,
        scores: await evaluate(),
        ...(update!.lossScale === null ? {} : { lossScale: await readLossScale(session) }),
      };
      const decision = run.onEpoch?.(outcome);
      if (decision?.keep) kept = await session.readVariables(names);
      outcomes.push(outcome);
      stopped = decision?.stop === true;
      paused = decision?.pause === true && !stopped;
      await saveIfDue(ended, 0, []);
      run.signal?.throwIfAborted();
      if (paused) throw new Paused(ended);
    }
  } else {
    run.onEpoch?.({ epoch: 0, losses: [], scores: await evaluate() });
  }

  for (const [name, values] of kept ?? []) session.upload(name, values);
  const further: Record<string, Scores> = {};
  for (const [name, split] of splits) {
    further[name] = await scoreSplit(session, scoringOnce, split);
    run.signal?.throwIfAborted();
  }
  const values = kept ?? await session.readVariables(names);
  const [first] = training?.values() ?? [];
  return {
    memory: session.memory(),
    recomputed,
    secondsBefore: past?.seconds ?? 0,
    trainSeconds,
    steps: done,
    epochs: ended,
    dispatchesPerStep: first === undefined
      ? 0
      : first.dispatches * Math.ceil(batchSize / rows) + updating!.dispatches,
    operations: trainingOperations(planned, ended, rows),
    splits: further,
    trained: new Map(
      attached.trainable.map(({ name, shape }) => [name, { shape, data: values.get(name)! }]),
    ),
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

function upload(session: Session, { model, attached, weights, seed }: TrainRun): void {
  for (const parameter of [...model.scope.select(), ...attached.delta.select()]) {
    if (!session.has(parameter.name)) continue;
    const values = weights.get(parameter.name) ?? initialValues(parameter, seed, weights);
    session.upload(parameter.name, values);
  }
}

/** Cuts a batch into micro-batches; the last may be short. */
function microBatches(batch: PlannedBatch, size: number): PlannedBatch[] {
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

async function readLosses(session: Session, from: number, to: number): Promise<number[]> {
  const losses = (await session.readVariables(["losses"])).get("losses")!;
  return Array.from({ length: to - from }, (_, i) => losses[(from + i) % LOSS_CAPACITY]);
}

async function readLossScale(session: Session): Promise<LossScale> {
  const [scale, , skippedSteps] = (await session.readVariables(["loss_scale"])).get("loss_scale")!;
  return { scale, skippedSteps };
}

/**
 * What training changes: what trains (of the base, too), and the state of its optimizer. Gradients are
 * zero between steps; the rest is given by the run.
 */
function changing(session: Session, { trainable }: Attached): Map<string, Node> {
  const given = ["seed", "schedule"];
  const state = [...session.variables(["optimizer", "control"])];
  return new Map([
    ...trainable.map(({ name, node }) => [name, node] as const),
    ...state.filter(([name]) => !given.includes(name)),
  ]);
}

async function snapshot(session: Session, attached: Attached): Promise<Map<string, Tensor>> {
  const variables = changing(session, attached);
  const values = await session.readVariables([...variables.keys()]);
  return new Map([...variables].map(([name, node]) => {
    const { shape, dtype } = variableAttributes(node);
    const data = values.get(name)!;
    // Read back as f32 whatever it is: the bits count.
    return [name, { shape, data: dtype === "f32" ? data : new Uint32Array(data.buffer) }];
  }));
}

/** @throws TypeError where the checkpoint has other variables than the run. */
function restore(session: Session, attached: Attached, { variables }: Checkpoint): void {
  const names = new Set([...changing(session, attached).keys(), ...variables.keys()]);
  const odd = [...names].find((name) => !session.has(name) || !variables.has(name));
  if (odd !== undefined) {
    throw new TypeError(
      `Cannot go on from the checkpoint: run and checkpoint differ in variable ${odd}; remove the ` +
        "run's checkpoints to start it again",
    );
  }
  for (const [name, { data }] of variables) session.upload(name, data as Values);
}

function valuesOf(tensors: ReadonlyMap<string, Tensor>): Map<string, Float32Array<ArrayBuffer>> {
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array<ArrayBuffer>]));
}

/** When a run is to be saved. */
class CheckpointClock {
  readonly #every: CheckpointInterval | null;
  #step: number;
  #time = performance.now();

  constructor(every: CheckpointInterval | null, step: number) {
    this.#every = every;
    this.#step = step;
  }

  /** Whether the steps' number alone says so. */
  dueByStep(step: number): boolean {
    const every = this.#every;
    return every !== null && "steps" in every && step - this.#step >= every.steps;
  }

  due(step: number): boolean {
    const every = this.#every;
    if (every === null || "steps" in every) return this.dueByStep(step);
    return this.behind(step) && performance.now() - this.#time >= every.seconds * 1000;
  }

  /** Whether it is saved at all, and there is something new to save. */
  behind(step: number): boolean {
    return this.#every !== null && step > this.#step;
  }

  saved(step: number): void {
    this.#step = step;
    this.#time = performance.now();
  }
}
