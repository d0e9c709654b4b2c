/**
 * Accuracy against trainable parameters, with intervals and the Pareto front.
 *
 * @module
 */

import * as Plot from "@observablehq/plot";
import { percent } from "../sweep/progress.ts";
import { addText, draw, type Svg, svgMarkup } from "./draw.ts";
import { type Content, html, type Markup } from "./html.ts";
import { parameterAxis } from "./parameter_axis.ts";
import { type Box, placeLabels } from "./place_labels.ts";
import type { Measure, ReportRow } from "./report_rows.ts";

/** Rows that no other row beats with as few or fewer trainable parameters, by their number. */
export function paretoFront<T extends Pick<ReportRow, "trainable" | "accuracy">>(
  rows: readonly T[],
): T[] {
  const sorted = rows.toSorted((a, b) => a.trainable - b.trainable || b.accuracy - a.accuracy);
  let best = -Infinity;
  return sorted.filter(({ accuracy }) => {
    if (accuracy <= best) return false;
    best = accuracy;
    return true;
  });
}

/** Font size of labels, pixels. */
const FONT = 12;

/** Margins of the axes, pixels. */
const [LEFT, BOTTOM] = [44, 44];

/** The section's figure, drawn for wide pages and again for phones. */
export function accuracyChart(rows: readonly ReportRow[], measure: Measure): Markup {
  const drawn = (name: string, width: number, height: number): Content =>
    html`<div class="${name}" data-hover="points">${
      svgMarkup(chart(rows, measure, width, height))
    }</div>`;
  return html`<figure>${drawn("wide", 900, 470)}${
    drawn("narrow", 380, 400)
  }<figcaption>Mean ${measure.name} of each row with its 95 % interval: Student's t over several
seeds, Wilson's for one or where they are alike. The dashed line is the Pareto front: rows that none
with as few or fewer trainable parameters beats.</figcaption></figure>`;
}

function chart(
  rows: readonly ReportRow[],
  measure: Measure,
  width: number,
  height: number,
): Svg {
  const front = paretoFront(rows);
  const axis = parameterAxis(rows.map(({ trainable }) => trainable));
  const points = rows.map((one) => ({
    x: axis.place(one.trainable),
    y: 100 * one.accuracy,
    low: 100 * one.interval[0],
    high: 100 * one.interval[1],
    color: one.mark.color,
    symbol: one.mark.symbol,
    text: one.row.approach,
    title: `${one.row.approach}: ${percent(one.accuracy)} % (${percent(one.interval[0])} to ${
      percent(one.interval[1])
    }), ${one.trainable.toLocaleString("en")} trainable`,
  }));
  const many = rows.length > 100;
  const line = front.map((one) => points[rows.indexOf(one)]);
  const options = {
    width,
    height,
    marginLeft: LEFT,
    marginRight: 16,
    marginBottom: BOTTOM,
    inset: 14,
    style: { fontSize: `${FONT}px` },
    ariaLabel: `${measure.name} against trainable parameters of ${rows.length} rows`,
    x: {
      type: "log" as const,
      domain: axis.domain,
      label: "trainable parameters →",
      ticks: axis.ticks,
      tickFormat: axis.format,
      tickSize: 4,
    },
    y: { label: `↑ ${measure.name}, %`, grid: true, nice: true, ticks: 6, tickSize: 0 },
    marks: [
      Plot.line(line, {
        x: "x",
        y: "y",
        curve: "step-after",
        stroke: "var(--soft)",
        strokeWidth: 1.5,
        strokeDasharray: "5 4",
      }),
      Plot.ruleX(points, {
        x: "x",
        y1: "low",
        y2: "high",
        stroke: { value: "color", scale: null },
        strokeWidth: many ? 1 : 1.75,
        strokeOpacity: many ? 0.25 : 0.75,
      }),
      Plot.dot(points, {
        x: "x",
        y: "y",
        symbol: (point: { symbol: string }) => point.symbol,
        fill: { value: "color", scale: null },
        stroke: "var(--paper)",
        strokeWidth: 1,
        r: many ? 3.5 : 5.5,
        title: "title",
      }),
    ],
  };
  const drawing = draw(options);
  const order = [...line, ...points.filter((point) => !line.includes(point))];
  const labels = placeLabels(
    order.map(({ x, y, low, high, color, text }) => ({
      text,
      color,
      x: drawing.pixel("x", x),
      y: drawing.pixel("y", y),
      top: drawing.pixel("y", high),
      bottom: drawing.pixel("y", low),
    })),
    { left: LEFT, right: width - 4, top: 8, bottom: height - BOTTOM },
    FONT,
    many ? front.length : order.length,
    steps(line.map(({ x, y }) => [drawing.pixel("x", x), drawing.pixel("y", y)])),
  );
  for (const label of labels) addText(drawing.svg, label);
  return drawing.svg;
}

/** The boxes of a line that steps across and then up from point to point. */
function steps(points: readonly (readonly [x: number, y: number])[]): Box[] {
  return points.slice(1).flatMap(([x, y], i) => {
    const [fromX, fromY] = points[i];
    return [
      { left: fromX, right: x, top: fromY, bottom: fromY },
      { left: x, right: x, top: y, bottom: fromY },
    ];
  });
}
