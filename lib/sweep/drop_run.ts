import { claimRun } from "./claim.ts";
import type { Dropped } from "./halving_rounds.ts";
import { isDone } from "./run_folder.ts";
import { readStopped, type Stopped, writeStopped } from "./stopped.ts";

/**
 * Writes into a paused run's folder where halving stopped it, unless it says so already, or another
 * process has the run.
 *
 * @throws {Error} When it cannot be written
 */
export async function dropRun(folder: string, dropped: Dropped, eta: number): Promise<void> {
  const { cell: { settings }, rung, epoch, score, place: { mean, rank } } = dropped;
  const { metric, epochs } = settings;
  const sign = metric === "loss" ? -1 : 1; // scores are better the higher they are
  const stopped: Stopped = {
    ...{ eta, rung, epoch, epochs, metric, score: sign * score },
    dropped: { mean: sign * mean!, rank, settings: dropped.settings },
  };
  // What cannot be read is written anew.
  const before = await readStopped(folder).catch(() => null);
  if (JSON.stringify(before) === JSON.stringify(stopped)) return;
  const claim = await claimRun(folder);
  if (claim === null) return;
  try {
    if (!await isDone(folder)) await writeStopped(folder, stopped);
  } finally {
    await claim.release();
  }
}
