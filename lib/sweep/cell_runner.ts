/**
 * From an experiment to cells that run: opens base and data once, trains each cell on one device.
 *
 * @module
 */

import { EMBEDDED_PROMPT } from "../data/corpus/embedded_vocabulary.ts";
import type { Dataset, Example } from "../data/dataset.ts";
import { sampleStratified } from "../data/stratify.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { digestJson } from "../formats/digest.ts";
import { encodeSafetensors } from "../formats/safetensors.ts";
import { checkPrecision } from "../gpu/adapter.ts";
import { openGpu } from "../gpu/device.ts";
import type { Gpu } from "../gpu/device.ts";
import { kernelRecord } from "../gpu/tuning.ts";
import type { Precision } from "../graph/precision.ts";
import { loadOnnxRuntime } from "../infer/onnx_runtime.ts";
import type { Model } from "../models/model.ts";
import { methods } from "../peft/index.ts";
import { attachMethod } from "../peft/method.ts";
import type { CheckpointIdentity } from "../train/checkpoint.ts";
import { numericsFingerprint } from "../train/fingerprint.ts";
import { classWeights } from "../train/class_weights.ts";
import { EpochWatch } from "../train/epoch_watch.ts";
import type { Execution } from "../train/execution.ts";
import type { WeightValues } from "../train/initialize.ts";
import { longestText } from "../train/longest_text.ts";
import { largest, softmax, splitMetrics } from "../train/metrics.ts";
import { type Encoded, type LabelWords, makeTask } from "../train/task.ts";
import {
  type EpochOutcome,
  type Scores,
  train,
  type TrainOutcome,
  type TrainRun,
} from "../train/trainer.ts";
import { type Base, EMBEDDED, openBase } from "./base.ts";
import { type Cell, cellId } from "./cell.ts";
import { Checkpoints } from "./checkpoints.ts";
import { evaluateByOnnx } from "./evaluate_onnx.ts";
import type { ResolvedExperiment } from "./experiment.ts";
import { checkCells, checkTask } from "./check_cells.ts";
import { type CellContext, expandGrid } from "./grid.ts";
import { resolveLabelWords } from "./label_words.ts";
import { plannedBytes } from "./planned_bytes.ts";
import type {
  AdapterRecord,
  CellResult,
  EpochMetrics,
  HeadOrigin,
  Prediction,
  PreparedSweep,
  RunHooks,
} from "./run_cell.ts";
import { openStart, type StartDelta, startedWeights } from "./start_delta.ts";
import { type Places, tunedModel, writePlaces } from "./tuned.ts";
import { dataNotes, describeData, openData } from "./sweep_data.ts";

/** What T5 was taught to expect before a sentence of SST-2 (Raffel et al., 2020, appendix D). */
const T5_PREFIX = "sst2 sentence: ";

/**
 * Opens what an experiment names, and resolves its cells.
 *
 * @throws Error, TypeError or RangeError saying what of base, data or experiment does not fit; then
 *   nothing has run and nothing is left on the device.
 */
export async function prepareSweep(experiment: ResolvedExperiment): Promise<PreparedSweep> {
  const base = await openBase(experiment.base);
  const { train, ...prepared } = await prepareCells(experiment, base, await openData(experiment));
  return {
    ...prepared,
    runCell: async (cell, hooks) => {
      const { folder, onNote = () => {}, check = async () => {} } = hooks;
      const checkpoints = new Checkpoints(folder, checkpointIdentity(cell, prepared.adapter!));
      const resume = await checkpoints.latest(onNote);
      if (resume !== null) onNote(`Going on from step ${resume.step} of ${cellId(cell)}`);
      const trained = await train(cell, {
        ...hooks,
        resume,
        onCheckpoint: async (checkpoint) => {
          await check();
          await checkpoints.save(checkpoint);
        },
      });
      await check();
      const { data, start } = experiment;
      await writeTrained(folder, trained, { base: base.place, data, ...start && { start } });
      return trained.result;
    },
  };
}

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

/** An experiment with its base and data opened: its cells, and what trains them. */
export interface PreparedCells extends Omit<PreparedSweep, "runCell"> {
  /** Trains one of the cells; nothing is written. */
  readonly train: (cell: Cell, hooks: TrainHooks) => Promise<TrainedCell>;
  /** Has the cells after this run on these kernels, as an earlier run's `run.json` records them. */
  readonly pinKernels: (kernels: Readonly<Record<string, string>>) => void;
  /** The adapter that they run on. */
  readonly adapter: AdapterRecord;
}

/**
 * Resolves the cells of an experiment on a base and data that are open; the experiment's own `base`
 * and `data` give the names.
 *
 * @throws TypeError or RangeError saying what of them does not fit.
 */
export async function prepareCells(
  experiment: ResolvedExperiment,
  base: Base,
  data: Dataset,
): Promise<PreparedCells> {
  const { cells, notes, prefix, labelWords, start } = await resolveCells(experiment, base, data);
  // Where it is not to be had, nothing is trained.
  if (experiment.evalBackend === "ort") await loadOnnxRuntime();
  const gpu = await openFor(experiment.precision);
  const { probe } = await numericsFingerprint(gpu);
  const encoder = new Encoder(base, prefix);
  const { recompute, memory, checkpoint, keepFeatures } = experiment;
  const execution: Execution = { recompute, memory, checkpoint, keepFeatures };
  return {
    cells,
    train: (cell, hooks) =>
      trainCell({ gpu, base, data, encoder, labelWords, execution, start }, cell, hooks),
    pinKernels: (kernels) => {
      gpu.kernelChoices.clear();
      for (const [key, name] of Object.entries(kernels)) gpu.kernelChoices.set(key, name);
    },
    adapter: {
      name: gpu.adapter.description,
      limitsDigest: digestJson(gpu.adapter.limits).slice(0, 16),
      limits: gpu.limits,
      probe,
    },
    notes,
    close: () => gpu.destroy(),
  };
}

/**
 * The cells of an experiment, and facts about its base and data, without a device to run them.
 *
 * @throws Error, TypeError or RangeError saying what of base, data or experiment does not fit.
 */
export async function planSweep(
  experiment: ResolvedExperiment,
): Promise<Pick<PreparedSweep, "cells" | "notes">> {
  const base = await openBase(experiment.base);
  const { cells, notes } = await resolveCells(experiment, base, await openData(experiment));
  return { cells, notes };
}

/** Cells of an experiment on a base and data that are open, with what they share. */
interface ResolvedCells {
  readonly cells: Cell[];
  readonly notes: string[];
  readonly prefix: string;
  readonly labelWords: LabelWords | null;
  readonly start: StartDelta | null;
}

async function resolveCells(
  experiment: ResolvedExperiment,
  base: Base,
  data: Dataset,
): Promise<ResolvedCells> {
  const { labels } = data;
  const capable = base.build(labels.length, false).textToText !== undefined;
  checkTask(experiment.task, capable, base.name);
  const textToText = capable && experiment.task !== "classification";
  const words = resolveLabelWords(experiment.labelWords, labels);
  const context: CellContext = {
    base: { name: base.name, digest: base.digest },
    tokenizer: { digest: base.tokenizerDigest },
    data: describeData(experiment, data),
    task: {
      head: capable && !textToText,
      prefix: experiment.prefix ?? (capable ? usualPrefix(experiment.base) : ""),
      labelWords: words,
      labels: [...labels],
    },
  };
  const start = experiment.start === null ? null : await openStart(experiment.start);
  if (start !== null) context.start = { name: start.name, digest: start.digest };
  if (experiment.evalBackend === "ort") context.evalBackend = "ort";
  const cells = expandGrid(experiment, context);
  if (start !== null) await checkStart(start, cells, base, labels.length);
  const labelWords = textToText
    ? { words, ids: words.map((word) => base.tokenizer.encodeBare(word)) }
    : null;
  checkCells(cells, base, data, labelWords);
  return {
    cells,
    prefix: context.task.prefix,
    labelWords,
    start,
    notes: [
      `Base ${base.name} (${base.digest.slice(0, 12)}), data ${context.data.name} (${
        data.digest.slice(0, 12)
      }): ${data.train.length} training, ${data.validation.length} validation examples`,
      `Labels: ${
        labels.map((label, i) =>
          textToText && words[i] !== label ? `${label} (${words[i]})` : label
        )
          .join(", ")
      }`,
      ...start === null ? [] : [`Start: ${start.name} (${start.digest.slice(0, 12)})`],
      ...dataNotes(data),
    ],
  };
}

async function openFor(precision: Precision): Promise<Gpu> {
  const gpu = await openGpu();
  try {
    checkPrecision(precision, gpu.adapter);
    return gpu;
  } catch (error) {
    gpu.destroy();
    throw error;
  }
}

function usualPrefix(base: string): string {
  return base === EMBEDDED ? EMBEDDED_PROMPT : T5_PREFIX;
}

/** Token ids of examples, each text encoded once. */
class Encoder {
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

interface Shared {
  readonly gpu: Gpu;
  readonly base: Base;
  readonly data: Dataset;
  readonly encoder: Encoder;
  readonly labelWords: LabelWords | null;
  readonly execution: Execution;
  /** What every cell starts from; null where the seed draws it. */
  readonly start: StartDelta | null;
}

/** Refuses a start that does not fit a cell, before any of them runs. */
async function checkStart(
  start: StartDelta,
  cells: readonly Cell[],
  base: Base,
  classes: number,
): Promise<void> {
  const kinds = Map.groupBy(cells, ({ method }) => JSON.stringify(method));
  for (const [{ method, task }] of kinds.values()) {
    const head = methods[method.name].needsHead || task.head;
    const model = base.build(classes, head);
    const encode = (text: string) => base.tokenizer.encodeBare(text);
    const attached = attachMethod({ ...model, encode }, methods[method.name], method.options);
    await startedWeights(start, method, model, attached, await base.weights(classes, head));
  }
}

/**
 * What a run's folder holds of its training: `delta.safetensors`, the weights, and
 * `losses.safetensors`, the loss of every step; nothing where nothing trained.
 */
export function trainedFiles(
  { trained, losses }: Pick<TrainedCell, "trained" | "losses">,
): Map<string, Uint8Array<ArrayBuffer>[]> {
  if (trained.size === 0) return new Map();
  const loss = { shape: [losses.length], data: losses };
  return new Map([
    ["delta.safetensors", encodeSafetensors(trained)],
    ["losses.safetensors", encodeSafetensors(new Map([["loss", loss]]))],
  ]);
}

/** Writes {@linkcode trainedFiles}, and where what the run was made from lies. */
export async function writeTrained(
  folder: string,
  trained: Pick<TrainedCell, "trained" | "losses">,
  places: Places,
): Promise<void> {
  for (const [name, bytes] of trainedFiles(trained)) {
    await writeFileAtomic(`${folder}/${name}`, bytes);
  }
  await writePlaces(folder, places);
}

/** What must be the same for a checkpoint to lead to the same bits. */
function checkpointIdentity(cell: Cell, adapter: AdapterRecord): CheckpointIdentity {
  const { name, limitsDigest, probe } = adapter;
  const { deno, v8 } = Deno.version;
  return { cell: cellId(cell), adapter: name, limits: limitsDigest, probe, deno, v8 };
}

async function trainCell(
  shared: Shared,
  cell: Cell,
  hooks: TrainHooks,
): Promise<TrainedCell> {
  const started = performance.now();
  const { gpu, base, data, encoder, labelWords, execution, start } = shared;
  gpu.check();
  gpu.chosenKernels.clear();
  const { settings, seed } = cell;
  const classes = data.labels.length;
  const method = methods[cell.method.name];
  const head = method.needsHead || cell.task.head;
  const model = base.build(classes, head);
  const encode = (text: string) => base.tokenizer.encodeBare(text);
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
  const outcome = await train({
    gpu,
    model,
    attached,
    task: makeTask(
      model,
      base.tokenizer.padId,
      model.textToText ? labelWords : null,
      classWeights(settings.classWeights, data.labels, sample),
    ),
    settings,
    seed,
    precision: cell.precision,
    weights,
    train: encoder.encode(sample, maxLength),
    validation: encoded.validation,
    splits: byOnnx ? {} : splits,
    execution,
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
  });
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
    kernels: kernelRecord(gpu),
    times: {
      msPerStep: steps === 0 ? null : trainSeconds * 1000 / steps,
      examplesPerSecond: steps === 0 ? null : sample.length * outcome.epochs / trainSeconds,
      seconds: outcome.secondsBefore + (performance.now() - started) / 1000,
    },
  };
  return { result, trained, losses: Float32Array.from(losses) };
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
