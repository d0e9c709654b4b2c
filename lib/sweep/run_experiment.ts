import { methods } from "../peft/index.ts";
import { cellId } from "./cell.ts";
import { environment } from "./environment.ts";
import { type Experiment, resolveExperiment, sweep } from "./experiment.ts";
import type { EpochMetrics, StepProgress } from "./run_cell.ts";
import { openOut, type Run } from "./run_folder.ts";
import { type CellPlace, type Outcome, runSweep } from "./runner.ts";
import { buildTable, type Table } from "./table.ts";
import { readAnsweredRun } from "./wrong_answers.ts";

/** Who listens to an experiment, and what stops it. */
export interface ExperimentHooks {
  /** Called about twice a second while a cell trains. */
  readonly onStep?: (place: CellPlace, progress: StepProgress) => void;
  /** Called after each epoch of a cell with its metrics on the validation split. */
  readonly onEpoch?: (place: CellPlace, metrics: EpochMetrics) => void;
  /** Called after each cell, however it ended. */
  readonly onCell?: (place: CellPlace, outcome: Outcome) => void;
  /** Stops the experiment: it throws the signal's reason, and finished cells are kept. */
  readonly signal?: AbortSignal;
}

/** What an experiment leaves. */
export interface ExperimentOutcome {
  /** The comparison table; `tableText`, `tableMarkdown` and `tableCsv` write it out. */
  readonly table: Table;
  /** The runs, in the order of the grid; each stands in `<out>/<id>/`. */
  readonly runs: readonly Run[];
}

/**
 * Runs a grid of methods, settings and seeds on WebGPU, and tabulates it. Cells that have a result in
 * `out` are not run again; one that fails is a row with its error, and the others go on.
 *
 * Needs `--allow-read` and `--allow-write` for `out`, and `--allow-read` for base and data.
 *
 * @param experiment What differs from {@linkcode sweep}'s defaults; the methods are needed.
 * @throws TypeError or RangeError where something does not fit, before anything has run; Error where
 *   something cannot be read or written, or there is no WebGPU adapter.
 *
 * @example
 * ```ts
 * import { runExperiment, tableText } from "@tunegrid/tunegrid/sweep";
 *
 * const out = await Deno.makeTempDir();
 * const { table } = await runExperiment({
 *   methods: "zero_shot lora:rank=1",
 *   trainSize: 16,
 *   settings: { epochs: 1, batchSize: 8, maxLength: 24 },
 *   evaluate: ["validation"],
 *   out,
 * });
 * console.log(tableText(table));
 * await Deno.remove(out, { recursive: true });
 * ```
 */
export async function runExperiment(
  experiment: Partial<Experiment> & Pick<Experiment, "methods">,
  { onStep, onEpoch, onCell, signal = new AbortController().signal }: ExperimentHooks = {},
): Promise<ExperimentOutcome> {
  const resolved = resolveExperiment(sweep(experiment), methods);
  const { out } = resolved;
  await openOut(out);
  const { prepareSweep } = await import("./cell_runner.ts");
  const prepared = await prepareSweep(resolved);
  try {
    await runSweep(prepared.cells, prepared.runCell, {
      out,
      label: ({ name, options }) => methods[name].label(options),
      environment: environment(prepared.adapter ?? null),
      reporter: {
        start: () => {},
        step: (progress, place) => onStep?.(place, progress),
        epoch: (metrics, place) => onEpoch?.(place, metrics),
        end: (now, outcome) => Promise.resolve(onCell?.(now, outcome)),
      },
      signal,
      runPack: prepared.runPack,
      budget: resolved.budget,
      halving: resolved.halving === null
        ? null
        : { eta: resolved.halving, choose: resolved.choose },
    });
  } finally {
    prepared.close();
  }
  const read = await Promise.all(
    prepared.cells.map((cell) => readAnsweredRun(`${out}/${cellId(cell)}`)),
  );
  const runs = read.filter((run) => run !== null);
  return { table: buildTable(runs, { choose: resolved.choose }), runs };
}
