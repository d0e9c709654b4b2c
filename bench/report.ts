/**
 * What a bench prints and saves.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };
import { writeFileAtomic } from "../lib/formats/atomic.ts";
import type { Gpu } from "../lib/gpu/device.ts";
import { numericsFingerprint } from "../lib/train/fingerprint.ts";
import { commit, sourceDigest } from "../lib/sweep/provenance.ts";
import { peakOf } from "./peak.ts";

/** One measured line: plain values by column. */
export type Row = Readonly<Record<string, string | number | boolean>>;

/** Where lines are saved. */
export const RESULTS = "bench/results";

/** What all lines of a bench were measured by; the launcher tells the commit. */
export function versions(): Row {
  const git = commit();
  return {
    tunegrid: config.version,
    commit: git === null ? "unknown" : git.commit.slice(0, 10) + (git.clean ? "" : " modified"),
    source: sourceDigest()?.slice(0, 16) ?? "unknown",
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    cores: navigator.hardwareConcurrency,
  };
}

/** What all lines of a bench were measured on: the adapter, what it computes and what it can do. */
export async function setting(gpu: Gpu): Promise<Row> {
  const { gflops, gbps } = await peakOf(gpu);
  return {
    adapter: gpu.adapter.description,
    driver: await driverVersion(),
    software: gpu.adapter.software,
    subgroup: gpu.subgroup,
    fingerprint: (await numericsFingerprint(gpu)).probe,
    "peak GFLOP/s": gflops,
    "peak GB/s": gbps,
    ...versions(),
  };
}

/** WebGPU does not tell the driver's version; NVIDIA's does, to who may read it. */
async function driverVersion(): Promise<string> {
  try {
    const text = await Deno.readTextFile("/proc/driver/nvidia/version");
    return /\b\d+\.\d+(\.\d+)?\b/.exec(text)?.[0] ?? "unknown";
  } catch {
    return "unknown";
  }
}

/** Lines as a table: numbers to three digits, aligned to the right. */
export function formatTable(rows: readonly Row[]): string {
  const { columns, cells, right } = layOut(rows);
  const lines = [columns, ...cells];
  const widths = columns.map((_, c) => Math.max(...lines.map((line) => line[c].length)));
  return lines.map((line) =>
    line.map((cell, c) => right[c] ? cell.padStart(widths[c]) : cell.padEnd(widths[c]))
      .join("  ").trimEnd()
  ).join("\n");
}

/** The same as a table of Markdown. */
export function formatMarkdown(rows: readonly Row[]): string {
  const { columns, cells, right } = layOut(rows);
  const rule = columns.map((_, c) => right[c] ? "---:" : "---");
  return [columns, rule, ...cells].map((line) =>
    `| ${line.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`
  ).join("\n");
}

function layOut(rows: readonly Row[]): { columns: string[]; cells: string[][]; right: boolean[] } {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return {
    columns,
    cells: rows.map((row) => columns.map((name) => cell(row[name]))),
    right: columns.map((name) => rows.some((row) => typeof row[name] === "number")),
  };
}

function cell(value: Row[string] | undefined): string {
  if (value === undefined) return "";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  if (Math.abs(value) >= 1000) return value.toFixed(0);
  const digits = value.toPrecision(3);
  return digits.includes("e") ? String(Number(digits)) : digits;
}

/**
 * Writes lines with what they were measured on as JSON lines to {@linkcode RESULTS}.
 *
 * @returns Path of the file.
 */
export async function saveRows(bench: string, on: Row, rows: readonly Row[]): Promise<string> {
  const time = new Date().toISOString();
  const path = `${RESULTS}/${bench}-${time.replace(/[:.]/g, "-")}.jsonl`;
  await Deno.mkdir(RESULTS, { recursive: true });
  await writeFileAtomic(path, jsonLines(bench, time, on, rows));
  return path;
}

/** The lines of a file: each is whole by itself. */
export function jsonLines(bench: string, time: string, on: Row, rows: readonly Row[]): string {
  return rows.map((row) => JSON.stringify({ bench, time, ...on, ...row }) + "\n").join("");
}
