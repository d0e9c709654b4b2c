/**
 * A sweep on Slurm: this process submits what lacks a result and watches; array tasks run the cells.
 * All that they share is the folder of runs.
 *
 * @module
 */

import { writeFileAtomic } from "../../formats/atomic.ts";
import { type Cell, cellId } from "../cell.ts";
import { type Claim, claimRun } from "../claim.ts";
import type { MethodSpec } from "../method_spec.ts";
import { placeText, resultLine } from "../progress.ts";
import { COMMIT_VARIABLE } from "../provenance.ts";
import { isDone, readRun } from "../run_folder.ts";
import { type CellPlace, runFolder, type SweepSummary } from "../runner.ts";
import type { SlurmOptions } from "./options.ts";
import { cancel, queued, type QueuedTask, submit } from "./queue.ts";
import { batchScript, logPath } from "./script.ts";
import {
  forgetSubmission,
  newName,
  readSubmissions,
  type Submission,
  writeSubmission,
} from "./submissions.ts";

/** What a sweep on Slurm needs besides its cells. */
export interface SlurmSweep {
  /** Folder of the runs. */
  readonly out: string;
  /** How cells are handed over. */
  readonly options: SlurmOptions;
  /** What a task runs, but for `--cells`: program and arguments. */
  readonly command: readonly string[];
  /** Names a method for tables. */
  label(method: MethodSpec): string;
  /** Tells what happens: as facts, and in words. */
  tell(event: string, facts: Readonly<Record<string, unknown>>, text: string): void;
  /** Shows where it stands, in place of what was shown before; null clears it. */
  status(text: string | null): void;
  /** Stops the watching; what is submitted goes on. */
  readonly signal: AbortSignal;
}

/** How the watching ended. */
export interface SlurmSummary extends SweepSummary {
  /** Cells whose tasks go on, as the command was to end before them. */
  readonly left: number;
}

/** Seconds that another driver's claim is waited for: it may have been killed on another host. */
const TAKE_OVER = 45;

/**
 * Submits the cells that lack a result, and waits until each has one, or has failed as often as it may.
 * What an earlier call has submitted, and still waits or runs, is watched and not submitted again.
 *
 * @throws {Error} Where another process submits for this folder, or Slurm refuses a job
 * @throws {unknown} The signal's reason, once it aborts
 */
export async function runOnSlurm(
  cells: readonly Cell[],
  sweep: SlurmSweep,
): Promise<SlurmSummary> {
  const folder = `${await Deno.realPath(sweep.out)}/slurm`;
  const claim = await claimFolder(folder, sweep);
  try {
    return await new Driver(cells, folder, claim, sweep).run();
  } finally {
    sweep.status(null);
    await claim.release();
  }
}

async function claimFolder(folder: string, { out, signal, tell }: SlurmSweep): Promise<Claim> {
  const end = performance.now() + 1000 * TAKE_OVER;
  for (let told = false;; told = true) {
    const claim = await claimRun(folder);
    if (claim !== null) return claim;
    if (performance.now() > end) break;
    const text = `Another process submits for ${out}: waiting ${TAKE_OVER} s for its end`;
    if (!told) tell("note", { note: text }, text);
    await pause(1, signal);
  }
  throw new Error(
    `Cannot submit for ${out}: another process does; let it go on, or end it first ` +
      `(./tunegrid status shows how far the cells are)`,
  );
}

/** A cell without a result. */
interface OpenCell {
  readonly id: string;
  readonly folder: string;
  readonly place: CellPlace;
  /** How often a task was submitted for it. */
  attempts: number;
  /** Looks in a row at which it had no task. */
  missed: number;
  /** The log of its latest task; null before there was one. */
  log: string | null;
}

class Driver {
  readonly #cells: readonly Cell[];
  readonly #folder: string;
  readonly #claim: Claim;
  readonly #sweep: SlurmSweep;
  readonly #open = new Map<string, OpenCell>();
  readonly #summary = { done: 0, skipped: 0, failed: 0 };
  /** Submissions whose end was not seen yet. */
  #live: Submission[] = [];

  constructor(cells: readonly Cell[], folder: string, claim: Claim, sweep: SlurmSweep) {
    this.#cells = cells;
    this.#folder = folder;
    this.#claim = claim;
    const tell: SlurmSweep["tell"] = (...told) => {
      sweep.status(null);
      sweep.tell(...told);
    };
    this.#sweep = { ...sweep, tell };
  }

  async run(): Promise<SlurmSummary> {
    const { detach } = this.#sweep.options;
    await this.#start();
    let tasks: readonly QueuedTask[] = [];
    for (let looks = 0, silent = false;;) {
      // The queue before the folders: who has left it by now has left its results there.
      const answer = await queued(this.#live.map(({ name }) => name));
      if (answer === null) {
        if (!silent) this.#note("squeue does not answer: it is asked again until it does");
        silent = true;
      } else {
        tasks = answer;
        silent = false;
        if (looks++ === 0 && tasks.length > 0) {
          this.#note(`${jobsText(tasks)} of an earlier call: ${tasks.length} tasks wait or run`);
        }
        this.#match(tasks);
        await this.#takeResults();
        await this.#forget(tasks);
        await this.#handOver();
        if (this.#open.size === 0) {
          await this.#end(tasks);
          return { ...this.#summary, left: 0 };
        }
        if (detach && [...this.#open.values()].every(({ missed }) => missed === 0)) {
          return { ...this.#summary, left: this.#open.size };
        }
      }
      await this.#wait(tasks);
    }
  }

  async #start(): Promise<void> {
    const { out, label } = this.#sweep;
    for (const [index, cell] of this.#cells.entries()) {
      const folder = runFolder(out, cell);
      if (await isDone(folder)) {
        this.#summary.skipped++;
        continue;
      }
      const id = cellId(cell);
      const approach = label(cell.method);
      const place = { number: index + 1, count: this.#cells.length, approach, seed: cell.seed };
      this.#open.set(id, { id, folder, place, attempts: 0, missed: 0, log: null });
    }
    const ids = new Set(this.#cells.map(cellId));
    const all = await readSubmissions(this.#folder);
    this.#live = all.filter(({ packs }) => packs.flat().some((id) => ids.has(id)));
    for (const { job, packs } of this.#live) {
      if (job === null) continue;
      for (const [index, pack] of packs.entries()) {
        for (const id of pack) {
          const cell = this.#open.get(id);
          if (cell !== undefined) cell.log = logPath(this.#folder, job, index);
        }
      }
    }
  }

  /** Finds which cells have a task that waits or runs. */
  #match(tasks: readonly QueuedTask[]): void {
    for (const cell of this.#open.values()) cell.missed++;
    const packs = new Map(this.#live.map(({ name, packs }) => [name, packs]));
    for (const { name, job, index } of tasks) {
      for (const id of packs.get(name)?.[index] ?? []) {
        const cell = this.#open.get(id);
        if (cell === undefined) continue;
        cell.missed = 0;
        cell.attempts ||= 1;
        cell.log = logPath(this.#folder, job, index);
      }
    }
  }

  async #takeResults(): Promise<void> {
    for (const { id, folder, place } of [...this.#open.values()]) {
      if (!await isDone(folder)) continue;
      this.#open.delete(id);
      this.#summary.done++;
      const { result, times } = (await readRun(folder))!;
      const { best, last } = result!;
      const outcome = { best, last, times: times! };
      this.#sweep.tell("done", { ...facts(place), ...outcome }, resultLine(place, outcome));
    }
  }

  /** Submits the cells without a task, and gives up those that failed as often as they may. */
  async #handOver(): Promise<void> {
    const submitted = new Set(this.#live.flatMap(({ packs }) => packs.flat()));
    const { resubmit } = this.#sweep.options;
    const next: OpenCell[] = [];
    for (const cell of [...this.#open.values()]) {
      const { id, folder, place, attempts, missed, log } = cell;
      // A result may show a moment after its task has left the queue.
      if (missed === 0 || (missed === 1 && submitted.has(id))) continue;
      if (attempts === 0) {
        next.push(cell);
        continue;
      }
      const reason = (await readRun(folder))?.error ?? "its task ended without a result";
      const line = placeText(place);
      const at = log === null ? "" : ` (${log})`;
      const told = { ...facts(place), message: reason, log };
      if (attempts <= resubmit) {
        this.#sweep.tell("lost", told, `${line}: ${reason}${at}; it is submitted again`);
        next.push(cell);
      } else {
        this.#open.delete(id);
        this.#summary.failed++;
        this.#sweep.tell("failed", told, `${line}: failed: ${reason}${at}`);
      }
    }
    if (next.length > 0) await this.#submit(next);
  }

  async #submit(cells: readonly OpenCell[]): Promise<void> {
    const { options: { pack, throttle, directives }, command } = this.#sweep;
    await this.#claim.check();
    const packs = Array.from(
      { length: Math.ceil(cells.length / pack) },
      (_, i) => cells.slice(i * pack, (i + 1) * pack),
    );
    const ids = packs.map((cells) => cells.map(({ id }) => id));
    const submission: Submission = { name: newName(), job: null, packs: ids };
    const script = `${this.#folder}/${submission.name}.sh`;
    await writeFileAtomic(
      script,
      batchScript({
        name: submission.name,
        folder: this.#folder,
        root: Deno.cwd(),
        packs: ids,
        throttle,
        directives,
        command,
        commit: Deno.env.get(COMMIT_VARIABLE) ?? "",
      }),
    );
    await writeSubmission(this.#folder, submission);
    let job: string;
    try {
      job = await submit(script);
    } catch (error) {
      await forgetSubmission(this.#folder, submission);
      throw error;
    }
    await writeSubmission(this.#folder, { ...submission, job });
    this.#live.push(submission);
    for (const [index, cells] of packs.entries()) {
      for (const cell of cells) {
        cell.attempts++;
        cell.missed = 0;
        cell.log = logPath(this.#folder, job, index);
      }
    }
    this.#note(
      `Job ${job}: ${cells.length} cells in ${packs.length} tasks; logs in ${this.#folder}`,
      { job, cells: cells.length, tasks: packs.length },
    );
  }

  /** Forgets submissions that have no task left, and whose cells need no second look. */
  async #forget(tasks: readonly QueuedTask[]): Promise<void> {
    const names = new Set(tasks.map(({ name }) => name));
    const isOver = ({ name, packs }: Submission): boolean =>
      !names.has(name) && packs.flat().every((id) => this.#open.get(id)?.missed !== 1);
    for (const one of this.#live.filter(isOver)) await forgetSubmission(this.#folder, one);
    this.#live = this.#live.filter((one) => !isOver(one));
  }

  /** Once every cell is settled: cancels tasks whose cells others have run, and forgets all. */
  async #end(tasks: readonly QueuedTask[]): Promise<void> {
    const ids = new Set(this.#cells.map(cellId));
    const packs = new Map(this.#live.map(({ name, packs }) => [name, packs]));
    const isOurs = (pack: readonly string[]): boolean => pack.every((id) => ids.has(id));
    await cancel(
      tasks.filter(({ name, index }) => isOurs(packs.get(name)?.[index] ?? []))
        .map(({ job, index }) => `${job}_${index}`),
    );
    for (const one of this.#live) {
      if (one.packs.every(isOurs)) await forgetSubmission(this.#folder, one);
    }
  }

  async #wait(tasks: readonly QueuedTask[]): Promise<void> {
    const { options: { poll }, signal, status } = this.#sweep;
    status(this.#standing(tasks));
    try {
      await pause(poll, signal);
    } catch (error) {
      status(null);
      if (tasks.length > 0) {
        console.error(
          `${
            jobsText(tasks)
          } of Slurm: ${tasks.length} tasks go on; the same command watches them, ` +
            `scancel ${jobsOf(tasks).join(" ")} ends them`,
        );
      }
      throw error;
    }
  }

  #standing(tasks: readonly QueuedTask[]): string {
    const { done, skipped, failed } = this.#summary;
    const waiting = tasks.filter(({ state }) => state === "PENDING");
    const reasons = [...new Set(waiting.map(({ reason }) => reason))].join(", ");
    return [
      `${done + skipped} of ${this.#cells.length} cells done`,
      ...failed > 0 ? [`${failed} failed`] : [],
      `${tasks.length - waiting.length} tasks run`,
      `${waiting.length} wait${reasons === "" ? "" : ` (${reasons})`}`,
    ].join(", ");
  }

  #note(text: string, more: Readonly<Record<string, unknown>> = {}): void {
    this.#sweep.tell("note", { note: text, ...more }, text);
  }
}

function facts({ number, approach, seed }: CellPlace): Readonly<Record<string, unknown>> {
  return { cell: number, approach, seed };
}

function jobsOf(tasks: readonly QueuedTask[]): string[] {
  return [...new Set(tasks.map(({ job }) => job))];
}

function jobsText(tasks: readonly QueuedTask[]): string {
  const jobs = jobsOf(tasks);
  return `${jobs.length === 1 ? "Job" : "Jobs"} ${jobs.join(", ")}`;
}

/** Resolves after some seconds, rejects with the signal's reason when that aborts. */
async function pause(seconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, 1000 * seconds);
  signal.addEventListener("abort", () => resolve(), { once: true });
  if (signal.aborted) resolve();
  await promise;
  clearTimeout(timer);
  signal.throwIfAborted();
}
