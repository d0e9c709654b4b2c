import { discardUnfinishedWrites } from "../formats/atomic.ts";
import { cellId } from "./cell.ts";
import { environment } from "./environment.ts";
import type { Experiment, ResolvedExperiment } from "./experiment.ts";
import { experimentFromArgs, usage } from "./flags.ts";
import { jsonLine, jsonReporter } from "./json_reporter.ts";
import { methodInfo, type MethodRegistry, type MethodSpec } from "./method_spec.ts";
import { findPublished, type PublishedTable } from "./published.ts";
import { duration, standardReporter } from "./progress.ts";
import type { PreparedSweep } from "./run_cell.ts";
import { isDone, openOut, readRun } from "./run_folder.ts";
import { runFolder, runSweep } from "./runner.ts";
import { type PlannedCell, writeSweepRecord } from "./sweep_record.ts";
import { writeTable } from "./table.ts";

/** What a sweep is built from. */
export interface SweepParts {
  methods: MethodRegistry;
  /** Loads base and data, and resolves the cells. */
  prepare(experiment: ResolvedExperiment): Promise<PreparedSweep>;
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
  const leave = (): never => {
    discardUnfinishedWrites();
    Deno.exit(130);
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => {
      if (controller.signal.aborted) leave(); // Asked twice: at once.
      controller.abort(new Interrupted(name));
      setTimeout(leave, 2 * GRACE);
    });
  }
  const code = await sweepMain(experiment, args, parts, controller.signal);
  discardUnfinishedWrites();
  Deno.exit(code);
}

/**
 * {@linkcode main} without ending the process.
 *
 * @param signal Stops the sweep, with an {@linkcode Interrupted} as its reason
 * @returns The exit code
 */
export async function sweepMain(
  experiment: Experiment,
  args: readonly string[],
  parts: SweepParts,
  signal: AbortSignal,
): Promise<number> {
  let where = "";
  let prepared: PreparedSweep | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let settled = false;
  const stopped = Promise.withResolvers<never>();
  const onAbort = (): void => {
    // Preparing has nothing to bring to an end; a running cell stops at its next step.
    timer = setTimeout(() => stopped.reject(signal.reason), prepared === null ? 0 : GRACE);
  };
  signal.addEventListener("abort", onAbort);
  const work = async (): Promise<number> => {
    const { words: rest, json } = takeLogFormat(args);
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
    await openOut(out);
    signal.throwIfAborted();
    prepared = await parts.prepare(resolved);
    signal.throwIfAborted();
    return await runPrepared(prepared, resolved, parts, signal, json);
  };
  try {
    return await Promise.race([work().finally(() => settled = true), stopped.promise]);
  } catch (error) {
    if (!signal.aborted) {
      console.error(`error: ${error instanceof Error ? error.message : error}`);
      return 1;
    }
    const cells = (prepared as PreparedSweep | null)?.cells ?? [];
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
    if (settled) (prepared as PreparedSweep | null)?.close();
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

async function runPrepared(
  { cells, runCell, adapter, notes }: PreparedSweep,
  { out, choose, budget, halving }: ResolvedExperiment,
  { methods, published }: SweepParts,
  signal: AbortSignal,
  json: boolean,
): Promise<number> {
  const tell = (event: string, facts: Readonly<Record<string, unknown>>, text: string): void =>
    console.log(json ? jsonLine(event, facts) : text);
  const label = ({ name, options }: MethodSpec) => methodInfo(name, methods).label(options);
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
  await writeSweepRecord(out, { cells: planned, notes: publishedNotes, choose });
  const summary = await runSweep(cells, runCell, {
    out,
    label,
    environment: environment(adapter ?? null),
    reporter: json ? jsonReporter((line) => console.log(line)) : standardReporter(),
    signal,
    budget,
    halving: halving === null ? null : { eta: halving, choose },
  });
  if (summary.skipped > 0 && !json) {
    console.log(`${summary.skipped} of ${cells.length} cells were done before, in ${out}`);
  }
  const left = budget === null ? [] : await notRun(out, planned, budget);
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

/** Which cells the budget did not reach, in words. */
async function notRun(
  out: string,
  planned: readonly PlannedCell[],
  budget: number,
): Promise<string[]> {
  const runs = await Promise.all(planned.map(({ id }) => readRun(`${out}/${id}`)));
  const left = planned.filter((_, i) => runs[i] === null);
  if (left.length === 0) return [];
  const counts = [...Map.groupBy(left, ({ approach }) => approach)]
    .map(([approach, own]) => `${approach}: ${own.length}`);
  return [
    `Not run, as the budget of ${duration(budget)} was over: ${left.length} of ${planned.length} ` +
    `cells (${counts.join("; ")}).`,
  ];
}
