/**
 * What was trained, put to use: runs opened again, classifiers, export to other formats.
 *
 * @module
 */

export type { LabelWords } from "./lib/train/task.ts";
export { openTuned, type Tuned, type TunedModel } from "./lib/sweep/tuned.ts";
export {
  type Classifier,
  type ClassifierOptions,
  makeClassifier,
  openClassifier,
  type OpenClassifierOptions,
} from "./lib/sweep/classifier.ts";
export type { Backend } from "./lib/infer/backend.ts";
export {
  type PredictionFormat,
  predictionFormats,
  type PredictionWriter,
  predictionWriter,
  type TextPrediction,
} from "./lib/infer/prediction_format.ts";
export {
  type ExportFormat,
  exportFormats,
  type ExportOptions,
  exportRun,
} from "./lib/sweep/export.ts";
export { type AdapterTask, openAdapter } from "./lib/sweep/open_adapter.ts";
export { openExport } from "./lib/sweep/open_export.ts";
