import { writeFileAtomic } from "../formats/atomic.ts";
import { readShaped } from "../formats/json_shape.ts";
import type { TrainSettings } from "../train/settings.ts";
import { percent } from "./progress.ts";
import { stoppedShape } from "./run_shapes.ts";

/** Where a run stands that halving has paused or stopped (`stopped.json`); gone once it goes on. */
export interface Stopped {
  /** At each rung, one of so many settings of a method goes on. */
  readonly eta: number;
  /** Counted from 1; 0 before the decision. */
  readonly rung: number;
  /** Epochs that it has trained. */
  readonly epoch: number;
  /** Epochs of the whole run. */
  readonly epochs: number;
  /** What runs are compared by. */
  readonly metric: TrainSettings["metric"];
  /** Its own value on validation examples. */
  readonly score: number;
  /** How its setting fared; null while others are on their way to the rung. */
  readonly dropped: {
    /** Mean value over the seeds. */
    readonly mean: number;
    /** Counted from 1. */
    readonly rank: number;
    /** Settings that were compared. */
    readonly settings: number;
  } | null;
}

/** Where a setting was stopped, and how it fared there. */
export function stoppedText({ epoch, epochs, metric, dropped }: Stopped): string {
  const { mean, rank, settings } = dropped!;
  const value = metric === "loss" ? mean.toFixed(4) : `${percent(mean)} %`;
  return `stopped after epoch ${epoch} of ${epochs} by halving: validation ${metric} ${value} there, ` +
    `place ${rank} of ${settings} settings`;
}

/** Settings that are listed below a table. */
const LISTED = 20;

/** What a reader must know of settings that were stopped. */
export function stoppedNotes(
  rows: readonly { readonly approach: string; readonly stopped?: Stopped }[],
): string[] {
  const found = rows.flatMap(({ approach, stopped }) => stopped ? [{ approach, stopped }] : []);
  if (found.length === 0) return [];
  const etas = [...new Set(found.map(({ stopped }) => stopped.eta))].join(" or ");
  const rest = found.length - LISTED;
  return [
    `Halving: at each rung one of ${etas} settings of a method went on, those with the best mean ` +
    `validation metric over the seeds; ${found.length} stopped before their last epoch, are part of ` +
    `no figure here, and go on without --halving.`,
    ...found.slice(0, LISTED).map(({ approach, stopped }) =>
      `${approach}: ${stoppedText(stopped)}.`
    ),
    ...(rest > 0 ? [`${rest} more settings that halving stopped stand in table.csv.`] : []),
  ];
}

const pathIn = (folder: string): string => `${folder}/stopped.json`;

/** Writes `stopped.json`. */
export async function writeStopped(folder: string, stopped: Stopped): Promise<void> {
  await writeFileAtomic(pathIn(folder), JSON.stringify(stopped, null, 2) + "\n");
}

/**
 * Reads `stopped.json`; null where the run was not paused, or has gone on.
 *
 * @throws {Error} When it is there but cannot be read
 */
export async function readStopped(folder: string): Promise<Stopped | null> {
  return await readShaped<Stopped>(pathIn(folder), stoppedShape);
}

/** Removes `stopped.json`: the run goes on. */
export async function clearStopped(folder: string): Promise<void> {
  await Deno.remove(pathIn(folder)).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}
