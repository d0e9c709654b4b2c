/**
 * How far a sweep has come, from its folders alone: another process may be running it.
 *
 * @module
 */

import { textColumns } from "../formats/text_columns.ts";
import { type ClaimStatus, readClaim } from "../sweep/claim.ts";
import { duration, percent } from "../sweep/progress.ts";
import { readRun } from "../sweep/run_folder.ts";
import { readSweepRecord } from "../sweep/sweep_record.ts";
import { lastEpoch, runIds } from "./read_runs.ts";

/**
 * Where a cell stands; it runs as long as a claim on it is alive. Halving pauses those
 * that wait for others at a rung, and drops those that did not come up to them.
 */
export type CellState =
  | "done"
  | "failed"
  | "running"
  | "stopped"
  | "missing"
  | "paused"
  | "dropped";

/** One cell and where it stands. */
export interface CellStatus {
  /** The cell's id. */
  readonly id: string;
  /** How tables name the method. */
  readonly approach: string;
  /** The cell's seed. */
  readonly seed: number;
  /** Where it stands. */
  readonly state: CellState;
  /** Epochs that have ended. */
  readonly epoch: number;
  /** Epochs that it trains at most. */
  readonly epochs: number;
  /** Accuracy after the latest epoch, from 0 to 1; null before the first. */
  readonly accuracy: number | null;
  /** Seconds since its folder last changed; null where there is none. */
  readonly age: number | null;
  /** Seconds that it took, or has been at work; null where it was not begun. */
  readonly seconds: number | null;
  /** Why it failed, or was dropped. */
  readonly error: string | null;
  /** Who runs it, or has left it in the middle; null where it is not claimed. */
  readonly claim: ClaimStatus | null;
}

/** A sweep and where it stands. */
export interface SweepStatus {
  /** In the order of the sweep. */
  readonly cells: readonly CellStatus[];
  /** Runs in the folder that are none of the latest sweep's. */
  readonly others: number;
  /** Whether missing cells are known: the sweep has left its record. */
  readonly planned: boolean;
}

/**
 * Reads where the cells of a folder's latest sweep stand.
 *
 * @param now Milliseconds since the epoch
 * @throws {Error} When the folder cannot be read
 */
export async function readStatus(folder: string, now: number): Promise<SweepStatus> {
  const record = await readSweepRecord(folder);
  const found = new Set(await runIds(folder));
  const planned = record?.cells ?? [...found].sort().map((id) => ({ id }));
  const cells = await Promise.all(
    planned.map(async (cell) => await statusOf(`${folder}/${cell.id}`, cell, now)),
  );
  return {
    cells: cells.filter((cell) => cell !== null),
    others: record === null ? 0 : found.size - planned.filter(({ id }) => found.has(id)).length,
    planned: record !== null,
  };
}

/** What a record tells of a cell; without one, nothing but its id. */
type Known = { readonly id: string; approach?: string; seed?: number; epochs?: number };

async function statusOf(folder: string, known: Known, now: number): Promise<CellStatus | null> {
  const run = await readRun(folder);
  const { id } = known;
  if (run === null) {
    const { approach, seed, epochs } = known;
    if (approach === undefined) return null; // A folder that is none of ours.
    const nothing = { epoch: 0, accuracy: null, age: null, seconds: null, error: null };
    const cell = { id, approach, seed: seed!, epochs: epochs!, ...nothing };
    const claim = await readClaim(folder, now);
    if (claim?.live) return { ...cell, state: "running", seconds: 0, claim };
    return { ...cell, state: "missing", claim };
  }
  const { approach, cell: { seed, settings } } = run;
  const cell = { id, approach, seed, epochs: settings.epochs };
  const [begun, changed] = [await mtime(`${folder}/run.json`), await latestChange(folder)];
  const latest = await lastEpoch(folder);
  const { epoch, accuracy } = latest ?? { epoch: 0, accuracy: null };
  const age = Math.max(0, (now - changed) / 1000);
  if (run.result !== null) {
    return {
      ...cell,
      epoch,
      accuracy: run.result.last.accuracy,
      age,
      state: "done",
      seconds: run.times?.seconds ?? null,
      error: null,
      claim: null,
    };
  }
  const seconds = Math.max(0, (changed - begun) / 1000);
  const failed = run.error !== null && await mtime(`${folder}/error.json`) >= begun;
  if (!failed && run.stopped) {
    const { dropped } = run.stopped;
    return {
      ...{ ...cell, epoch, accuracy, age, seconds },
      state: dropped ? "dropped" : "paused",
      error: dropped && `place ${dropped.rank} of ${dropped.settings} settings there`,
      claim: null,
    };
  }
  const claim = await readClaim(folder, now);
  const state = failed ? "failed" : claim?.live ? "running" : "stopped";
  return {
    ...cell,
    epoch,
    accuracy,
    age,
    state,
    seconds: state === "running" ? seconds + age : seconds,
    error: failed ? run.error : null,
    claim,
  };
}

async function mtime(path: string): Promise<number> {
  const { mtime } = await Deno.stat(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return { mtime: null };
    throw error;
  });
  return mtime?.getTime() ?? 0;
}

async function latestChange(folder: string): Promise<number> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  return Math.max(...await Promise.all(names.map((name) => mtime(`${folder}/${name}`))));
}

/**
 * Seconds until the sweep's end, by what cells of the same approach took (else, all cells); null
 * where nothing is known. Processes that run at once share what is left; of cells that one process
 * runs at once, each takes its share of the time, as its `times.json` tells it.
 */
export function secondsLeft(cells: readonly CellStatus[]): number | null {
  const mean = (some: readonly CellStatus[]): number | null => {
    const known = some.flatMap(({ state, seconds }) => state === "done" ? seconds ?? [] : []);
    return known.length === 0 ? null : known.reduce((a, b) => a + b, 0) / known.length;
  };
  const all = mean(cells);
  const running = cells.filter(({ state }) => state === "running");
  const processes = Map.groupBy(
    running,
    ({ claim }, i) => claim?.pid == null ? i : `${claim.host} ${claim.pid}`,
  );
  const rest = cells.filter(({ state }) => state !== "done" && state !== "running");
  let left = 0;
  for (const own of [...processes.values(), ...rest.map((cell) => [cell])]) {
    const wholes = own.map(({ approach, epoch, epochs, seconds }) => {
      const pace = epoch > 0 ? seconds! * epochs / epoch / own.length : null;
      return mean(cells.filter((cell) => cell.approach === approach)) ?? pace ?? all;
    });
    if (wholes.includes(null)) return null;
    const spent = own[0].state === "running" ? Math.max(...own.map(({ seconds }) => seconds!)) : 0;
    left += Math.max(0, wholes.reduce((a, b) => a! + b!, 0)! - spent);
  }
  return left / Math.max(1, processes.size);
}

const order: readonly CellState[] = [
  ...(["running", "failed", "stopped", "paused", "missing", "dropped", "done"] as const),
];

/** Who runs a cell, or what becomes of one that nobody runs any more. */
function remark({ state, claim, age }: CellStatus): string {
  if (state === "stopped") {
    const left = `last sign ${duration(claim?.age ?? age!)} ago`;
    return claim === null ? left : `will be taken over; ${left}`;
  }
  if (state !== "running" || claim === null) return "";
  const { host, since, age: beat } = claim;
  return [
    ...host === null ? [] : [`on ${host}`],
    ...since === null ? [] : [`since ${since.toISOString().slice(0, 16).replace("T", " ")} UTC`],
    `heartbeat ${duration(beat)} ago`,
  ].join(", ");
}

/** The status as text: counts and time left, then every cell. */
export function statusText({ cells, others, planned }: SweepStatus): string {
  const counts = order.map((state) => [state, cells.filter((c) => c.state === state).length]);
  const left = secondsLeft(cells.filter(({ state }) => !["failed", "dropped"].includes(state)));
  const running = cells.some(({ state }) => state === "running");
  const open = cells.some(({ state }) => !["done", "failed", "dropped"].includes(state));
  const head = [
    `${cells.length} cells: ${
      counts.filter(([, count]) => count !== 0).map(([state, count]) => `${count} ${state}`)
        .join(", ")
    }`,
    ...(open && left !== null
      ? [`about ${duration(left)} ${running ? "left" : "of work left"}`]
      : []),
  ].join("; ");
  const rows = cells.map((cell) => [
    cell.state,
    `${cell.approach}, seed ${cell.seed}`,
    cell.state === "missing" ? "" : `epoch ${cell.epoch}/${cell.epochs}`,
    cell.accuracy === null ? "" : `${percent(cell.accuracy)} %`,
    cell.seconds === null ? "" : duration(cell.seconds),
    cell.error ?? remark(cell),
  ]);
  return [
    head,
    "",
    textColumns(
      [["state", "cell", "epochs", "accuracy", "time", ""], ...rows],
      [false, false, false, true, true, false],
    ),
    ...(others > 0
      ? ["", `${others} other runs in the folder are none of the latest sweep's`]
      : []),
    ...(planned ? [] : ["", "The sweep has left no sweep.json: cells not begun yet are not known"]),
  ].join("\n");
}
