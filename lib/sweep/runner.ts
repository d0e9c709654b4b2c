import { Paused } from "../train/paused.ts";
import { type Cell, cellId } from "./cell.ts";
import { dropRun } from "./drop_run.ts";
import type { Environment } from "./environment.ts";
import { bracketName, type Halving, halvingText, planHalving, rungScore } from "./halving.ts";
import { HalvingRounds, type Leg } from "./halving_rounds.ts";
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
  readMetrics,
  readRun,
  type RunDescription,
  writeError,
  writeMetrics,
} from "./run_folder.ts";
import { clearStopped, writeStopped } from "./stopped.ts";
import { inTurns } from "./take_turns.ts";

/** How a cell ended. */
export type Outcome =
  | { kind: "done"; result: CellResult }
  | { kind: "skipped" }
  | { kind: "paused"; epoch: EpochMetrics; epochs: number }
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
  /** Stops settings that do not come up to others of their method; null or absent for none. */
  halving?: Halving | null;
}

/** How many cells ended in which way. */
export interface SweepSummary extends Record<"done" | "skipped" | "failed", number> {
  /** Stopped by halving, where a sweep does that. */
  dropped?: number;
}

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
 * Where it halves, cells run to the first rung, and pause there; those that go on run to the next,
 * and so on. What goes on follows from the metrics that the cells' folders hold.
 *
 * @throws {unknown} The signal's reason, once the running cell has stopped after an abort
 * @throws {RangeError} Where the cells cannot be halved; then nothing has run
 */
export async function runSweep(
  cells: readonly Cell[],
  runCell: RunCell,
  { out, label, environment, reporter, signal, budget = null, halving = null }: SweepOptions,
): Promise<SweepSummary> {
  const summary: SweepSummary = {
    ...{ done: 0, skipped: 0, failed: 0 },
    ...halving !== null && { dropped: 0 },
  };
  const end = budget === null ? Infinity : performance.now() + 1000 * budget;
  const brackets = halving === null ? [] : planHalving(cells, halving);
  const rounds = new HalvingRounds(cells, brackets);
  if (halving !== null) {
    reporter.note?.(halvingText(brackets, halving.eta, label));
  }
  const itemsOf = (legs: readonly Leg[]): Item[] => {
    const cells = legs.map(({ cell }) => cell);
    const until = new Map(legs.map(({ cell, until }) => [cell, until]));
    return (budget === null ? cells : inTurns(cells)).map((cell, index) => {
      const approach = label(cell.method);
      return {
        folder: runFolder(out, cell),
        place: { number: index + 1, count: legs.length, approach, seed: cell.seed },
        description: { id: cellId(cell), approach, cell, environment },
        pause: halving === null || until.get(cell) === null
          ? null
          : { epoch: until.get(cell)!, eta: halving.eta },
      };
    });
  };
  /** Whether it is settled; not where another process runs it. */
  const settle = async (item: Item, failedBefore: number | null): Promise<boolean> => {
    signal.throwIfAborted();
    const { folder, description: { cell } } = item;
    const before = await atRung(item);
    if (before !== null) {
      rounds.settle(cell, { epochs: before, done: false });
      return true;
    }
    // Cells that are done already take no time, and are counted.
    if (performance.now() >= end && !await isDone(folder)) return true;
    const outcome = await runOne(item, failedBefore, runCell, reporter, signal);
    if (outcome === null) return false;
    await reporter.end(item.place, outcome);
    if (outcome.kind === "interrupted") throw signal.reason;
    if (outcome.kind !== "paused") summary[outcome.kind]++;
    if (halving !== null) {
      const failed = outcome.kind === "failed";
      const done = outcome.kind !== "paused";
      rounds.settle(cell, failed ? null : { epochs: await readMetrics(folder), done });
    }
    return true;
  };
  const runRound = async (items: readonly Item[]): Promise<void> => {
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
  };
  if (halving === null) {
    await runRound(itemsOf(cells.map((cell) => ({ cell, until: null }))));
    return summary;
  }
  for (let legs: readonly Leg[] = rounds.first(); legs.length > 0;) {
    await runRound(itemsOf(legs));
    const next = rounds.next();
    for (const { bracket, text } of next.decisions) {
      reporter.note?.(`${bracketName(bracket, label)}: ${text}`);
    }
    for (const one of next.dropped) await dropRun(runFolder(out, one.cell), one, halving.eta);
    summary.dropped! += next.dropped.length;
    legs = next.legs;
  }
  return summary;
}

/** Metrics of a cell that has come to its rung; null where it has not, or has failed since. */
async function atRung({ folder, pause }: Item): Promise<EpochMetrics[] | null> {
  if (pause === null || await errorTime(folder) > 0 || await isDone(folder)) return null;
  // What cannot be read is written anew when the cell runs again.
  const epochs = await readMetrics(folder).catch(() => []);
  return (epochs.at(-1)?.epoch ?? 0) < pause.epoch ? null : epochs;
}

/** Milliseconds between two looks at a cell that another process runs. */
const POLL = 500;

/** A cell with what is written and told of it. */
interface Item {
  readonly folder: string;
  readonly place: CellPlace;
  readonly description: RunDescription;
  /** The rung that it pauses at; null where it runs to its end. */
  readonly pause: { readonly epoch: number; readonly eta: number } | null;
}

/**
 * Runs a cell, unless it is done; null where another process runs it.
 *
 * @param failedBefore Where another process has run it since: when it had failed before that.
 */
async function runOne(
  { folder, place, description, pause }: Item,
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
    // One after the other; what fails here fails again, and is told, when the run is published.
    // Epochs that a run has behind it come at once, and are written at once: none is lost meanwhile.
    writing = writing.then(() => writeMetrics(folder, [...epochs])).catch(() => {});
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
      await clearStopped(folder);
      return { kind: "skipped" };
    }
    const held = claim;
    if (failedBefore !== null && await errorTime(folder) > failedBefore) {
      return { kind: "failed", message: (await readRun(folder))?.error ?? "in another process" };
    }
    await clearTornFiles(folder);
    await openRun(folder, description);
    await clearStopped(folder);
    const check = () => held.check();
    const { cell } = description;
    let result: CellResult | null;
    try {
      const hooks = { folder, signal, onStep, onEpoch, onNote, check };
      result = await runCell(cell, pause === null ? hooks : { ...hooks, pauseAfter: pause.epoch });
    } catch (error) {
      if (!(error instanceof Paused)) throw error;
      result = null;
    } finally {
      await writing;
    }
    signal.throwIfAborted();
    if (result === null) {
      checkEpochs(epochs);
      await check();
      await writeMetrics(folder, epochs);
      const { metric } = cell.settings;
      const score = rungScore(cell, epochs, pause!.epoch)!;
      await writeStopped(folder, {
        ...{ eta: pause!.eta, rung: 0, epoch: epochs.at(-1)!.epoch, epochs: cell.settings.epochs },
        ...{ metric, score: metric === "loss" ? -score : score, dropped: null },
      });
      await clearError(folder);
      return { kind: "paused", epoch: epochs.at(-1)!, epochs: cell.settings.epochs };
    }
    checkResult(result, cell);
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
  checkEpochs(epochs);
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

/** Refuses metrics that are no numbers. */
function checkEpochs(epochs: readonly EpochMetrics[]): void {
  for (const epoch of epochs) {
    for (const [name, value] of Object.entries(epoch)) {
      if (typeof value !== "number" || Number.isFinite(value)) continue;
      throw new RangeError(
        `Cannot accept the run: ${name} of epoch ${epoch.epoch} is ${value}; ` +
          `lower the learning rate, or clip the gradients`,
      );
    }
  }
}
