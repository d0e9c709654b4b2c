import { stringify } from "@std/csv/stringify";
import { createFileExclusive, writeFileAtomic } from "../formats/atomic.ts";
import { digestJson, sha256File } from "../formats/digest.ts";
import { ioReason } from "../formats/io_error.ts";
import { checkShape, readShaped } from "../formats/json_shape.ts";
import { readOrNone } from "../formats/read_or_none.ts";
import { parseStrictJson } from "../formats/strict_json.ts";
import type { SplitMetrics } from "../train/metrics.ts";
import type { Cell } from "./cell.ts";
import type { Environment } from "./environment.ts";
import type { CellResult, EpochMetrics } from "./run_cell.ts";
import {
  certificateShape,
  epochShape,
  errorShape,
  resultShape,
  runShape,
  timesShape,
} from "./run_shapes.ts";
import { readStopped, type Stopped } from "./stopped.ts";

/** What a run's folder says about the run before it starts (`run.json`). */
export interface RunDescription {
  /** The cell's id and the folder's name. */
  id: string;
  /** How tables name the method. */
  approach: string;
  /** The whole description. */
  cell: Cell;
  /** What it was made by. */
  environment: Environment;
  /** Kernels that it ran on, by size class or exact sizes; absent until it is done. */
  kernels?: Readonly<Record<string, string>>;
}

/** What stands in `result.json`: a run is done when, and only when, that file is there. */
export interface RunResult extends
  Pick<
    CellResult,
    | "best"
    | "last"
    | "kept"
    | "stoppedEarly"
    | "head"
    | "parameters"
    | "note"
    | "planned"
    | "evaluatedBy"
  > {
  /** The cell's id. */
  id: string;
  /** Digest of the kernels in `run.json`. */
  kernels?: string;
  /** Metrics of every split that was measured with the weights that are kept, by name. */
  splits: Readonly<Record<string, SplitMetrics>>;
  /** Validation examples that the metrics were computed on. */
  examples: number;
}

/** What stands in `times.json`, the only file of a run that differs when it is done again. */
export interface RunTimes extends Readonly<CellResult["times"]> {
  /** When the run, or the part of it after its last interruption, began; as ISO 8601 in UTC. */
  readonly start?: string;
  /** When it was done. */
  readonly end?: string;
}

/** Everything a table needs to know of a run. */
export interface Run extends Omit<RunDescription, "environment"> {
  /** Null where the run is not done. */
  result: RunResult | null;
  /** Null where the run is not done. */
  times: RunTimes | null;
  /** Why it failed; null where it did not, or has not ended. */
  error: string | null;
  /** How it compared when it was done again (`verify.json`); null or absent where it was not. */
  verified?: Verdict | null;
  /** Where halving has paused or stopped it; null or absent where it is done, or was not. */
  stopped?: Stopped | null;
}

/** How a run that was done again compares with the first time. */
export type Verdict = "identical" | "within tolerance" | "different";

/** Name of the certificate in a run's folder; see `verify.ts`. */
export const CERTIFICATE = "verify.json";

const json = (value: unknown): string => JSON.stringify(value, null, 2) + "\n";

/** Whether a run's result is published. */
export async function isDone(folder: string): Promise<boolean> {
  return await readShaped(`${folder}/result.json`, resultShape) !== null;
}

/**
 * Makes sure that runs can be written, before anything is computed.
 *
 * @throws {Error} When the folder cannot be made or written
 */
export async function openOut(out: string): Promise<void> {
  try {
    await Deno.mkdir(out, { recursive: true });
    await Deno.remove(await Deno.makeTempFile({ dir: out, prefix: "." }));
  } catch (error) {
    throw new Error(
      `Cannot write runs to ${out}: ${ioReason(error)}; choose another folder with --out`,
      { cause: error },
    );
  }
}

/** Makes a run's folder, frees it of what a killed process left, and writes `run.json`. */
export async function openRun(folder: string, description: RunDescription): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for await (const { name } of Deno.readDir(folder)) {
    if (name.startsWith(".") && name.endsWith(".tmp")) await removeStale(`${folder}/${name}`);
  }
  await writeFileAtomic(`${folder}/run.json`, json(description));
}

/** Writes `metrics.jsonl`: one line for each epoch so far. */
export async function writeMetrics(
  folder: string,
  epochs: readonly EpochMetrics[],
): Promise<void> {
  await writeFileAtomic(`${folder}/metrics.jsonl`, metricsLines(epochs));
}

function metricsLines(epochs: readonly EpochMetrics[]): string {
  return epochs.map((epoch) => JSON.stringify(epoch) + "\n").join("");
}

/**
 * Reads `metrics.jsonl`: one entry for each epoch that has ended.
 *
 * @throws {Error} When it is there but cannot be read
 */
export async function readMetrics(folder: string): Promise<EpochMetrics[]> {
  const path = `${folder}/metrics.jsonl`;
  const lines = (await readOrNone(path) ?? "").split("\n");
  return lines.flatMap((line, i) => {
    if (line === "") return [];
    let value: unknown;
    try {
      value = parseStrictJson(line);
    } catch (error) {
      throw new TypeError(`Cannot read ${path}, line ${i + 1}: ${(error as Error).message}`);
    }
    return [checkShape<EpochMetrics>(value, epochShape, `${path}, line ${i + 1}`)];
  });
}

/** Files of a finished run that are the same whenever it is done again, by name; result.json last. */
export function resultFiles(
  description: RunDescription,
  result: CellResult,
): Map<string, string> {
  const { id, cell } = description;
  const { best, last, kept, parameters, planned, predictions } = result;
  const { epoch: _, trainLoss: __, evalLoss: loss, ...metrics } = kept;
  const further = Object.entries(result.splits);
  const published: RunResult = {
    id,
    examples: predictions.length,
    best,
    last,
    kept,
    stoppedEarly: result.stoppedEarly,
    head: result.head,
    splits: {
      validation: { examples: predictions.length, loss, ...metrics },
      ...Object.fromEntries(further.map(([name, split]) => [name, split.metrics])),
    },
    parameters,
    note: result.note ?? null,
    planned,
    ...result.kernels && { kernels: digestJson(result.kernels) },
    ...result.evaluatedBy === undefined ? {} : { evaluatedBy: result.evaluatedBy },
  };
  return new Map([
    ["run.json", json({ ...description, kernels: result.kernels })],
    ["metrics.jsonl", metricsLines(result.epochs)],
    ["predictions.csv", predictionsCsv(cell, predictions)],
    ...further.map(([name, split]): [string, string] => [
      `predictions_${name}.csv`,
      predictionsCsv(cell, split.predictions),
    ]),
    ["result.json", json(published)],
  ]);
}

/**
 * Writes the rest of a finished run, `result.json` last; where that is there already, it stays.
 *
 * @param start When the run began.
 */
export async function publishRun(
  folder: string,
  description: RunDescription,
  result: CellResult,
  start?: Date,
): Promise<void> {
  const times: RunTimes = {
    ...result.times,
    ...start && { start: start.toISOString(), end: new Date().toISOString() },
  };
  await writeFileAtomic(`${folder}/times.json`, json(times));
  for (const [name, text] of resultFiles(description, result)) {
    if (name === "result.json") await createFileExclusive(`${folder}/${name}`, text);
    else await writeFileAtomic(`${folder}/${name}`, text);
  }
  await clearError(folder);
}

/** Writes `error.json`, so that the failure stays visible until the run succeeds. */
export async function writeError(folder: string, message: string): Promise<void> {
  await writeFileAtomic(`${folder}/error.json`, json({ message }));
}

/** When a run last failed, milliseconds; 0 where it did not, or has succeeded since. */
export async function errorTime(folder: string): Promise<number> {
  try {
    return (await Deno.stat(`${folder}/error.json`)).mtime?.getTime() ?? 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    if (error instanceof Deno.errors.NotADirectory) return 0; // told when it is to be made
    throw error;
  }
}

/** Removes the error of an earlier attempt. */
export async function clearError(folder: string): Promise<void> {
  await Deno.remove(`${folder}/error.json`).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

/**
 * What a finished run's folder says of it; null where there is none, or it is not done.
 *
 * @throws {Error} When a file is there but cannot be read
 */
export async function readDescription(folder: string): Promise<RunDescription | null> {
  if (!await isDone(folder)) return null;
  return await readShaped<RunDescription>(`${folder}/run.json`, runShape);
}

/**
 * Reads a run back from its folder; null where none was started.
 *
 * @throws {Error} When a file is there but cannot be read
 */
export async function readRun(folder: string): Promise<Run | null> {
  const description = await readShaped<RunDescription>(`${folder}/run.json`, runShape);
  if (description === null) return null;
  const { id, approach, cell } = description;
  const result = await readShaped<RunResult>(`${folder}/result.json`, resultShape);
  const times = result && await readShaped<RunTimes>(`${folder}/times.json`, timesShape);
  const error = result
    ? null
    : await readShaped<{ message: string }>(`${folder}/error.json`, errorShape);
  const verified = result && await readVerdict(folder);
  const stopped = result ? null : await readStopped(folder);
  return { id, approach, cell, result, times, error: error && error.message, verified, stopped };
}

/** The certificate's verdict, where it is on the result that is there now. */
async function readVerdict(folder: string): Promise<Verdict | null> {
  const certificate = await readShaped<{ verdict: Verdict; digests: Record<string, string> }>(
    `${folder}/${CERTIFICATE}`,
    certificateShape,
  );
  if (certificate === null) return null;
  const result = await sha256File(`${folder}/result.json`);
  return certificate.digests["result.json"] === result ? certificate.verdict : null;
}

function predictionsCsv({ task }: Cell, predictions: CellResult["predictions"]): string {
  const scores = task.labels.map((label) => `score ${label}`);
  const rows = predictions.map(({ id, label, prediction, scores }) => [
    id,
    task.labels[label],
    task.labels[prediction],
    ...scores,
  ]);
  return stringify([["id", "label", "prediction", ...scores], ...rows]);
}

/** A temporary file that has not changed for a minute belongs to no living writer. */
async function removeStale(path: string): Promise<void> {
  const { mtime } = await Deno.stat(path).catch(() => ({ mtime: null }));
  if (mtime && Date.now() - mtime.getTime() > 60_000) await Deno.remove(path).catch(() => {});
}
