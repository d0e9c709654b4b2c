import { textColumns } from "../formats/text_columns.ts";
import type { Row } from "./compare.ts";
import type { ParityResult } from "./parity.ts";

const number = (value: number | null): string => value === null ? "" : value.toExponential(1);

const whole = (count: number): string => count.toLocaleString("en");

const verdict = ({ ok, problem, leftOut }: Row): string => {
  if (problem !== undefined) return `NOT COMPARED: ${problem}`;
  return `${ok ? "ok" : "OUT OF TOLERANCE"}${leftOut === undefined ? "" : ` without ${leftOut}`}`;
};

/** A folder's result as text: every tensor, then one line. */
export function reportText({ dir, family, label, counts, rows, ok }: ParityResult): string {
  const { total, trainable } = counts;
  const table = [
    ["tensor", "largest error", "relative", "bound", ""],
    ...rows.map((row) => [
      row.name,
      number(row.absolute),
      number(row.relative),
      row.bound,
      verdict(row),
    ]),
  ];
  const missing = rows.filter(({ problem }) => problem !== undefined).length;
  const partial = rows.filter(({ leftOut }) => leftOut !== undefined).length;
  const out = rows.filter((row) => !row.ok).length - missing;
  return [
    `${dir}: ${family}, ${label}, ${whole(total)} parameters, ${whole(trainable)} trainable`,
    "",
    textColumns(table, [false, true, true, true, false]),
    "",
    `${rows.length} checked, ${out} out of tolerance, ${missing} not compared` +
    (partial === 0 ? ": " : `, ${partial} without their key bias: `) +
    (ok ? "passed" : "FAILED"),
  ].join("\n");
}

/** What became of a folder that was to be checked. */
export type Outcome =
  | { readonly dir: string; readonly result: ParityResult }
  | { readonly dir: string; readonly error: string }
  | { readonly dir: string; readonly passedOver: string };

/** All folders' results as one table. */
export function summaryText(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map((outcome) => {
    if ("error" in outcome) return [outcome.dir, "", "", "", "", `FAILED: ${outcome.error}`];
    if ("passedOver" in outcome) {
      return [outcome.dir, "", "", "", "", `not run: ${outcome.passedOver}`];
    }
    const { family, label, rows, ok } = outcome.result;
    const compared = rows.filter(({ problem, bound }) => problem === undefined && bound !== "");
    const partial = rows.filter(({ leftOut }) => leftOut !== undefined).length;
    const [closest] = compared.toSorted((a, b) => size(b.used) - size(a.used));
    return [
      outcome.dir,
      family,
      label,
      `${compared.length} of ${rows.length}`,
      closest === undefined ? "" : `${Math.ceil(closest.used * 100)} % (${closest.name})`,
      `${ok ? "passed" : "FAILED"}${partial === 0 ? "" : `, ${partial} without their key bias`}`,
    ];
  });
  const head = ["folder", "family", "method", "compared", "closest to its bound", "result"];
  return textColumns([head, ...rows], [false, false, false, true, false, false]);
}

/** NaN counts as the largest. */
function size(value: number): number {
  return Number.isNaN(value) ? Number.MAX_VALUE : Math.min(value, Number.MAX_VALUE);
}
