/**
 * Training one method on one data set, for programs: the same cell that a sweep would run.
 *
 * @module
 */

import type { Dataset } from "../data/dataset.ts";
import type { Precision } from "../graph/precision.ts";
import { methods } from "../peft/index.ts";
import type { Execution } from "../train/execution.ts";
import type { TrainSettings } from "../train/settings.ts";
import type { Base } from "./base.ts";
import { type Cell, cellId } from "./cell.ts";
import { prepareCells, writeTrained } from "./cell_runner.ts";
import { type Classifier, type ClassifierOptions, makeClassifier } from "./classifier.ts";
import { environment } from "./environment.ts";
import { type Experiment, resolveExperiment, sweep } from "./experiment.ts";
import type { MethodOptions } from "../peft/method.ts";
import type { AdapterRecord, CellResult, EpochMetrics, StepProgress } from "./run_cell.ts";
import { isDone, openOut, openRun, publishRun } from "./run_folder.ts";
import { checkResult } from "./check_result.ts";
import type { TrainedCell } from "./train_cell.ts";
import { tunedModel } from "./tuned.ts";

/** What to train, on what and how; base, data and method are needed. */
export interface FineTuneOptions extends Partial<Execution>, ClassifierOptions {
  /** The base, as `openBase` opens it. */
  readonly base: Base;
  /** The data, as `loadDataset` reads it or `datasetFrom` makes it. */
  readonly data: Dataset;
  /** As text, such as `lora:rank=8;lr=5e-3`, or by name with options; see `methods`. */
  readonly method: string | { readonly name: string; readonly options?: MethodOptions };
  /** What differs from the defaults; the learning rate's is the method's. */
  readonly settings?: Partial<TrainSettings>;
  /** Draws initial values, the order of examples and dropout; 0 unless given. */
  readonly seed?: number;
  /** Training examples, drawn stratified by the seed; all unless given. */
  readonly trainSize?: number;
  /** Folder of a saved delta of the method, whose values replace the seeded ones; see `openAdapter`. */
  readonly start?: string;
  /** How weights and activations are stored; f32 unless given. */
  readonly precision?: Precision;
  /** How classes are told; text-to-text where base and method can, else by a head. */
  readonly task?: "classification" | "text-to-text";
  /** Word of each class for a text-to-text base, by label or in class order. */
  readonly labelWords?: Readonly<Record<string, string>> | readonly string[];
  /** Put before every text; the base's usual one unless given. */
  readonly prefix?: string;
  /** Ends the training by throwing its reason. */
  readonly signal?: AbortSignal;
  /** Called about twice a second while training. */
  readonly onStep?: (progress: StepProgress) => void;
  /** Called after each epoch with its metrics on the validation split. */
  readonly onEpoch?: (metrics: EpochMetrics) => void;
}

/** A classifier that was just trained. */
export interface FineTuned extends Classifier {
  /** Metrics of every epoch and split, predictions, counts, planned bytes and times. */
  readonly result: CellResult;
  /**
   * Writes a run folder, as a sweep leaves it: `openClassifier` opens it, `tunegrid predict` and
   * `tunegrid export` take it. Needs `--allow-read` and `--allow-write` for the folder.
   *
   * @throws Error where it holds a run already, or cannot be written.
   */
  save(folder: string): Promise<void>;
}

/**
 * Trains a base by one method, on WebGPU. Needs no permission besides those for opening its base.
 *
 * @returns The classifier, with what its training measured; close it, or declare it `await using`.
 * @throws TypeError or RangeError where something does not fit, before anything is trained; or where
 *   a loss is no finite number. Error where there is no WebGPU adapter.
 *
 * @example
 * ```ts
 * import { datasetFrom, fineTune, openBase } from "@tunegrid/tunegrid";
 *
 * const texts = (label: string, words: string[]) =>
 *   words.map((word) => ({ text: `the music is ${word}`, label }));
 * await using tuned = await fineTune({
 *   base: await openBase("embedded"),
 *   data: datasetFrom({
 *     train: [...texts("good", ["superb", "charming"]), ...texts("bad", ["stale", "dreadful"])],
 *     validation: [...texts("good", ["splendid"]), ...texts("bad", ["awful"])],
 *   }),
 *   method: { name: "lora", options: { rank: 2 } },
 *   settings: { epochs: 1, batchSize: 4 },
 * });
 * console.log(tuned.result.parameters.trainable, tuned.result.last.accuracy);
 * ```
 */
export async function fineTune(options: FineTuneOptions): Promise<FineTuned> {
  const { base, data, signal = new AbortController().signal } = options;
  const experiment = resolveExperiment(experimentOf(options), methods);
  if (experiment.methods.length !== 1) {
    throw new RangeError(
      `Cannot fine-tune by ${experiment.methods.length} methods at once: give one value of each ` +
        `option, or use runExperiment`,
    );
  }
  const prepared = await prepareCells(experiment, base, data);
  try {
    const { cells: [cell], adapter } = prepared;
    const outcome = await prepared.train(cell, {
      signal,
      onStep: (progress) => options.onStep?.(progress),
      onEpoch: (metrics) => options.onEpoch?.(metrics),
    });
    const { result, trained } = outcome;
    checkResult(result, cell);
    const values = new Map([...trained].map(([name, { data }]) => [name, data]));
    const model = await tunedModel(cell, base, () => Promise.resolve(values));
    return Object.assign(makeClassifier(model, options), {
      result,
      save: (folder: string) => save(folder, cell, adapter, outcome, base),
    });
  } finally {
    prepared.close();
  }
}

function experimentOf(options: FineTuneOptions): Experiment {
  const { base, data, method, settings = {}, seed = 0 } = options;
  const files = data.source.files.map(({ name }) => name).join(" + ");
  const named = typeof method === "string"
    ? method
    : [{ name: method.name, options: method.options ?? {} }];
  const experiment = sweep({
    base: base.name,
    data: files || "examples",
    methods: named,
    settings,
    seeds: [seed],
  });
  const given = {
    trainSize: options.trainSize,
    start: options.start,
    precision: options.precision,
    task: options.task,
    labelWords: options.labelWords,
    prefix: options.prefix,
    recompute: options.recompute,
    keepFeatures: options.keepFeatures,
    memory: options.memory,
    tune: options.tune,
  };
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...experiment, ...Object.fromEntries(entries) };
}

async function save(
  folder: string,
  cell: Cell,
  adapter: AdapterRecord,
  trained: TrainedCell,
  base: Base,
): Promise<void> {
  await openOut(folder);
  if (await isDone(folder)) {
    throw new Error(`Cannot save to ${folder}: it holds a finished run; use another folder`);
  }
  const approach = methods[cell.method.name].label(cell.method.options);
  const description = { id: cellId(cell), approach, cell, environment: environment(adapter) };
  await openRun(folder, description);
  await writeTrained(folder, trained, { base: base.place });
  await publishRun(folder, description, trained.result);
}
