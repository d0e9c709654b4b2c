/**
 * Several runs in one program: what is frozen works on the rows of all, what trains is each run's own.
 *
 * Each run gets what it would get alone, to the bit: every value of a run follows from its own share of
 * the rows, in the same order of sums. A run that diverges, stops early or is left changes nothing for
 * its neighbours.
 *
 * @module
 */

import { checkPrecision } from "../gpu/adapter.ts";
import type { Model } from "../models/model.ts";
import { attachPack, cellPrefix, type PackedMethod } from "../peft/pack.ts";
import { CellProgress } from "./cell_progress.ts";
import { SHARE } from "./graphs.ts";
import { packDifference } from "./pack_key.ts";
import { plannedCost, type PlannedRun, planRun } from "./plan_run.ts";
import type { TrainOutcome, TrainRun } from "./run.ts";
import type { Task } from "./task.ts";
import { Paused } from "./paused.ts";
import { trainPlanned } from "./trainer.ts";

/** Runs that share a program. */
export interface TrainPack {
  /** The base, freshly built and with nothing attached: another one than any run's. */
  readonly model: Model & { readonly encode?: (text: string) => readonly number[] };
  /** The runs' task, on this model. */
  readonly task: Task;
  /** Each run's method. */
  readonly methods: readonly PackedMethod[];
  /**
   * The runs as {@linkcode train} takes them, each with a model of its own. Device, data, seed,
   * precision, signal and execution of the first hold for all; see `packDifference` for what may
   * differ.
   */
  readonly runs: readonly TrainRun[];
}

/** A pack whose programs are planned, and nothing allocated. */
export interface PlannedPack {
  readonly planned: PlannedRun;
  /** What each run would take alone. */
  readonly alone: readonly PlannedRun[];
  readonly cells: readonly ReturnType<typeof attachPack>[number][];
}

/**
 * Plans a pack: `planned.session.misfit(memory)` says whether it fits.
 *
 * @throws RangeError where the runs cannot share a program.
 */
export function planPack({ model, task, methods, runs }: TrainPack): PlannedPack {
  const difference = packDifference(methods.map((one, i) => ({ ...runs[i], ...one })));
  if (difference !== null) {
    throw new RangeError(`Cannot train cells in one program: ${difference}; train them apart`);
  }
  const attached = attachPack(model, methods, SHARE);
  const cells = attached.map((one, i) => ({ attached: one, settings: runs[i].settings }));
  return {
    planned: planRun({ ...runs[0], model, task }, cells),
    alone: runs.map((run) => planRun(run, [run])),
    cells: attached,
  };
}

/**
 * Trains and evaluates several runs in one program; one alone as {@linkcode train} does.
 *
 * What a run costs is what it would cost alone, as its plan tells; seconds are its share of the pack's.
 *
 * @returns What each run leaves, or where it was left because its `onEpoch` said so.
 * @throws As {@linkcode train}, and RangeError where the runs cannot share a program.
 */
export async function trainPack(pack: TrainPack): Promise<(TrainOutcome | Paused)[]> {
  const { runs } = pack;
  const [{ gpu, precision = "f32" }] = runs;
  checkPrecision(precision, gpu.adapter);
  const { planned, alone, cells } = planPack(pack);
  const ends = await trainPlanned(
    planned,
    runs,
    (session) =>
      runs.map((run, i) =>
        new CellProgress(run, session, cells[i], planned.updates[i], cellPrefix(i))
      ),
  );
  return ends.map((end, i) =>
    end instanceof Paused ? end : { ...end, ...plannedCost(alone[i], runs[i].settings, end.epochs) }
  );
}
