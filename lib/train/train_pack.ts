/**
 * Several runs in one program: what is frozen works on the rows of all, what trains is each run's own.
 *
 * Each run gets what it would get alone, to the bit: every value of a run follows from its own share of
 * the rows, in the same order of sums. A run that diverges, stops early or is left changes nothing for
 * its neighbours; its checkpoints are those of a run alone, and go on alone or in any pack.
 *
 * `packKey` (`pack_key.ts`) says which runs may share a program.
 *
 * @module
 */

import { checkPrecision } from "../gpu/adapter.ts";
import type { Model } from "../models/model.ts";
import { attachPack, cellPrefix, type PackedMethod } from "../peft/pack.ts";
import { CellProgress } from "./cell_progress.ts";
import { defaultExecution, type Execution } from "./execution.ts";
import { SHARE } from "./graphs.ts";
import { packDifference } from "./pack_key.ts";
import { Paused } from "./paused.ts";
import { type PlannedCell, plannedCost, type PlannedRun, planRun } from "./plan_run.ts";
import type { TrainOutcome, TrainRun } from "./run.ts";
import type { Task } from "./task.ts";
import { planAlone, planTuned, savingKernels, train, trainPlanned } from "./trainer.ts";

/** Bytes that the plan of a pack may take where no budget says so. */
const PACK_BYTES = 2 ** 31;

/** A base that nothing is attached to yet, and the runs' task on it. */
export interface PackBase {
  /** Freshly built. */
  readonly model: Model & {
    /** Token ids of a text, for methods whose parameters start from words. */
    readonly encode?: (text: string) => readonly number[];
  };
  /** Made for the model. */
  readonly task: Task;
}

/** Runs that are to share programs. */
export interface TrainPack {
  /** Makes the base anew. */
  readonly base: () => PackBase;
  /** Each run's method. */
  readonly methods: readonly PackedMethod[];
  /**
   * The runs as {@linkcode train} takes them, each with a model of its own to which its method is
   * attached. Device, data, seed, precision, signal and execution of the first hold for all; see
   * `packKey` for what may differ.
   */
  readonly runs: readonly TrainRun[];
}

/**
 * Trains and evaluates runs in one program, or in as few as fit the adapter and the budget (2 GiB
 * where none is given); what fits nowhere else, alone as {@linkcode train} does.
 *
 * What a run costs is what it would cost alone, as its plan tells; seconds are its share of the pack's.
 *
 * @returns What each run leaves, or where it was left because its `onEpoch` said so.
 * @throws As {@linkcode train}; RangeError where the runs may not share a program.
 */
export async function trainPack(pack: TrainPack): Promise<(TrainOutcome | Paused)[]> {
  return (await Array.fromAsync(trainPrograms(pack))).flat();
}

/**
 * {@linkcode trainPack} that hands over what runs leave as soon as their program has ended.
 *
 * @returns For one program after the other what its runs leave, in their order.
 */
export async function* trainPrograms(pack: TrainPack): AsyncGenerator<(TrainOutcome | Paused)[]> {
  const { methods, runs } = pack;
  const [{ gpu, precision = "f32" }] = runs;
  checkPrecision(precision, gpu.adapter);
  const difference = packDifference(methods.map((one, i) => ({ ...runs[i], ...one })));
  if (difference !== null) {
    throw new RangeError(`Cannot train cells in one program: ${difference}; train them apart`);
  }
  for (let from = 0; from < runs.length;) {
    const { plan, named } = await planTuned(runs.slice(from), () => planFitting(pack, from));
    const { planned, cells } = plan;
    const own = runs.slice(from, from + cells.length).map((run) => savingKernels(run, named));
    yield cells.length === 1
      ? await trainAlone(runs[from])
      : await trainTogether(own, planned, cells);
    from += cells.length;
  }
}

/** Runs whose programs are planned, and nothing allocated. */
interface PlannedPack {
  readonly planned: PlannedRun;
  readonly cells: readonly PlannedCell[];
}

/** As many runs as fit, or half of those that are left, and so on. */
function planFitting(pack: TrainPack, from: number): PlannedPack {
  for (let count = pack.runs.length - from;; count = Math.ceil(count / 2)) {
    pack.runs[from].gpu.chosenKernels.clear();
    const own = planSome(pack, from, from + count);
    if (count === 1 || fits(own.planned, pack.runs[from])) return own;
  }
}

function planSome({ base, methods, runs }: TrainPack, from: number, to: number): PlannedPack {
  const [first, ...others] = runs.slice(from, to);
  if (others.length === 0) return { planned: planRun(first, [first]), cells: [first] };
  const { model, task } = base();
  const cells = attachPack(model, methods.slice(from, to), SHARE).map((attached, i) => (
    { attached, settings: runs[from + i].settings }
  ));
  // Where it does not fit, fewer cells cost less than computing again.
  const { recompute, ...rest } = first.execution ?? defaultExecution;
  const own: Execution = { ...rest, recompute: recompute === "always" ? recompute : "never" };
  return { planned: planRun({ ...first, model, task, execution: own }, cells), cells };
}

/** Whether the plan fits the budget, and every tensor a binding. */
function fits(
  { session, training, scoring, scoringOnce }: PlannedRun,
  { gpu, execution }: TrainRun,
): boolean {
  const scored = [scoring, scoringOnce].flatMap(({ programs }) => [...programs.values()]);
  const programs = [...training?.values() ?? [], ...scored.map(({ program }) => program)];
  return session.misfit(execution?.memory ?? PACK_BYTES) === null &&
    programs.every(({ plan: { slotBytes: [largest = 0] } }) => largest <= gpu.maxBinding);
}

async function trainAlone(run: TrainRun): Promise<[TrainOutcome | Paused]> {
  try {
    return [await train(run)];
  } catch (error) {
    if (error instanceof Paused) return [error];
    throw error;
  }
}

async function trainTogether(
  runs: readonly TrainRun[],
  planned: PlannedRun,
  cells: readonly PlannedCell[],
): Promise<(TrainOutcome | Paused)[]> {
  const ends = await trainPlanned(
    planned,
    runs,
    (session) =>
      runs.map((run, i) =>
        new CellProgress(run, session, cells[i].attached, planned.updates[i], cellPrefix(i))
      ),
  );
  return ends.map((end, i) => {
    if (end instanceof Paused) return end;
    const { planned: alone, kernels } = planAlone(runs[i]);
    return { ...end, ...plannedCost(alone, runs[i].settings, end.epochs), kernels };
  });
}
