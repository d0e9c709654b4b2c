/**
 * One cell's training: the run that its description asks for, and what its outcome says.
 *
 * @module
 */

import type { Dataset, Example } from "../data/dataset.ts";
import { sampleStratified } from "../data/stratify.ts";
import type { Gpu } from "../gpu/device.ts";
import type { KernelTuner } from "../gpu/tuner.ts";
import type { Model } from "../models/model.ts";
import { methods } from "../peft/index.ts";
import { attachMethod } from "../peft/method.ts";
import { classWeights } from "../train/class_weights.ts";
import { EpochWatch } from "../train/epoch_watch.ts";
import type { Execution } from "../train/execution.ts";
import type { WeightValues } from "../train/initialize.ts";
import { longestText } from "../train/longest_text.ts";
import { largest, softmax, splitMetrics } from "../train/metrics.ts";
import { type Encoded, type LabelWords, makeTask } from "../train/task.ts";
import type { PackBase } from "../train/train_pack.ts";
import {
  type EpochOutcome,
  type Scores,
  train,
  type TrainOutcome,
  type TrainRun,
} from "../train/trainer.ts";
import type { Base } from "./base.ts";
import type { Cell } from "./cell.ts";
import { evaluateByOnnx } from "./evaluate_onnx.ts";
import { plannedBytes } from "./planned_bytes.ts";
import type { CellResult, EpochMetrics, HeadOrigin, Prediction, RunHooks } from "./run_cell.ts";
import { type StartDelta, startedWeights } from "./start_delta.ts";
import { tunedModel } from "./tuned.ts";

/** What a cell's training leaves. */
export interface TrainedCell {
  /** Measurements, predictions, counts and times. */
  readonly result: CellResult;
  /** Kept values of what trained, by name. */
  readonly trained: TrainOutcome["trained"];
  /** Loss of every step that was taken. */
  readonly losses: Float32Array<ArrayBuffer>;
}

/** Who listens to a cell's training, where it goes on from, and where it is saved. */
export type TrainHooks =
  & Pick<RunHooks, "signal" | "onStep" | "onEpoch" | "pauseAfter">
  & Pick<TrainRun, "resume" | "onCheckpoint">;

/** Token ids of examples, each text encoded once. */
export class Encoder {
  readonly #base: Base;
  readonly #prefix: string;
  readonly #known = new Map<string, number[]>();

  constructor(base: Base, prefix: string) {
    this.#base = base;
    this.#prefix = prefix;
  }

  encode(examples: readonly Example[], maxLength: number): Encoded[] {
    return examples.map(({ text, label }) => {
      const key = `${maxLength} ${text}`;
      const ids = this.#known.get(key) ??
        this.#base.tokenizer.encode(this.#prefix + text, maxLength);
      this.#known.set(key, ids);
      return { ids, label };
    });
  }
}

/** What the cells of an experiment share. */
export interface Shared {
  readonly gpu: Gpu;
  readonly base: Base;
  readonly data: Dataset;
  readonly encoder: Encoder;
  readonly labelWords: LabelWords | null;
  readonly execution: Execution;
  /** Measures kernels; null where a rule chooses. */
  readonly tuner: KernelTuner | null;
  /** What every cell starts from; null where the seed draws it. */
  readonly start: StartDelta | null;
}

/** A cell before it trains. */
export interface CellRun {
  readonly run: TrainRun;
  /** The base anew, nothing attached, with the cell's task on it. */
  readonly base: () => PackBase;
  /**
   * What the cell leaves, measured and put in words.
   *
   * @param seconds That its training took now, from its preparation on; where cells shared a program,
   *   its share of them.
   * @param sharedBy Cells that shared its program, itself among them.
   */
  finish(outcome: TrainOutcome, seconds: number, sharedBy: number): Promise<TrainedCell>;
}

/** Trains a cell in programs of its own. */
export async function trainCell(
  shared: Shared,
  cell: Cell,
  hooks: TrainHooks,
): Promise<TrainedCell> {
  const started = performance.now();
  shared.gpu.check();
  const { run, finish } = await prepareCell(shared, cell, hooks);
  const outcome = await train(run);
  return await finish(outcome, (performance.now() - started) / 1000, 1);
}

/** Prepares a cell's training; nothing is on the device yet. */
export async function prepareCell(
  { gpu, base, data, encoder, labelWords, execution, tuner, start }: Shared,
  cell: Cell,
  hooks: TrainHooks,
): Promise<CellRun> {
  const { settings, seed } = cell;
  const classes = data.labels.length;
  const method = methods[cell.method.name];
  const head = method.needsHead || cell.task.head;
  const model = base.build(classes, head);
  const encode = (text: string) => base.tokenizer.encodeBare(text);
  const taskOf = (model: Model) =>
    makeTask(
      model,
      base.tokenizer.padId,
      model.textToText ? labelWords : null,
      classWeights(settings.classWeights, data.labels, sample),
    );
  const attached = attachMethod({ ...model, encode }, method, cell.method.options);
  const maxLength = Math.min(settings.maxLength, longestText(model, attached));
  const sample = cell.data.trainSize === null
    ? data.train
    : sampleStratified(data.train, cell.data.trainSize, seed);
  const labels = data.validation.map(({ label }) => label);
  const further: Readonly<Record<string, readonly Example[]>> = Object.fromEntries(
    cell.data.evaluate.map((name) => [name, name === "train" ? sample : data.test!]),
  );
  const splits = Object.fromEntries(
    Object.entries(further).map(([name, own]) => [name, encoder.encode(own, maxLength)]),
  );
  const encoded = { validation: encoder.encode(data.validation, maxLength), ...splits };
  const byOnnx = cell.evalBackend === "ort";
  const untuned = await base.weights(classes, head);
  const weights = start === null
    ? untuned
    : await startedWeights(start, cell.method, model, attached, untuned);
  const watch = new EpochWatch<EpochMetrics>(settings);
  const epochs: EpochMetrics[] = [];
  const losses: number[] = [];
  let kept = null as { metrics: EpochMetrics; scores: Scores } | null;
  const run: TrainRun = {
    gpu,
    model,
    attached,
    task: taskOf(model),
    settings,
    seed,
    precision: cell.precision,
    weights,
    train: encoder.encode(sample, maxLength),
    validation: encoded.validation,
    splits: byOnnx ? {} : splits,
    execution,
    tuner,
    signal: hooks.signal,
    resume: hooks.resume,
    onCheckpoint: hooks.onCheckpoint,
    onSync: (progress) => hooks.onStep({ ...progress, epochs: settings.epochs }),
    onEpoch: (epoch) => {
      const metrics = epochMetrics(epoch, labels, classes);
      const decision = watch.next(metrics);
      if (settings.keep === "last" || decision.keep) kept = { metrics, scores: epoch.scores };
      epochs.push(metrics);
      losses.push(...epoch.losses);
      hooks.onEpoch(metrics);
      const { pauseAfter = Infinity } = hooks;
      return { ...decision, pause: pauseAfter <= epoch.epoch && epoch.epoch < settings.epochs };
    },
  };
  const finish: CellRun["finish"] = async (outcome, seconds, sharedBy) => {
    const started = performance.now();
    const { memory, steps, trainSeconds, trained } = outcome;
    const evaluation = byOnnx
      ? await evaluateByOnnx(
        await tunedModel(
          cell,
          base,
          () => Promise.resolve(new Map([...trained].map(([name, { data }]) => [name, data]))),
        ),
        encoded,
        settings.batchSize,
      )
      : { by: undefined, scores: { validation: kept!.scores, ...outcome.splits } };
    const { validation: scores, ...scoresOf } = evaluation.scores as Record<string, Scores>;
    const metrics = byOnnx
      ? { ...kept!.metrics, ...scoreMetrics(scores, labels, classes) }
      : kept!.metrics;
    const result: CellResult = {
      epochs,
      best: epochs.reduce((best, one) => one.accuracy > best.accuracy ? one : best),
      last: epochs[epochs.length - 1],
      kept: metrics,
      stoppedEarly: outcome.epochs < settings.epochs,
      head: headOrigin(model, weights),
      parameters: attached.counts,
      note: method.note?.(model.scope.sites, cell.method.options) ?? null,
      planned: {
        ...plannedBytes(memory, attached.counts),
        recomputed: outcome.recomputed,
        operations: outcome.operations,
      },
      predictions: predictions(data.validation, scores),
      splits: Object.fromEntries(
        Object.entries(further).map(([name, own]) => {
          const scores = scoresOf[name];
          const metrics = splitMetrics(own.map(({ label }) => label), scores, classes);
          return [name, { metrics, predictions: predictions(own, scores) }];
        }),
      ),
      ...evaluation.by === undefined ? {} : { evaluatedBy: evaluation.by },
      kernels: outcome.kernels,
      times: {
        msPerStep: steps === 0 ? null : trainSeconds * 1000 / steps,
        examplesPerSecond: steps === 0 ? null : sample.length * outcome.epochs / trainSeconds,
        seconds: outcome.secondsBefore + seconds + (performance.now() - started) / 1000,
        ...sharedBy > 1 && { sharedBy },
      },
    };
    return { result, trained, losses: Float32Array.from(losses) };
  };
  return {
    run,
    finish,
    base: () => {
      const model = base.build(classes, head);
      return { model: { ...model, encode }, task: taskOf(model) };
    },
  };
}

/** Where what tells the classes apart comes from. */
function headOrigin({ head, textToText }: Model, weights: WeightValues): HeadOrigin {
  if (textToText !== undefined) return "label_words";
  return head.every((name) => weights.has(name)) ? "checkpoint" : "seeded";
}

function predictions(examples: readonly Example[], scores: Scores): Prediction[] {
  return scores.map((own, i) => ({
    id: examples[i].id,
    label: examples[i].label,
    prediction: largest(own),
    scores: softmax(own),
  }));
}

function epochMetrics(
  { epoch, losses, scores, lossScale }: EpochOutcome,
  labels: readonly number[],
  classes: number,
): EpochMetrics {
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  return {
    epoch,
    trainLoss: losses.length === 0 ? null : mean(losses),
    ...scoreMetrics(scores, labels, classes),
    ...(lossScale && { lossScale: lossScale.scale, skippedSteps: lossScale.skippedSteps }),
  };
}

/** What an epoch's entry says of the validation scores. */
function scoreMetrics(
  scores: Scores,
  labels: readonly number[],
  classes: number,
): Omit<EpochMetrics, "epoch" | "trainLoss"> {
  const { examples: _, loss, ...metrics } = splitMetrics(labels, scores, classes);
  return { evalLoss: loss, ...metrics };
}
