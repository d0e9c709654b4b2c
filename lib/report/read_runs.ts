/**
 * The runs of a folder, with everything that a report shows of them.
 *
 * @module
 */

import { parse } from "@std/csv/parse";
import { readJsonFile } from "../formats/huggingface.ts";
import { ioReason } from "../formats/io_error.ts";
import { shown } from "../formats/strict_json.ts";
import type { EpochMetrics } from "../sweep/run_cell.ts";
import { readMetrics } from "../sweep/run_folder.ts";
import { readSweepRecord, type SweepRecord } from "../sweep/sweep_record.ts";
import type { PublishedRun } from "../sweep/table.ts";
import { readAnsweredRun } from "../sweep/wrong_answers.ts";

/** One run with its details. */
export interface ReportRun extends PublishedRun {
  /** One entry for each epoch that has ended. */
  readonly epochs: readonly EpochMetrics[];
  /** Its `run.json`, whole. */
  readonly description: Readonly<Record<string, unknown>>;
}

/** What a report is made from. */
export interface ReportRuns {
  /** In the order of the latest sweep, others after them by id. */
  readonly runs: readonly ReportRun[];
  /** What the latest sweep in the folder was to run; null where it left no record. */
  readonly record: SweepRecord | null;
  /** By the data's digest: the label of every validation example by its id. */
  readonly labels: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** What a run's folder is called. */
const RUN = /^[0-9a-f]{16}$/;

/** Folders read at once. */
const READERS = 16;

/**
 * Reads all runs of a folder.
 *
 * @throws {Error} When the folder or a file in it cannot be read, or there is no run
 */
export async function readRuns(folder: string): Promise<ReportRuns> {
  const record = await readSweepRecord(folder);
  const order = new Map(record?.cells.map((cell, i) => [cell.id, { i, cell }]));
  const place = (id: string): number => order.get(id)?.i ?? order.size;
  const ids = (await runIds(folder)).sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
  const labels = new Map<string, Map<string, string>>();
  const runs: ReportRun[] = [];
  for (let i = 0; i < ids.length; i += READERS) {
    const some = await Promise.all(
      ids.slice(i, i + READERS).map((id) => readReportRun(`${folder}/${id}`)),
    );
    for (const run of some) {
      if (run !== null) runs.push({ ...run, published: order.get(run.id)?.cell.published });
    }
  }
  for (const { id, cell: { data: { digest } }, wrong } of runs) {
    if (wrong === undefined || labels.has(digest)) continue;
    const [, ...rows] = parse(await Deno.readTextFile(`${folder}/${id}/predictions.csv`));
    labels.set(digest, new Map(rows.map(([id, label]) => [id, label])));
  }
  if (runs.length === 0) {
    throw new Error(
      `Cannot report on ${folder}: it holds no run; name the folder of a sweep (its --out)`,
    );
  }
  return { runs, record, labels };
}

/** Names of the folders that are runs, or are to be one. */
export async function runIds(folder: string): Promise<string[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    return entries.filter(({ name }) => RUN.test(name)).map(({ name }) => name);
  } catch (error) {
    throw new Error(`Cannot read runs in ${folder}: ${ioReason(error)}`, { cause: error });
  }
}

async function readReportRun(
  folder: string,
): Promise<ReportRun | null> {
  const run = await readAnsweredRun(folder);
  if (run === null) return null;
  if (!folder.endsWith(`/${run.id}`)) {
    throw new TypeError(
      `Cannot read ${folder}/run.json: its id ${shown(run.id)} is not the folder's`,
    );
  }
  const description = await readJsonFile(`${folder}/run.json`);
  return { ...run, description, epochs: await readMetrics(folder) };
}

/** Metrics of a run's latest epoch; null before the first. */
export async function lastEpoch(folder: string): Promise<EpochMetrics | null> {
  return (await readMetrics(folder)).at(-1) ?? null;
}
