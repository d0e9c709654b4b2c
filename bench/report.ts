/**
 * What a bench prints and saves.
 *
 * @module
 */

import { writeFileAtomic } from "../lib/formats/atomic.ts";
import type { Gpu } from "../lib/gpu/device.ts";

/** One measured line: plain values by column. */
export type Row = Readonly<Record<string, string | number | boolean>>;

/** Where lines are saved. */
export const RESULTS = "bench/results";

/** What all lines of a bench were measured on. */
export function setting(gpu: Gpu): Row {
  return {
    adapter: gpu.adapter.description,
    software: gpu.adapter.software,
    subgroup: gpu.subgroup,
    deno: Deno.version.deno,
    cores: navigator.hardwareConcurrency,
  };
}

/** Lines as a table: numbers to three digits, aligned to the right. */
export function formatTable(rows: readonly Row[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const text = (value: Row[string]) =>
    typeof value !== "number" || Number.isInteger(value)
      ? String(value)
      : value.toPrecision(Math.max(3, Math.floor(Math.log10(Math.abs(value))) + 1));
  const cells = [columns, ...rows.map((row) => columns.map((name) => text(row[name])))];
  const widths = columns.map((_, c) => Math.max(...cells.map((line) => line[c].length)));
  const right = columns.map((name) => typeof rows[0][name] === "number");
  return cells.map((line) =>
    line.map((cell, c) => right[c] ? cell.padStart(widths[c]) : cell.padEnd(widths[c]))
      .join("  ").trimEnd()
  ).join("\n");
}

/**
 * Writes lines with their setting as JSON lines to `bench/results/`.
 *
 * @returns Path of the file.
 */
export async function saveRows(bench: string, gpu: Gpu, rows: readonly Row[]): Promise<string> {
  const time = new Date().toISOString();
  const path = `${RESULTS}/${bench}-${time.replace(/[:.]/g, "-")}.jsonl`;
  await Deno.mkdir(RESULTS, { recursive: true });
  const lines = rows.map((row) => JSON.stringify({ bench, time, ...setting(gpu), ...row }) + "\n");
  await writeFileAtomic(path, lines.join(""));
  return path;
}
