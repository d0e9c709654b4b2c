/**
 * The training loop: programs per bucket, a submit for each step or for some short ones, evaluation
 * after every epoch; of one run, or of several in one program (`train_pack.ts`).
 *
 * @module
 */

import type { PlannedBatch } from "../data/batches.ts";
import { checkPrecision } from "../gpu/adapter.ts";
import { kernelRecord, namedKernels, withKernels } from "../gpu/tuning.ts";
import { CellProgress, type Position } from "./cell_progress.ts";
import { CheckpointClock } from "./checkpoint_clock.ts";
import { fillIn } from "./fill_in.ts";
import { LOSS_CAPACITY } from "./graphs.ts";
import { initialValues } from "./initialize.ts";
import { tileRows } from "./pack_rows.ts";
import { Paused } from "./paused.ts";
import { microBatches, plannedCost, type PlannedRun, planRun } from "./plan_run.ts";
import type { Scores, TrainOutcome, TrainRun } from "./run.ts";
import { rowsOf, scoreSplit } from "./scoring.ts";
import { stepsPerSubmit } from "./steps_per_submit.ts";

export type {
  EpochDecision,
  EpochOutcome,
  LossScale,
  Scores,
  SyncProgress,
  TrainOutcome,
  TrainRun,
} from "./run.ts";

/** Seconds between two waits for the GPU: often enough for a progress bar, rare enough to be free. */
const SYNC_SECONDS = 0.5;

/** Seconds of an evaluation that shares its wait with the steps before it; each takes some 10 ms. */
const SHARED_WAIT_SECONDS = 0.1;

/**
 * Trains and evaluates; the device's memory of the run is free again when this returns or throws.
 *
 * @throws RangeError where the plan does not fit the adapter or the budget, Error where the adapter
 *   lacks the precision; nothing has run then. {@linkcode Paused} where `onEpoch` said so.
 */
export async function train(run: TrainRun): Promise<TrainOutcome> {
  checkPrecision(run.precision ?? "f32", run.gpu.adapter);
  const { plan: { planned, kernels }, named } = await planTuned([run], () => planAlone(run));
  const { attached, settings } = run;
  const saved = savingKernels(run, named);
  const [end] = await trainPlanned(planned, [saved], (session) => [
    new CellProgress(saved, session, attached, planned.updates[0], ""),
  ]);
  if (end instanceof Paused) throw end;
  return { ...end, ...plannedCost(planned, settings, end.epochs), kernels };
}

/** Plans a run, and notes the kernels that the plan takes. */
export function planAlone(run: TrainRun): { planned: PlannedRun } & Pick<TrainOutcome, "kernels"> {
  run.gpu.chosenKernels.clear();
  return { planned: planRun(run, [run]), kernels: kernelRecord(run.gpu) };
}

/** A plan, and the kernels that were named for it in place of the rule's. */
export interface TunedPlan<T> {
  readonly plan: T;
  readonly named: Readonly<Record<string, string>>;
}

/**
 * Plans on the kernels of the checkpoints that runs go on from, where some differ on the first one's;
 * else on those that are measured to be fastest for the plan.
 *
 * @param plan Clears `chosenKernels` first.
 */
export async function planTuned<T>(
  runs: readonly TrainRun[],
  plan: () => T,
): Promise<TunedPlan<T>> {
  const [{ gpu, tuner }] = runs;
  const behind = runs.map(({ resume }) => resume ?? null).filter((resume) => resume !== null);
  if (behind.length > 0) {
    const named = Object.assign({}, ...behind.map(({ kernels }) => kernels ?? {}).reverse());
    return { plan: withKernels(gpu, named, plan), named };
  }
  const first = plan();
  const last = await tuner?.tune() ? plan() : first;
  return { plan: last, named: namedKernels(gpu) };
}

/** A run whose checkpoints hold the kernels that were named for it. */
export function savingKernels(run: TrainRun, kernels: TunedPlan<unknown>["named"]): TrainRun {
  const { onCheckpoint } = run;
  return onCheckpoint === undefined || Object.keys(kernels).length === 0
    ? run
    : { ...run, onCheckpoint: (checkpoint) => onCheckpoint({ ...checkpoint, kernels }) };
}

/** What a cell leaves, apart from what its plan tells. */
export type CellOutcome = Omit<TrainOutcome, keyof ReturnType<typeof plannedCost> | "kernels">;

/**
 * Carries out planned runs, whose session is destroyed when this returns or throws.
 *
 * @param runs One for each cell; device, signal and execution of the first hold for all.
 * @param makeCells The cells, in a session whose memory is allocated.
 * @returns What each cell leaves, or where it was left.
 */
export async function trainPlanned(
  planned: PlannedRun,
  runs: readonly TrainRun[],
  makeCells: (session: PlannedRun["session"]) => CellProgress[],
): Promise<(CellOutcome | Paused)[]> {
  const { session } = planned;
  const [{ gpu, execution }] = runs;
  try {
    await session.build(execution?.memory);
    return await new Training(planned, runs, makeCells(session)).run();
  } catch (error) {
    await new Promise((resolve) => setTimeout(resolve, 0)); // for the device to tell its loss
    gpu.check();
    throw error;
  } finally {
    session.destroy();
  }
}

/** Cells that train side by side. */
class Training {
  readonly #planned: PlannedRun;
  readonly #runs: readonly TrainRun[];
  readonly #cells: readonly CellProgress[];
  readonly #started = performance.now();
  readonly #clock: CheckpointClock;
  /** Where all cells that have not ended stand. */
  #position: Position;
  /** Seconds of training steps in this attempt. */
  #trainSeconds = 0;
  /** Steps between two waits for the device. */
  #interval = 1;
  /** Steps whose losses are read, and when that was. */
  #synced: number;
  #since = 0;
  /** Seconds of the shortest evaluation so far that had a wait of its own. */
  #evaluation = Infinity;

  constructor(planned: PlannedRun, runs: readonly TrainRun[], cells: readonly CellProgress[]) {
    this.#planned = planned;
    this.#runs = runs;
    this.#cells = cells;
    const [{ resume, onCheckpoint, execution }] = runs;
    const { step, epoch, batch } = resume ?? { step: 0, epoch: 0, batch: 0 };
    this.#position = { step, epoch, batch };
    this.#synced = step;
    const every = onCheckpoint === undefined ? null : execution?.checkpoint ?? null;
    this.#clock = new CheckpointClock(every, step);
    planned.session.stepsPerSubmit = execution?.stepsPerSubmit ?? 1;
  }

  get #signal(): AbortSignal | undefined {
    return this.#runs[0].signal;
  }

  /** Cells that go on. */
  get #open(): CellProgress[] {
    return this.#cells.filter(({ ended }) => !ended);
  }

  /** A cell's seconds: its share of this attempt's, and those of the attempts before. */
  #elapsed(cell: number): { trainSeconds: number; seconds: number } {
    const { trainSeconds = 0, seconds = 0 } = this.#runs[cell].resume ?? {};
    const share = this.#cells.length;
    return {
      trainSeconds: trainSeconds + this.#trainSeconds / share,
      seconds: seconds + (performance.now() - this.#started) / 1000 / share,
    };
  }

  async run(): Promise<(CellOutcome | Paused)[]> {
    await this.#fillIn();
    const { plans, training } = this.#planned;
    if (training === null) {
      const scores = await this.#evaluate();
      for (const [i, cell] of this.#cells.entries()) await cell.endUntrained(scores[i]);
    }
    for (const [epoch, plan] of plans.entries()) {
      if (epoch < this.#position.epoch || this.#open.length === 0) continue;
      await this.#trainEpoch(epoch, plan);
      await this.#endEpoch(epoch + 1);
    }
    return await this.#outcomes();
  }

  async #fillIn(): Promise<void> {
    const { session } = this.#planned;
    const [{ model, weights, seed }] = this.#runs;
    for (const parameter of model.scope.select()) {
      if (!session.has(parameter.name)) continue;
      if (weights.has(parameter.name)) await fillIn(session, parameter.name, weights);
      else session.upload(parameter.name, initialValues(parameter, seed, weights));
    }
    session.upload("seed", Uint32Array.of(seed));
    for (const cell of this.#cells) await cell.start();
  }

  async #trainEpoch(epoch: number, plan: readonly PlannedBatch[]): Promise<void> {
    const { session, training, updating, scoring: { rows }, kept } = this.#planned;
    const [{ task, train, settings: { batchSize } }] = this.#runs;
    const behind = this.#position.batch;
    this.#since = performance.now();
    if (behind < plan.length && await kept?.fill(plan.flatMap((one) => microBatches(one, rows)))) {
      await session.wait();
      this.#spend();
    }
    let done = this.#position.step;
    for (const [i, batch] of plan.entries()) {
      if (i < behind) continue;
      const program = training!.get(batch.bucketLength)!;
      const weight = task.weight(rowsOf(train, batch, batchSize).examples);
      // Each micro-batch is one, as its inputs are its own; the last one updates.
      const parts = microBatches(batch, rows);
      for (const [i, part] of parts.entries()) {
        const inputs = task.trainingInputs(rowsOf(train, part, rows), weight);
        const own = { ...inputs, ...kept?.places(part) };
        const programs = i + 1 < parts.length ? [program] : [program, updating!];
        session.step(programs, tileRows(program, own, this.#cells.length));
      }
      done++;
      const last = i + 1 === plan.length;
      if (done - this.#synced < this.#interval && !last && !this.#clock.dueByStep(done)) continue;
      this.#position = { step: done, epoch, batch: i + 1 };
      if (last && this.#sharesWait()) return;
      const values = await session.readVariables(this.#losses);
      this.#takeLosses([...values.values()], this.#spend());
      await this.#saveIfDue();
      this.#signal?.throwIfAborted();
      this.#since = performance.now();
    }
  }

  /** Whether a short evaluation's wait serves the epoch's last steps too. */
  #sharesWait(): boolean {
    return this.#evaluation < SHARED_WAIT_SECONDS && !this.#clock.due(this.#position.step) &&
      !this.#signal?.aborted;
  }

  /** Counts the time since the last wait; @returns seconds. */
  #spend(evaluation = 0): number {
    const now = performance.now();
    const seconds = Math.max((now - this.#since) / 1000 - evaluation, 1e-6);
    this.#trainSeconds += seconds;
    this.#since = now;
    return seconds;
  }

  /** Cells that train and have not ended. */
  get #learning(): CellProgress[] {
    return this.#open.filter(({ trains }) => trains);
  }

  /** Variables of their losses. */
  get #losses(): string[] {
    return this.#learning.map(({ losses }) => losses);
  }

  /** Takes the losses of the steps since the last wait, which took some seconds. */
  #takeLosses(values: readonly Float32Array[], seconds: number): void {
    const { session, steps } = this.#planned;
    const { step, epoch } = this.#position;
    const stepsPerSecond = (step - this.#synced) / seconds;
    const interval = Math.min(LOSS_CAPACITY - 1, Math.round(stepsPerSecond * SYNC_SECONDS));
    this.#interval = Math.max(1, interval);
    session.stepsPerSubmit = this.#runs[0].execution?.stepsPerSubmit ??
      stepsPerSubmit(stepsPerSecond);
    const told = this.#learning.map((cell, i) => (
      { cell, loss: cell.takeLosses(values[i], this.#synced, step) }
    ));
    this.#synced = step;
    for (const { cell, loss } of told) {
      const { onSync } = this.#runs[this.#cells.indexOf(cell)];
      onSync?.({ epoch: epoch + 1, step, steps, stepsPerSecond, loss });
    }
  }

  async #endEpoch(epoch: number): Promise<void> {
    const { step } = this.#position;
    const scores = await this.#evaluate();
    this.#position = { step, epoch, batch: 0 };
    const left: CellProgress[] = [];
    for (const [i, cell] of this.#cells.entries()) {
      if (cell.ended) continue;
      const { trainSeconds } = this.#elapsed(i);
      if (cell.trains) await cell.endEpoch({ step, epoch, trainSeconds }, scores[i]);
      else await cell.endUntrained(scores[i]);
      if (cell.pausedAfter !== null) left.push(cell);
    }
    await this.#saveIfDue(left);
    this.#signal?.throwIfAborted();
  }

  /** @param left Cells that are left now, and saved in any case. */
  async #saveIfDue(left: readonly CellProgress[] = []): Promise<void> {
    const { step } = this.#position;
    const due = this.#clock.due(step) || (this.#signal?.aborted && this.#clock.behind(step));
    for (const [i, cell] of this.#cells.entries()) {
      const now = left.includes(cell) || (due && !cell.endedBefore(step));
      if (now && this.#runs[i].onCheckpoint !== undefined) {
        await cell.save(this.#position, this.#elapsed(i));
      }
    }
    if (due || left.length === this.#cells.length) this.#clock.saved(step);
  }

  async #evaluate(): Promise<Scores[]> {
    const { session, scoring, validation } = this.#planned;
    if (this.#synced < this.#position.step) {
      return await scoreSplit(session, scoring, validation, {
        names: this.#losses,
        take: (values) => this.#takeLosses(values, this.#spend(this.#evaluation)),
      });
    }
    const start = performance.now();
    const scores = await scoreSplit(session, scoring, validation);
    this.#evaluation = Math.min(this.#evaluation, (performance.now() - start) / 1000);
    return scores;
  }

  async #outcomes(): Promise<(CellOutcome | Paused)[]> {
    const { session, scoringOnce, splits } = this.#planned;
    const ends = this.#cells.map(({ pausedAfter }) =>
      pausedAfter === null ? null : new Paused(pausedAfter)
    );
    if (ends.every((end) => end !== null)) return ends;
    for (const cell of this.#cells) cell.takeKept();
    const further = this.#cells.map((): Record<string, Scores> => ({}));
    for (const [name, split] of splits) {
      const scores = await scoreSplit(session, scoringOnce, split);
      further.forEach((own, i) => own[name] = scores[i]);
      this.#signal?.throwIfAborted();
    }
    const outcomes: (CellOutcome | Paused)[] = [];
    for (const [i, cell] of this.#cells.entries()) {
      const { trainSeconds } = this.#elapsed(i);
      const { step, epoch } = this.#position;
      outcomes.push(
        ends[i] ?? {
          secondsBefore: this.#runs[i].resume?.seconds ?? 0,
          ...await cell.outcome({ step, epoch, trainSeconds }),
          splits: further[i],
        },
      );
    }
    return outcomes;
  }
}
