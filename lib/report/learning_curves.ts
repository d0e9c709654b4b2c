/**
 * Learning curves: one panel for each method, all on the same axes.
 *
 * @module
 */

import * as Plot from "@observablehq/plot";
import type { EpochMetrics } from "../sweep/run_cell.ts";
import { addText, draw, svgMarkup } from "./draw.ts";
import { embedJson, html, type Markup } from "./html.ts";
import { spread } from "./place_labels.ts";
import type { ReportRow } from "./report_rows.ts";

/** What a figure of curves shows. */
interface CurveKind {
  readonly name: string;
  readonly digits: number;
  readonly unit: string;
  readonly series: readonly {
    readonly name: string;
    readonly dash: string | undefined;
    read(metrics: EpochMetrics): number | null;
  }[];
}

const kinds: readonly CurveKind[] = [
  {
    name: "Validation accuracy",
    digits: 1,
    unit: " %",
    series: [{ name: "", dash: undefined, read: ({ accuracy }) => 100 * accuracy }],
  },
  {
    name: "Loss",
    digits: 3,
    unit: "",
    series: [
      { name: "validation", dash: undefined, read: ({ evalLoss }) => evalLoss },
      { name: "training", dash: "2 3", read: ({ trainLoss }) => trainLoss },
    ],
  },
];

/** Mean of some runs' values after each epoch. */
interface Curve {
  readonly one: ReportRow;
  readonly name: string;
  readonly dash: string | undefined;
  readonly points: readonly { readonly epoch: number; readonly value: number }[];
}

/** Rows beyond which runs of single seeds are not drawn. */
const FEW = 60;

/** Labels that fit at the end of a panel's curves. */
const LABELS = 7;

const [WIDTH, HEIGHT, RIGHT, FONT] = [330, 220, 84, 11];

/** The section's figures, and the series that the page's hover reads. */
export function learningCurves(rows: readonly ReportRow[]): Markup {
  const trained = rows.filter(({ runs }) =>
    runs.some(({ epochs }) => (epochs.at(-1)?.epoch ?? 0) > 0)
  );
  if (trained.length === 0) return html`<p>No row was trained.</p>`;
  const untrained = rows.filter((one) => !trained.includes(one));
  return html`${kinds.map((kind) => figure(kind, trained, untrained))}`;
}

function figure(
  kind: CurveKind,
  rows: readonly ReportRow[],
  untrained: readonly ReportRow[],
): Markup {
  const curves = rows.flatMap((one) => curvesOf(one, kind, (runs) => [runs]));
  const thin = rows.length > FEW
    ? []
    : rows.flatMap((one) =>
      one.runs.length < 2 ? [] : curvesOf(one, kind, (runs) => runs.map((run) => [run]))
    );
  const values = curves.concat(thin).flatMap(({ points }) => points.map(({ value }) => value));
  const base = untrained.map(({ runs }) => kind.series[0].read(runs[0].result!.last)!);
  const low = Math.min(...values, ...base);
  const high = Math.max(...values, ...base);
  const epochs = Math.max(...curves.map(({ points }) => points.at(-1)?.epoch ?? 1));
  const methods = Map.groupBy(curves, ({ one }) => one.row.method);
  const panels = [...methods].map(([method, own]) => {
    const seeds = thin.filter(({ one }) => one.row.method === method);
    return panel(kind, own, seeds, base, [low, high], epochs, (curve) => curves.indexOf(curve));
  });
  const shown = curves.map(({ one, name, points }) => [
    one.row.approach + (name === "" ? "" : `, ${name}`),
    ...points.flatMap(({ epoch, value }) => [epoch, Number(value.toPrecision(4))]),
  ]);
  const notes = [
    rows.some(({ runs }) => runs.length > 1) ? "Bold: mean over the seeds." : "",
    thin.length > 0 ? "Faint: single seeds." : "",
    kind.series.length > 1 ? "Dotted: training loss, the mean over an epoch's steps." : "",
    base.length > 0 ? "Dashed: without training." : "",
  ];
  return html`
    <figure data-hover="curves" data-unit="${kind.unit}" data-digits="${kind.digits}">
      <h3>${kind.name} by epoch</h3>
      <div class="panels">${panels}</div>
      <figcaption>${notes.join(" ")}</figcaption>
      <script type="application/json">${embedJson(shown)}</script>
    </figure>
  `;
}

function curvesOf(
  one: ReportRow,
  { series }: CurveKind,
  groups: (runs: ReportRow["runs"]) => readonly ReportRow["runs"][],
): Curve[] {
  return series.flatMap(({ name, dash, read }) =>
    groups(one.runs).map((runs): Curve => {
      const values = new Map<number, number[]>();
      for (const metrics of runs.flatMap(({ epochs }) => epochs)) {
        const value = read(metrics);
        if (value === null) continue;
        values.set(metrics.epoch, [...values.get(metrics.epoch) ?? [], value]);
      }
      const points = [...values].sort(([a], [b]) => a - b).map(([epoch, own]) => ({
        epoch,
        value: own.reduce((sum, value) => sum + value, 0) / own.length,
      }));
      return { one, name, dash, points };
    })
  );
}

function panel(
  { series }: CurveKind,
  curves: readonly Curve[],
  seeds: readonly Curve[],
  base: readonly number[],
  domain: [number, number],
  epochs: number,
  indexOf: (curve: Curve) => number,
): Markup {
  const { row, mark } = curves[0].one;
  const flat = (some: readonly Curve[], dash: string | undefined) =>
    some.filter((curve) => curve.dash === dash)
      .flatMap((curve) => curve.points.map((point) => ({ ...point, curve })));
  const lines = (some: readonly Curve[], options: Plot.LineOptions) =>
    series.map(({ dash }) =>
      Plot.line(flat(some, dash), {
        x: "epoch",
        y: "value",
        z: "curve",
        stroke: mark.color,
        strokeDasharray: dash,
        ...options,
      })
    );
  const drawing = draw({
    width: WIDTH,
    height: HEIGHT,
    marginLeft: 36,
    marginRight: RIGHT,
    marginTop: 12,
    marginBottom: 28,
    style: { fontSize: `${FONT}px` },
    ariaLabel: `Curves of ${row.method}`,
    x: {
      domain: [Math.min(1, epochs - 1), epochs],
      ticks: Array.from({ length: epochs }, (_, i) => i + 1)
        .filter((epoch) => epochs <= 8 || epoch % Math.ceil(epochs / 6) === 0),
      tickFormat: String,
      tickSize: 3,
      label: null,
    },
    y: { domain, nice: true, grid: true, ticks: 5, tickSize: 0, label: null },
    marks: [
      Plot.ruleY([...new Set(base)], { stroke: "var(--soft)", strokeDasharray: "6 4" }),
      ...lines(seeds, { strokeWidth: 1, strokeOpacity: 0.3, className: "seed" }),
      ...lines(curves, { strokeWidth: 2, className: "mean" }),
      Plot.dot(curves.flatMap(({ points }) => points.length === 1 ? points : []), {
        x: "epoch",
        y: "value",
        fill: mark.color,
      }),
    ],
  });
  // Plot draws one group for each series, in it one path for each curve that has points.
  [...drawing.svg.querySelectorAll("g.mean")].forEach((group, i) => {
    const own = curves.filter(({ dash, points }) => dash === series[i].dash && points.length > 0);
    [...group.querySelectorAll("path")].forEach((path, k) =>
      path.setAttribute("data-series", String(indexOf(own[k])))
    );
  });
  const main = curves.filter(({ dash, points }) => dash === undefined && points.length > 0);
  if (main.length <= LABELS) {
    const names = shortNames(main.map(({ one }) => one.row.approach));
    const ends = main.map(({ points }) => drawing.pixel("y", points.at(-1)!.value) + 4);
    spread(ends, FONT + 2, HEIGHT - 28).forEach((y, i) => {
      const x = drawing.pixel("x", main[i].points.at(-1)!.epoch) + 5;
      addText(drawing.svg, { text: names[i], x, y, anchor: "start", color: mark.color });
    });
  }
  const title = main.length === 1 ? main[0].one.row.approach : headOf(curves);
  return html`<div class="panel"><h4 style="color:${mark.color}">${title}</h4>${
    svgMarkup(drawing.svg)
  }</div>`;
}

/** What the names of a method's rows begin with, up to a word's end. */
function headOf(curves: readonly Curve[]): string {
  const names = curves.map(({ one }) => one.row.approach);
  return common(names).replace(/[\s,:]+$/, "") || curves[0].one.row.method;
}

function common(names: readonly string[]): string {
  let length = 0;
  while (length < names[0].length && names.every((name) => name[length] === names[0][length])) {
    length++;
  }
  const ends = names.every((name) => length === name.length || /[\s,]/.test(name[length]));
  return ends ? names[0].slice(0, length) : names[0].slice(0, length).replace(/[^\s,]*$/, "");
}

/** Names without what all begin with, cut to what a margin holds. */
function shortNames(names: readonly string[]): string[] {
  if (names.length < 2) return names.map(() => "");
  const head = common(names).length;
  return names.map((name) => {
    const rest = name.slice(head).replace(/^[\s,]+/, "");
    return rest.length > 13 ? `${rest.slice(0, 12)}…` : rest;
  });
}
