/**
 * What rows cost: time, memory and operations, as bars with their figures.
 *
 * @module
 */

import * as Plot from "@observablehq/plot";
import { bytesText } from "../formats/bytes_text.ts";
import { duration } from "../sweep/progress.ts";
import type { PlannedBytes } from "../sweep/run_cell.ts";
import { draw, svgMarkup } from "./draw.ts";
import { type Content, html, type Markup } from "./html.ts";
import { chooseRows, type ReportRow } from "./report_rows.ts";

/** Rows that charts of bars have room for. */
const MOST = 24;

interface Cost {
  readonly title: string;
  read(row: ReportRow): number | null;
  write(value: number): string;
}

const mean = (values: readonly (number | null | undefined)[]): number | null => {
  const found = values.filter((value): value is number => typeof value === "number");
  return found.length === 0 ? null : found.reduce((sum, value) => sum + value, 0) / found.length;
};

const costs: readonly Cost[] = [
  {
    title: "Time of a training step",
    read: ({ row }) => row.values.msPerStep?.mean ?? null,
    write: (ms) => `${Number(ms.toPrecision(3))} ms`,
  },
  {
    title: "Time of a whole run",
    read: ({ row }) => row.values.seconds?.mean ?? null,
    write: duration,
  },
  {
    title: "Operations of the training",
    read: ({ runs }) => mean(runs.map(({ result }) => result!.planned.operations)),
    write: operationsText,
  },
];

/** Floating-point operations with their prefix. */
export function operationsText(operations: number): string {
  const units: [number, string][] = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"]];
  const [size, unit] = units.find(([size]) => operations >= size) ?? [1, ""];
  return `${Number((operations / size).toPrecision(3))} ${unit}FLOP`;
}

/** Classes of a plan's bytes, and how strongly each is drawn. */
const classes: readonly (readonly [keyof PlannedBytes | null, string, number])[] = [
  ["weights", "frozen weights", 90],
  ["trainable", "trained parameters", 62],
  ["optimizer", "gradients and optimizer", 38],
  ["activations", "activations", 20],
  ["kept", "kept features", 14],
  [null, "inputs and the like", 9],
];

const shade = (share: number): string => `color-mix(in srgb, var(--ink) ${share}%, var(--paper))`;

/** The section's figures. */
export function costCharts(all: readonly ReportRow[]): Markup {
  const { rows, note } = chooseRows(all, MOST);
  const figures = costs.map((cost): Content => {
    const values = rows.map(cost.read);
    if (values.every((value) => value === null || value === 0)) return null;
    return html`<figure><h3>${cost.title}</h3>${bars(rows, cost, values)}</figure>`;
  });
  const memory: Cost = {
    title: "Planned device memory",
    read: ({ row }) => row.values.peakBytes?.mean ?? null,
    write: bytesText,
  };
  const key = classes.map(([, name, share]) =>
    html`<span><i style="background:${shade(share)}"></i>${name}</span>`
  );
  const stacked = html`<figure><h3>${memory.title}</h3><p class="key">${key}</p>${
    bars(rows, memory, rows.map(memory.read), true)
  }</figure>`;
  return html`<div class="costs">${figures}${stacked}</div>${
    note === "" ? null : html`<p class="note">${note}</p>`
  }`;
}

const [WIDTH, STEP, RIGHT, FONT] = [270, 31, 76, 12];

/** One bar a row, its name above it and its figure at its end. */
function bars(
  rows: readonly ReportRow[],
  { title, write }: Cost,
  values: readonly (number | null)[],
  stacked = false,
): Markup {
  const data = rows.map((one, i) => ({
    name: one.row.approach,
    y: i,
    value: values[i] ?? 0,
    text: values[i] === null ? "–" : write(values[i]!),
    color: one.mark.color,
  }));
  const parts = stacked
    ? rows.flatMap((one, y) => {
      let from = 0;
      return classes.map(([key, , share]) => {
        const bytes = key === null
          ? values[y]! - from
          : mean(one.runs.map(({ result }) => result!.planned[key] ?? 0))!;
        const part = { y, from, to: from + bytes, color: shade(share) };
        from += bytes;
        return part;
      });
    })
    : data.map(({ y, value, color }) => ({ y, from: 0, to: value, color }));
  const { svg } = draw({
    width: WIDTH,
    height: rows.length * STEP + 6,
    margin: 2,
    marginRight: RIGHT,
    style: { fontSize: `${FONT}px` },
    ariaLabel: title,
    x: { domain: [0, Math.max(...data.map(({ value }) => value), 1e-9)], axis: null },
    y: { domain: [-0.5, rows.length - 0.5], reverse: true, axis: null },
    marks: [
      Plot.rect(parts, {
        x1: "from",
        x2: "to",
        y1: (d: { y: number }) => d.y + 0.02,
        y2: (d: { y: number }) => d.y + 0.42,
        fill: { value: "color", scale: null },
      }),
      Plot.text(data, {
        x: 0,
        y: "y",
        text: "name",
        textAnchor: "start",
        dy: -6,
        fill: "currentColor",
      }),
      Plot.text(data, {
        x: "value",
        y: (d: { y: number }) => d.y + 0.22,
        text: "text",
        textAnchor: "start",
        dx: 5,
        fill: "currentColor",
      }),
    ],
  });
  return svgMarkup(svg);
}
