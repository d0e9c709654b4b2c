/**
 * Predictions as text: an aligned table, CSV, or JSON lines; one line at a time.
 *
 * @module
 */

import { stringify } from "@std/csv/stringify";

/** What a model says of a text. */
export interface TextPrediction {
  /** The text, cleaned. */
  readonly text: string;
  /** Name of the most probable class, the first of equals. */
  readonly label: string;
  /** Of each class, in class order; they add up to 1. */
  readonly probabilities: readonly number[];
}

/** Forms that predictions are written in. */
export const predictionFormats = ["table", "csv", "jsonl"] as const;

/** One of {@linkcode predictionFormats}. */
export type PredictionFormat = typeof predictionFormats[number];

/** Writes predictions in one form. */
export interface PredictionWriter {
  /** What stands before the first, line end included; empty where nothing does. */
  readonly head: string;
  /** A prediction, line end included. */
  line(prediction: TextPrediction): string;
}

/**
 * A writer of predictions. Probabilities have 4 digits after the point in a table, and 7 significant
 * ones in CSV and JSON lines.
 *
 * @param labels Names of the classes, in class order.
 * @param width Characters that a table's line may take; its texts are cut to fit.
 */
export function predictionWriter(
  format: PredictionFormat,
  labels: readonly string[],
  width = Infinity,
): PredictionWriter {
  if (format === "csv") {
    return {
      head: stringify([["text", "label", ...labels.map((label) => `probability ${label}`)]]),
      line: ({ text, label, probabilities }) =>
        stringify([[text, label, ...probabilities.map(rounded)]]),
    };
  }
  if (format === "jsonl") {
    return {
      head: "",
      line: ({ text, label, probabilities }) =>
        JSON.stringify({
          text,
          label,
          probabilities: Object.fromEntries(
            labels.map((name, i) => [name, rounded(probabilities[i])]),
          ),
        }) + "\n",
    };
  }
  const widths = [
    Math.max("label".length, ...labels.map((label) => label.length)),
    ...labels.map((label) => Math.max(label.length, "0.0000".length)),
  ];
  const left = widths.reduce((sum, own) => sum + own + 2, 0);
  const line = (label: string, figures: readonly string[], text: string): string =>
    [
      label.padEnd(widths[0]),
      ...figures.map((figure, i) => figure.padStart(widths[i + 1])),
      cut(text, Math.max(width - left, 20)),
    ].join("  ") + "\n";
  return {
    head: line("label", labels, "text"),
    line: ({ text, label, probabilities }) =>
      line(label, probabilities.map((p) => p.toFixed(4)), text),
  };
}

/** What a probability computed in f32 is good for. */
function rounded(value: number): number {
  return Number(value.toPrecision(7));
}

function cut(text: string, width: number): string {
  const characters = width < text.length ? [...text] : [];
  return characters.length > width ? `${characters.slice(0, width - 1).join("").trimEnd()}…` : text;
}
