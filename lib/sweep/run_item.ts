import { Paused } from "../train/paused.ts";
import { checkEpochs, checkResult } from "./check_result.ts";
import { clearCheckpoints, clearTornFiles } from "./checkpoints.ts";
import { type Claim, claimRun, TakenOver } from "./claim.ts";
import { rungScore } from "./halving.ts";
import type { CellResult, EpochMetrics, RunCell, StepProgress } from "./run_cell.ts";
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
import type { CellPlace, Outcome, SweepReporter } from "./runner.ts";
import { clearStopped, writeStopped } from "./stopped.ts";

/** A cell with what is written and told of it. */
export interface Item {
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
export async function runItem(
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
    reporter.epoch(metrics, place);
  };
  const onStep = (progress: StepProgress): void => reporter.step(progress, place);
  const onNote = (text: string): void => reporter.note?.(text, place);
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
      reporter.note?.(message, place);
      return null;
    }
    // Where the error cannot be written either, the reporter still tells it.
    await writeError(folder, message).catch(() => {});
    return { kind: "failed", message };
  } finally {
    await claim?.release().catch(() => {});
  }
}
