/**
 * The rows of a report: those of the table, each with its runs.
 *
 * @module
 */

import type { QuantityName, Table, TableRow } from "../sweep/table.ts";
import { shownRows } from "../sweep/table_format.ts";
import { type Mark, marksOf } from "./palette.ts";
import type { ReportRun } from "./read_runs.ts";

/** One approach over its seeds, with results. */
export interface ReportRow {
  /** As the table has it. */
  readonly row: TableRow;
  /** Its runs, in the order of the row's seeds. */
  readonly runs: readonly ReportRun[];
  /** How its method is drawn. */
  readonly mark: Mark;
  /** Mean accuracy by {@linkcode Measure.quantity}, from 0 to 1. */
  readonly accuracy: number;
  /** 95 % interval of the accuracy, from 0 to 1, as the table has it. */
  readonly interval: readonly [low: number, high: number];
  /** Mean number of parameters that train. */
  readonly trainable: number;
}

/** Which accuracy a report compares. */
export interface Measure {
  /** Name of the table's quantity. */
  readonly quantity: Extract<QuantityName, "testAccuracy" | "lastAccuracy">;
  /** What axes call it. */
  readonly name: string;
}

/** Test accuracy where every row has it, else that of the last epoch on validation examples. */
export function measureOf(table: Table): Measure {
  const done = shownRows(table).filter(({ error }) => error === null);
  return done.length > 0 && done.every(({ values }) => values.testAccuracy !== null)
    ? { quantity: "testAccuracy", name: "test accuracy" }
    : { quantity: "lastAccuracy", name: "last-epoch validation accuracy" };
}

/** The rows with results that readers are shown, in the table's order. */
export function reportRows(
  table: Table,
  runs: readonly ReportRun[],
  { quantity }: Measure,
): ReportRow[] {
  const byId = new Map(runs.map((run) => [run.id, run]));
  const shown = shownRows(table);
  const marks = marksOf(shown.map(({ method }) => method));
  return shown.filter(({ error }) => error === null).map((row) => {
    const { mean, lower, upper } = row.values[quantity]!;
    return {
      row,
      runs: row.runs.map((id) => byId.get(id)!),
      mark: marks.get(row.method)!,
      accuracy: mean,
      interval: [lower ?? mean, upper ?? mean],
      trainable: row.values.trainableParameters!.mean,
    };
  });
}

/** Rows that figures with room for few of them show, and how they were chosen. */
export interface ChosenRows {
  /** In the order of the table. */
  readonly rows: readonly ReportRow[];
  /** Empty where all are shown. */
  readonly note: string;
}

/** All rows where they are few, else the most accurate row of each method. */
export function chooseRows(rows: readonly ReportRow[], most: number): ChosenRows {
  if (rows.length <= most) return { rows, note: "" };
  const best = new Map<string, ReportRow>();
  for (const one of rows) {
    const { method } = one.row;
    const other = best.get(method);
    if (other === undefined || one.accuracy > other.accuracy) best.set(method, one);
  }
  return {
    rows: rows.filter((one) => best.get(one.row.method) === one),
    note: `Of ${rows.length} rows, the most accurate of each method; the table has all.`,
  };
}
