/**
 * Experiments: a grid of methods, settings and seeds, its runs, and the comparison table.
 *
 * @module
 */

export { type Experiment, sweep } from "./lib/sweep/experiment.ts";
export {
  type ExperimentHooks,
  type ExperimentOutcome,
  runExperiment,
} from "./lib/sweep/run_experiment.ts";
export { type Cell, cellId, NUMERICS_VERSION } from "./lib/sweep/cell.ts";
export type { CellsPerProgram } from "./lib/sweep/packs.ts";
export {
  readRun,
  type Run,
  type RunDescription,
  type RunResult,
  type RunTimes,
  type Verdict,
} from "./lib/sweep/run_folder.ts";
export type { Stopped } from "./lib/sweep/stopped.ts";
export type { CellPlace, Outcome } from "./lib/sweep/runner.ts";
export type { Environment } from "./lib/sweep/environment.ts";
export type { Commit } from "./lib/sweep/provenance.ts";
export type {
  AdapterRecord,
  CellResult,
  CellTimes,
  EpochMetrics,
  HeadOrigin,
  PlannedBytes,
  Prediction,
  SplitOutcome,
  StepProgress,
} from "./lib/sweep/run_cell.ts";
export {
  buildTable,
  type PublishedRun,
  type QuantityName,
  type Table,
  type TableOptions,
  type TableRow,
} from "./lib/sweep/table.ts";
export type { Quantity } from "./lib/sweep/quantity.ts";
export { tableCsv, tableMarkdown, tableText } from "./lib/sweep/table_format.ts";
export type { Choice } from "./lib/sweep/choose_settings.ts";
export type { Comparison, Standing } from "./lib/sweep/compare_rows.ts";
export type { AnsweredRun, WrongAnswers } from "./lib/sweep/wrong_answers.ts";
export type { PublishedRow } from "./lib/sweep/published.ts";
