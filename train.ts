/**
 * Training one method on one data set: data, settings, {@linkcode fineTune}, metrics.
 *
 * @module
 */

export { fineTune, type FineTuned, type FineTuneOptions } from "./lib/sweep/fine_tune.ts";
export {
  type Dataset,
  type DatasetOptions,
  type DataSource,
  type Duplicates,
  type Example,
  loadDataset,
  makeDataset,
  type SplitName,
} from "./lib/data/dataset.ts";
export type { Splits } from "./lib/data/duplicates.ts";
export type { DelimitedFormat } from "./lib/data/delimited.ts";
export { datasetFrom, type LabelledSplits, type LabelledText } from "./lib/data/from_examples.ts";
export {
  defaultTrainSettings,
  methodLearningRate,
  type TrainSettings,
  trainSettings,
} from "./lib/train/settings.ts";
export type { Execution, KeepFeatures, Recompute, TuneKernels } from "./lib/train/execution.ts";
export type { CheckpointInterval } from "./lib/train/checkpoint.ts";
export type { Precision } from "./lib/graph/precision.ts";
export {
  type ClassificationMetrics,
  classificationMetrics,
  type ClassMetrics,
  type SplitMetrics,
  splitMetrics,
} from "./lib/train/metrics.ts";
