import { discardUnfinishedWrites } from "../formats/atomic.ts";
import { type Cell, cellId } from "./cell.ts";
import { environment } from "./environment.ts";
import type { Experiment, ResolvedExperiment } from "./experiment.ts";
import { experimentFromArgs, usage } from "./flags.ts";
import { jsonLine, jsonReporter } from "./json_reporter.ts";
import { methodInfo, type MethodRegistry, type MethodSpec } from "./method_spec.ts";
import { findPublished, type PublishedTable } from "./published.ts";
import { notRunNotes } from "./not_run.ts";
import { standardReporter, terminalStatus } from "./progress.ts";
import type { PreparedSweep } from "./run_cell.ts";
import { isDone, openOut, readRun } from "./run_folder.ts";
import { runFolder, runSweep, type SweepSummary } from "./runner.ts";
import { runOnSlurm, type SlurmSummary } from "./slurm/driver.ts";
import { takeExecutor } from "./slurm/options.ts";
import { checkSlurm } from "./slurm/queue.ts";
import { workerCommand } from "./slurm/worker_command.ts";
import { writeSweepRecord } from "./sweep_record.ts";
import { writeTable } from "./table.ts";

/** What a sweep is built from. */
export interface SweepParts {
  methods: MethodRegistry;
  /** Loads base and data, and resolves the cells. */
  prepare(experiment: ResolvedExperiment): Promise<PreparedSweep>;
  /** The cells alone, without a device, for an executor that hands them on; absent: there is none. */
  plan?(experiment: ResolvedExperiment): Promise<Pick<PreparedSweep, "cells" | "notes">>;
  /** All words that the script was called with, for processes that run cells of it. */
  readonly command?: readonly string[];
  /** Describes what would run, without running it. */
  dryRun(experiment: ResolvedExperiment): Promise<string>;
  /** What the command does and how it is called, for `--help`. */
  readonly about: string;
  /** Results to stand beside ours. */
  readonly published?: PublishedTable;
}

/** A person or a scheduler asked the sweep to stop. */
export class Interrupted extends Error {
  override name = "Interrupted";
}

/** Asks for the plan alone. */
const DRY_RUN = "--dry-run";

/** Asks for lines of JSON in place of bars and table. */
const LOG_FORMAT = "--log-format";

/** Time that a running cell is given to stop by itself, milliseconds. */
const GRACE = 5000;

/** The same where a scheduler stops it: it kills the process itself when its own time is over. */
const SCHEDULED_GRACE = 120_000;

/**
 * Runs a sweep from a command line and ends the process: 0 when every cell has a result, 1 when one
 * failed or the input was refused, 130 when interrupted.
 *
 * @param experiment What is run without arguments
 * @param args The command line's words
 */
export async function main(
  experiment: Experiment,
  args: readonly string[],
  parts: SweepParts,
): Promise<never> {
  const controller = new AbortController();
  const grace = args.some((arg) => /^--cells(=|$)/.test(arg)) ? SCHEDULED_GRACE : GRACE;
  const leave = (): never => {
    discardUnfinishedWrites();
    Deno.exit(130);
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => {
      // A person who asks twice means at once; a scheduler tells a process and its shell, and again.
      if (controller.signal.aborted) return name === "SIGINT" ? leave() : undefined;
      controller.abort(new Interrupted(name));
      setTimeout(leave, 2 * grace);
    });
  }
  const code = await sweepMain(experiment, args, parts, controller.signal, grace);
  discardUnfinishedWrites();
  Deno.exit(code);
}

/**
 * {@linkcode main} without ending the process.
 *
 * @param signal Stops the sweep, with an {@linkcode Interrupted} as its reason
 * @param grace Milliseconds that a running cell is then given to stop by itself
 * @returns The exit code
 */
export async function sweepMain(
  experiment: Experiment,
  args: readonly string[],
  parts: SweepParts,
  signal: AbortSignal,
  grace: number = GRACE,
): Promise<number> {
  let where = "";
  const prepared: { cells: readonly Cell[] | null; close(): void } = { cells: null, close() {} };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let settled = false;
  const stopped = Promise.withResolvers<never>();
  const onAbort = (): void => {
    // Preparing has nothing to bring to an end; a running cell stops at its next step.
    timer = setTimeout(() => stopped.reject(signal.reason), prepared.cells === null ? 0 : grace);
  };
  signal.addEventListener("abort", onAbort);
  const work = async (): Promise<number> => {
    const { words: own, json } = takeLogFormat(args);
    const { words: rest, slurm, cells: only } = takeExecutor(own);
    const words = rest.filter((arg) => arg !== DRY_RUN);
    const resolved = await experimentFromArgs(words, experiment, parts.methods);
    if (resolved === null) {
      console.log(usage(parts.about));
      return 0;
    }
    if (words.length < rest.length) {
      console.log(await parts.dryRun(resolved));
      return 0;
    }
    const { out } = resolved;
    where = out;
    if (slurm !== null) checkForSlurm(resolved, parts);
    await openOut(out);
    signal.throwIfAborted();
    if (slurm !== null) {
      const command = await workerCommand(takeExecutor(parts.command!).words);
      const { cells, notes } = await parts.plan!(resolved);
      prepared.cells = cells;
      signal.throwIfAborted();
      const runAll: RunAll = (label, tell) =>
        runOnSlurm(cells, {
          ...{ out, label, tell, signal, options: slurm },
          command,
          status: json ? () => {} : terminalStatus(),
        });
      return await runPrepared({ cells, notes }, runAll, resolved, parts, json);
    }
    const sweep = await parts.prepare(resolved);
    Object.assign(prepared, { cells: sweep.cells, close: () => sweep.close() });
    signal.throwIfAborted();
    const runAll: RunAll = (label, _, cells = sweep.cells) =>
      runSweep(cells, sweep.runCell, {
        ...{ out, label, signal, budget: resolved.budget, runPack: sweep.runPack },
        environment: environment(sweep.adapter ?? null),
        reporter: json ? jsonReporter((line) => console.log(line)) : standardReporter(),
        halving: resolved.halving === null
          ? null
          : { eta: resolved.halving, choose: resolved.choose },
      });
    if (only !== null) return await runShare(sweep, only, runAll, parts);
    return await runPrepared(sweep, runAll, resolved, parts, json);
  };
  try {
    return await Promise.race([work().finally(() => settled = true), stopped.promise]);
  } catch (error) {
    if (!signal.aborted) {
      console.error(`error: ${error instanceof Error ? error.message : error}`);
      return 1;
    }
    const cells = prepared.cells ?? [];
    const done = await Promise.all(cells.map((cell) => isDone(runFolder(where, cell))));
    const kept = cells.length === 0
      ? "no cell was begun"
      : `${done.filter(Boolean).length} of ${cells.length} cells are done and kept in ${where}`;
    const by = signal.reason instanceof Interrupted ? ` by ${signal.reason.message}` : "";
    console.error(`Interrupted${by}: ${kept}; the same command does what is missing`);
    return 130;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    // What still runs would trip over a device that is gone; the process ends soon.
    if (settled) prepared.close();
  }
}

/** The command line without its log format, and whether that is JSON. */
function takeLogFormat(args: readonly string[]): { words: string[]; json: boolean } {
  const words: string[] = [];
  let format = "text";
  for (let i = 0; i < args.length; i++) {
    if (args[i] === LOG_FORMAT) format = args[++i] ?? "";
    else if (args[i].startsWith(`${LOG_FORMAT}=`)) format = args[i].slice(LOG_FORMAT.length + 1);
    else words.push(args[i]);
  }
  if (format !== "text" && format !== "json") {
    throw new RangeError(`Cannot use ${LOG_FORMAT} "${format}": must be text or json`);
  }
  return { words, json: format === "json" };
}

type Label = (method: MethodSpec) => string;

type Tell = (event: string, facts: Readonly<Record<string, unknown>>, text: string) => void;

/** Runs cells, all of them where none are named, here or elsewhere. */
type RunAll = (
  label: Label,
  tell: Tell,
  cells?: readonly Cell[],
) => Promise<SweepSummary & Partial<SlurmSummary>>;

function labelOf(methods: MethodRegistry): Label {
  return ({ name, options }) => methodInfo(name, methods).label(options);
}

/** Refuses what needs all cells in one process. */
function checkForSlurm({ budget, halving }: ResolvedExperiment, parts: SweepParts): void {
  if (parts.plan === undefined || parts.command === undefined) {
    throw new TypeError("Cannot use --executor slurm: this command cannot hand its cells over");
  }
  if (budget !== null || halving !== null) {
    throw new TypeError(
      `Cannot use --${
        budget === null ? "halving" : "budget"
      } with --executor slurm: its tasks do ` +
        `not wait for each other; use --time for their limit, or --sample for fewer cells`,
    );
  }
  checkSlurm();
}

/** Runs some of the cells, for a job array's task; the tables are left to who submitted it. */
async function runShare(
  { cells }: PreparedSweep,
  ids: readonly string[],
  runAll: RunAll,
  { methods }: SweepParts,
): Promise<number> {
  const byId = new Map(cells.map((cell) => [cellId(cell), cell]));
  const unknown = ids.find((id) => !byId.has(id));
  if (unknown !== undefined) {
    throw new RangeError(
      `Cannot run cell ${unknown}: the sweep has no such cell; where base, data or version have ` +
        `changed since it was submitted, submit it again`,
    );
  }
  const { failed } = await runAll(labelOf(methods), () => {}, ids.map((id) => byId.get(id)!));
  return failed > 0 ? 1 : 0;
}

async function runPrepared(
  { cells, notes }: Pick<PreparedSweep, "cells" | "notes">,
  runAll: RunAll,
  { out, choose, budget }: ResolvedExperiment,
  { methods, published }: SweepParts,
  json: boolean,
): Promise<number> {
  const tell: Tell = (event, facts, text) => console.log(json ? jsonLine(event, facts) : text);
  const label = labelOf(methods);
  const find = findPublished(published, methods);
  const publishedNotes = published
    ? [`Published: ${published.source}; ${published.measured}.`]
    : [];
  for (const note of notes ?? []) tell("note", { note }, note);
  const planned = cells.map((cell) => ({
    id: cellId(cell),
    approach: label(cell.method),
    method: cell.method.name,
    seed: cell.seed,
    epochs: cell.settings.epochs,
    published: find(cell.method),
  }));
  const record = {
    cells: planned,
    notes: publishedNotes,
    choose,
    ...budget !== null && { budget },
  };
  await writeSweepRecord(out, record);
  const summary = await runAll(label, tell);
  if (summary.skipped > 0 && !json) {
    console.log(`${summary.skipped} of ${cells.length} cells were done before, in ${out}`);
  }
  if (summary.left) {
    const text = `${summary.left} cells wait or run; the same command watches them, ` +
      `./tunegrid status ${out} shows how far they are`;
    tell("end", { ...summary }, text);
    return 0;
  }
  const runs = await Promise.all(planned.map(({ id }) => readRun(`${out}/${id}`)));
  const left = notRunNotes(record, new Set(runs.flatMap((run) => run?.id ?? [])));
  const belowTable = { find, notes: [...publishedNotes, ...left] };
  const table = await writeTable(out, cells.map(cellId), belowTable, { choose });
  const tables = [`${out}/table.csv`, `${out}/table.md`];
  tell("end", { ...summary, tables }, `\n${table}\n\nTables: ${tables.join(", ")}`);
  if (summary.failed > 0) {
    console.error(
      `error: ${summary.failed} of ${cells.length} cells failed; ` +
        `the same command tries them again`,
    );
  }
  return summary.failed > 0 ? 1 : 0;
}
