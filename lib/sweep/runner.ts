import { type Cell, cellId } from "./cell.ts";
import type { Environment } from "./environment.ts";
import type { MethodSpec } from "./method_spec.ts";
import type { CellResult, EpochMetrics, RunCell, StepProgress } from "./run_cell.ts";
import { clearCheckpoints, clearTornFiles } from "./checkpoints.ts";
import { type Claim, claimRun, TakenOver } from "./claim.ts";
import {
  clearError,
  errorTime,
  isDone,
  openRun,
  publishRun,
  readRun,
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
  /** A sentence for the person who watches. */
  note?(text: string): void;
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
 * runs when it is over goes on to its end, and the rest have no folder. Of several processes on one
 * folder, each cell is run by one; the others wait for it at the end.
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
  const order = budget === null ? cells : inTurns(cells);
  const items = order.map((cell, index): Item => {
    const approach = label(cell.method);
    return {
      folder: runFolder(out, cell),
      place: { number: index + 1, count: cells.length, approach, seed: cell.seed },
      description: { id: cellId(cell), approach, cell, environment },
    };
  });
  /** Whether it is settled; not where another process runs it. */
  const settle = async (item: Item, failedBefore: number | null): Promise<boolean> => {
    signal.throwIfAborted();
    // Cells that are done already take no time, and are counted.
    if (performance.now() >= end && !await isDone(item.folder)) return true;
    const outcome = await runOne(item, failedBefore, runCell, reporter, signal);
    if (outcome === null) return false;
    await reporter.end(item.place, outcome);
    if (outcome.kind === "interrupted") throw signal.reason;
    summary[outcome.kind]++;
    return true;
  };
  const held: { item: Item; failed: number }[] = [];
  for (const item of items) {
    const failed = await errorTime(item.folder);
    if (!await settle(item, null)) held.push({ item, failed });
  }
  if (held.length > 0) {
    reporter.note?.(`Waiting for ${held.length} cells that another process runs`);
  }
  while (held.length > 0) {
    const [{ item, failed }] = held;
    if (await settle(item, failed)) held.shift();
    else await pause(POLL, signal);
  }
  return summary;
}

/** Milliseconds between two looks at a cell that another process runs. */
const POLL = 500;

/** A cell with what is written and told of it. */
interface Item {
  readonly folder: string;
  readonly place: CellPlace;
  readonly description: RunDescription;
}

/**
 * Runs a cell, unless it is done; null where another process runs it.
 *
 * @param failedBefore Where another process has run it since: when it had failed before that.
 */
async function runOne(
  { folder, place, description }: Item,
  failedBefore: number | null,
  runCell: RunCell,
  reporter: SweepReporter,
  signal: AbortSignal,
): Promise<Outcome | null> {
  const start = new Date();
  let claim: Claim | null = null;
  let begun = false;
  const begin = (): void => {
    reporter.start(place);
    begun = true;
  };
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
  const onNote = (text: string): void => reporter.note?.(text);
  try {
    if (!await isDone(folder)) {
      claim = await claimRun(folder);
      // It may have become done since.
      if (claim === null && !await isDone(folder)) return null;
    }
    begin();
    if (claim === null || await isDone(folder)) {
      await clearError(folder);
      await clearCheckpoints(folder);
      return { kind: "skipped" };
    }
    const held = claim;
    if (failedBefore !== null && await errorTime(folder) > failedBefore) {
      return { kind: "failed", message: (await readRun(folder))?.error ?? "in another process" };
    }
    await clearTornFiles(folder);
    await openRun(folder, description);
    const check = () => held.check();
    let result: CellResult;
    try {
      const hooks = { folder, signal, onStep, onEpoch, onNote, check };
      result = await runCell(description.cell, hooks);
    } finally {
      await writing;
    }
    signal.throwIfAborted();
    checkResult(result, description.cell);
    await check();
    await publishRun(folder, description, result, start);
    await clearCheckpoints(folder);
    return { kind: "done", result };
  } catch (error) {
    if (!begun) begin();
    if (signal.aborted) return { kind: "interrupted" };
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof TakenOver) {
      reporter.note?.(message);
      return null;
    }
    // Where the error cannot be written either, the reporter still tells it.
    await writeError(folder, message).catch(() => {});
    return { kind: "failed", message };
  } finally {
    await claim?.release().catch(() => {});
  }
}

/** Resolves after some milliseconds, rejects with the signal's reason when that aborts. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
  signal.throwIfAborted();
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
