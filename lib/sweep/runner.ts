import { type Cell, cellId } from "./cell.ts";
import type { Environment } from "./environment.ts";
import type { MethodSpec } from "./method_spec.ts";
import type { CellResult, EpochMetrics, RunCell, StepProgress } from "./run_cell.ts";
import {
  clearError,
  isDone,
  openRun,
  publishRun,
  type RunDescription,
  writeError,
  writeMetrics,
} from "./run_folder.ts";
import { inTurns } from "./take_turns.ts";

/** How a cell ended. */
export type Outcome =
  | { kind: "done"; result: CellResult }
  | { kind: "skipped" }
  | { kind: "failed"; message: string }
  | { kind: "interrupted" };

/** A cell's place in its sweep. */
export interface CellPlace {
  /** Counted from 1. */
  number: number;
  /** Cells of the sweep. */
  count: number;
  /** The method's name in tables. */
  approach: string;
  /** The cell's seed. */
  seed: number;
}

/** Listens to a sweep; see progress.ts for what prints it. */
export interface SweepReporter {
  /** Before a cell runs, or is found done. */
  start(place: CellPlace): void;
  /** Passes on what the cell reports. */
  step(progress: StepProgress): void;
  /** Passes on what the cell reports. */
  epoch(metrics: EpochMetrics): void;
  /** After a cell, however it ended. */
  end(place: CellPlace, outcome: Outcome): Promise<void>;
}

/** What a sweep needs besides its cells. */
export interface SweepOptions {
  /** Folder that receives one folder for each cell, named by its id. */
  out: string;
  /** Names a method for tables. */
  label(method: MethodSpec): string;
  /** Goes into every `run.json`. */
  environment: Environment;
  /** Told of everything that happens. */
  reporter: SweepReporter;
  /** Stops the sweep. */
  signal: AbortSignal;
  /** Seconds after which no cell begins, while methods take turns; null or absent for no limit. */
  budget?: number | null;
}

/** How many cells ended in which way. */
export type SweepSummary = Record<"done" | "skipped" | "failed", number>;

/** Folder of a cell's run. */
export function runFolder(out: string, cell: Cell): string {
  return `${out}/${cellId(cell)}`;
}

/**
 * Runs the cells that are not done yet, one after the other; one that fails leaves its error in its
 * folder, and the others go on. Under a budget the cells come in turns of their methods, the one that
 * runs when it is over goes on to its end, and the rest have no folder.
 *
 * @throws {unknown} The signal's reason, once the running cell has stopped after an abort
 */
export async function runSweep(
  cells: readonly Cell[],
  runCell: RunCell,
  { out, label, environment, reporter, signal, budget = null }: SweepOptions,
): Promise<SweepSummary> {
  const summary: SweepSummary = { done: 0, skipped: 0, failed: 0 };
  const end = budget === null ? Infinity : performance.now() + 1000 * budget;
  for (const [index, cell] of (budget === null ? cells : inTurns(cells)).entries()) {
    signal.throwIfAborted();
    // Cells that are done already take no time, and are counted.
    if (performance.now() >= end && !await isDone(runFolder(out, cell))) continue;
    const approach = label(cell.method);
    const place = { number: index + 1, count: cells.length, approach, seed: cell.seed };
    const description = { id: cellId(cell), approach, cell, environment };
    const folder = runFolder(out, cell);
    reporter.start(place);
    const outcome = await runOne(description, folder, runCell, reporter, signal);
    await reporter.end(place, outcome);
    if (outcome.kind === "interrupted") throw signal.reason;
    summary[outcome.kind]++;
  }
  return summary;
}

async function runOne(
  description: RunDescription,
  folder: string,
  runCell: RunCell,
  reporter: SweepReporter,
  signal: AbortSignal,
): Promise<Outcome> {
  let writing: Promise<void> = Promise.resolve();
  const epochs: EpochMetrics[] = [];
  const onEpoch = (metrics: EpochMetrics): void => {
    epochs.push(metrics);
    const soFar = [...epochs];
    // One after the other; what fails here fails again, and is told, when the run is published.
    writing = writing.then(() => writeMetrics(folder, soFar)).catch(() => {});
    reporter.epoch(metrics);
  };
  const onStep = (progress: StepProgress): void => reporter.step(progress);
  try {
    if (await isDone(folder)) {
      await clearError(folder);
      return { kind: "skipped" };
    }
    await openRun(folder, description);
    let result: CellResult;
    try {
      result = await runCell(description.cell, { folder, signal, onStep, onEpoch });
    } finally {
      await writing;
    }
    signal.throwIfAborted();
    checkResult(result, description.cell);
    await publishRun(folder, description, result);
    return { kind: "done", result };
  } catch (error) {
    if (signal.aborted) return { kind: "interrupted" };
    const message = error instanceof Error ? error.message : String(error);
    // Where the error cannot be written either, the reporter still tells it.
    await writeError(folder, message).catch(() => {});
    return { kind: "failed", message };
  }
}

/** Refuses the result of a run that diverged, or that does not fit its cell. @throws RangeError. */
export function checkResult({ epochs, predictions, splits }: CellResult, { task }: Cell): void {
  for (const epoch of epochs) {
    for (const [name, value] of Object.entries(epoch)) {
      if (typeof value === "number" && !Number.isFinite(value)) {
        throw new RangeError(
          `Cannot accept the run: ${name} of epoch ${epoch.epoch} is ${value}; ` +
            `lower the learning rate, or clip the gradients`,
        );
      }
    }
  }
  const classes = task.labels.length;
  const isClass = (index: number): boolean => index in task.labels;
  const all = [predictions, ...Object.values(splits).map((split) => split.predictions)].flat();
  const wrong = all.find(({ label, prediction, scores }) =>
    !isClass(label) || !isClass(prediction) || scores.length !== classes
  );
  if (epochs.length === 0 || wrong !== undefined) {
    throw new RangeError(
      `Cannot accept the run: ` + (wrong === undefined ? "it has no epoch" : `prediction ` +
        `${wrong.id} does not fit ${classes} classes`),
    );
  }
}
