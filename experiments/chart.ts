/**
 * Draws a sweep's accuracies against trainable parameters, as an SVG:
 * `deno run --allow-read --allow-write --allow-env experiments/chart.ts runs/table.csv chart.svg`
 *
 * @module
 */

import * as Plot from "@observablehq/plot";
import { parse } from "@std/csv";
import { DOMParser } from "linkedom";
import { writeFileAtomic } from "../lib/formats/atomic.ts";

const [table, out] = Deno.args;
if (out === undefined) {
  console.error("Cannot draw a chart: use chart.ts TABLE.csv CHART.svg");
  Deno.exit(2);
}

const rows = parse(await Deno.readTextFile(table), { skipFirstRow: true }) as Record<
  string,
  string
>[];
const points = rows.filter((row) => row.last_accuracy !== "").map((row) => ({
  approach: row.approach,
  // A logarithmic axis has no place for zero; what trains nothing stands at its left end.
  trainable: Math.max(Number(row.trainable_parameters), 1),
  accuracy: 100 * Number(row.last_accuracy),
  deviation: 100 * Number(row.last_accuracy_sd || 0),
}));

const document = new DOMParser().parseFromString("<html></html>", "text/html");
const chart = Plot.plot({
  document,
  width: 760,
  height: 420,
  marginLeft: 50,
  marginRight: 110,
  style: { background: "white", color: "black", fontSize: "12px" },
  grid: true,
  inset: 12,
  x: { type: "log", label: "trainable parameters (1: none)", tickFormat: "~s" },
  y: { label: "last-epoch validation accuracy, % (mean ± sd)" },
  marks: [
    Plot.ruleX(points, {
      x: "trainable",
      y1: (d) => d.accuracy - d.deviation,
      y2: (d) => d.accuracy + d.deviation,
      stroke: "#4269d0",
      strokeWidth: 2,
    }),
    Plot.dot(points, { x: "trainable", y: "accuracy", r: 4.5, fill: "#4269d0" }),
    Plot.text(points, {
      x: "trainable",
      y: "accuracy",
      text: "approach",
      dx: 9,
      textAnchor: "start",
    }),
  ],
});
chart.setAttribute("xmlns", "http://www.w3.org/2000/svg");
await writeFileAtomic(out, chart.outerHTML);
