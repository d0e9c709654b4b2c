import { duration, percent } from "./progress.ts";
import type { QuantityName, TableRow } from "./table.ts";

/** All tables, one record of columns: how each quantity is headed and written. */
export interface Column {
  /** Heading in CSV. */
  csv: string;
  /** Heading in Markdown. */
  long: string;
  /** Heading on a terminal. */
  short: string;
  /** The quantity as people read it. */
  write(mean: number): string;
  /** On a terminal, where it is narrower. */
  writeShort?(mean: number): string;
  /** Where ± is shown. */
  spread: "everywhere" | "markdown" | "csv";
  /** Where the column stands; everywhere unless given. */
  place?: "markdown" | "csv";
  /** Whether it is left out where no row has it. */
  optional?: boolean;
  /** Whether the CSV has its interval. */
  interval?: boolean;
}

const thousands = (value: number): string =>
  Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");
const rate = (value: number): string => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
const mebibytes = (bytes: number): string => rate(bytes / 2 ** 20);
const share = (value: number): string =>
  value < 0.095 && value > 0 ? value.toFixed(3) : value.toFixed(1);

/** A column of the CSV file alone. */
const figure = (csv: string): Column => ({
  csv,
  long: "",
  short: "",
  write: String,
  spread: "csv",
  place: "csv",
});

/** How each quantity is headed and written, by name. */
export const columns: Readonly<Record<QuantityName, Column>> = {
  maxAccuracy: {
    csv: "max_accuracy",
    long: "max. val. accuracy %",
    short: "max acc",
    write: percent,
    spread: "everywhere",
  },
  lastAccuracy: {
    csv: "last_accuracy",
    long: "last-epoch accuracy %",
    short: "last acc",
    write: percent,
    spread: "everywhere",
    interval: true,
  },
  published: {
    csv: "published_accuracy",
    long: "published accuracy %",
    short: "publ.",
    write: percent,
    spread: "csv",
    optional: true,
  },
  precision: {
    csv: "precision",
    long: "precision %",
    short: "",
    write: percent,
    spread: "markdown",
    place: "markdown",
  },
  recall: {
    csv: "recall",
    long: "recall %",
    short: "",
    write: percent,
    spread: "markdown",
    place: "markdown",
  },
  f1: { csv: "f1", long: "F1 %", short: "F1", write: percent, spread: "markdown" },
  macroF1: figure("macro_f1"),
  weightedF1: figure("weighted_f1"),
  loss: figure("loss"),
  testAccuracy: {
    csv: "test_accuracy",
    long: "test accuracy %",
    short: "test acc",
    write: percent,
    spread: "everywhere",
    optional: true,
    interval: true,
  },
  testPrecision: { ...figure("test_precision"), optional: true },
  testRecall: { ...figure("test_recall"), optional: true },
  testF1: {
    csv: "test_f1",
    long: "test F1 %",
    short: "",
    write: percent,
    spread: "markdown",
    place: "markdown",
    optional: true,
  },
  testLoss: { ...figure("test_loss"), optional: true },
  trainAccuracy: {
    csv: "train_accuracy",
    long: "train accuracy %",
    short: "",
    write: percent,
    spread: "markdown",
    place: "markdown",
    optional: true,
    interval: true,
  },
  trainF1: { ...figure("train_f1"), optional: true },
  trainLoss: { ...figure("train_loss"), optional: true },
  totalParameters: {
    csv: "total_parameters",
    long: "total parameters",
    short: "",
    write: thousands,
    spread: "csv",
    place: "markdown",
  },
  trainableParameters: {
    csv: "trainable_parameters",
    long: "trainable parameters",
    short: "trained",
    write: thousands,
    spread: "csv",
  },
  publishedTrainable: {
    csv: "published_trainable_parameters",
    long: "published trainable parameters",
    short: "",
    write: thousands,
    spread: "csv",
    place: "markdown",
    optional: true,
  },
  trainablePercent: {
    csv: "trainable_percent",
    long: "trainable %",
    short: "%",
    write: share,
    spread: "csv",
  },
  msPerStep: { csv: "ms_per_step", long: "ms/step", short: "ms/step", write: rate, spread: "csv" },
  examplesPerSecond: {
    csv: "examples_per_second",
    long: "examples/s",
    short: "",
    write: rate,
    spread: "csv",
    place: "markdown",
  },
  peakBytes: {
    csv: "peak_gpu_bytes",
    long: "peak GPU bytes",
    short: "GPU MiB",
    write: thousands,
    writeShort: mebibytes,
    spread: "csv",
  },
  seconds: {
    csv: "seconds",
    long: "time",
    short: "time",
    write: duration,
    writeShort: (seconds) => duration(seconds).replace(" ", ""),
    spread: "csv",
  },
  verified: {
    csv: "verified",
    long: "done again",
    short: "again",
    write: (share) =>
      share === 1
        ? "same bits"
        : share === 0.5
        ? "within tolerance"
        : share === 0
        ? "differs"
        : "mixed",
    writeShort: (share) =>
      share === 1 ? "same" : share === 0.5 ? "near" : share === 0 ? "differs" : "mixed",
    spread: "csv",
    optional: true,
  },
};

/** The columns of a table in some place: all that belong there and have something to show. */
export function columnNames(
  { rows }: { readonly rows: readonly TableRow[] },
  place: "csv" | "markdown" | "terminal",
): QuantityName[] {
  return (Object.keys(columns) as QuantityName[]).filter((name) => {
    const { place: only, optional } = columns[name];
    const here = place === "csv" || only === undefined || only === place;
    return here && !(optional && rows.every(({ values }) => values[name] === null));
  });
}
