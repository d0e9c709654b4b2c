import { stringify } from "@std/csv/stringify";
import { duration, percent } from "./progress.ts";
import type { Quantity, QuantityName, Table, TableRow } from "./table.ts";

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
    short: "prec",
    write: percent,
    spread: "markdown",
  },
  recall: { csv: "recall", long: "recall %", short: "rec", write: percent, spread: "markdown" },
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
  },
  trainF1: { ...figure("train_f1"), optional: true },
  trainLoss: { ...figure("train_loss"), optional: true },
  totalParameters: {
    csv: "total_parameters",
    long: "total parameters",
    short: "params",
    write: thousands,
    spread: "csv",
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
    short: "ex/s",
    write: rate,
    spread: "csv",
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
};

/** The columns of a table in some place: all that belong there and have something to show. */
export function columnNames(
  { rows }: Table,
  place: "csv" | "markdown" | "terminal",
): QuantityName[] {
  return (Object.keys(columns) as QuantityName[]).filter((name) => {
    const { place: only, optional } = columns[name];
    const here = place === "csv" || only === undefined || only === place;
    return here && !(optional && rows.every(({ values }) => values[name] === null));
  });
}

/** A quantity as it stands in a table; a dash where there is none. */
export function cellText(
  value: Quantity | null,
  column: Column,
  place: "short" | "markdown",
): string {
  if (value === null) return "–";
  const { mean, sd } = value;
  const short = place === "short";
  const write = short ? column.writeShort ?? column.write : column.write;
  const shown = column.spread === "everywhere" || (column.spread === "markdown" && !short);
  if (sd === null || !shown) return write(mean);
  return `${write(mean)}${short ? "±" : " ± "}${write(sd)}`;
}

function failures({ rows }: Table): string[] {
  return rows.filter(({ error }) => error !== null)
    .map(({ approach, seeds, error }) => `${approach}, seed ${seeds}: ${error}`);
}

const seedText = ({ seeds }: TableRow): string => seeds.join(",");

/** The table as CSV: means and standard deviations as shares, seconds and bytes, unrounded. */
export function tableCsv(table: Table): string {
  const names = columnNames(table, "csv");
  const head = names.flatMap((name) => [columns[name].csv, `${columns[name].csv}_sd`]);
  const body = table.rows.map((row) => [
    row.approach,
    row.method,
    row.seeds.join(" "),
    ...names.flatMap((name) => [row.values[name]?.mean ?? "", row.values[name]?.sd ?? ""]),
    row.error ?? "",
    row.runs.join(" "),
  ]);
  return stringify([["approach", "method", "seeds", ...head, "error", "runs"], ...body]);
}

/** The table as Markdown, with its notes. */
export function tableMarkdown(table: Table): string {
  const names = columnNames(table, "markdown");
  const escape = (text: string): string => text.replaceAll("|", "\\|").replace(/\s+/g, " ");
  const line = (cells: string[]): string => `| ${cells.join(" | ")} |`;
  const lines = [
    line(["approach", ...names.map((name) => columns[name].long), "seed"]),
    line(["---", ...names.map(() => "---:"), "---"]),
    ...table.rows.map((row) =>
      line([
        escape(row.approach) + (row.error === null ? "" : " (failed)"),
        ...names.map((name) => cellText(row.values[name], columns[name], "markdown")),
        seedText(row).replaceAll(",", ", "),
      ])
    ),
  ];
  const failed = failures(table).map((text) => `- Failed: ${escape(text)}`);
  const below = [...table.notes.map((note) => `- ${escape(note)}`), ...failed];
  return [...lines, ...(below.length > 0 ? ["", ...below] : []), ""].join("\n");
}

/** Characters of an approach's name that a terminal's table always shows. */
const NAME = 40;

/**
 * The table for a terminal: names to the left, figures to the right.
 *
 * @param width Characters that a line may take; long names and very long numbers make it longer
 */
export function tableText(table: Table, width = 120): string {
  const names = columnNames(table, "terminal");
  const grid = [
    ["approach", ...names.map((name) => columns[name].short), "seed"],
    ...table.rows.map((row) => [
      row.approach,
      ...names.map((name) =>
        row.error === null ? cellText(row.values[name], columns[name], "short") : ""
      ),
      seedText(row),
    ]),
  ];
  const widest = (column: number): number => Math.max(...grid.map((row) => row[column].length));
  const widths = grid[0].map((_, column) => widest(column));
  const total = (gap: number): number => widths.reduce((sum, w) => sum + w + gap, -gap);
  const gap = total(2) <= width ? 2 : 1;
  // What tells methods apart stands at the end of their names: those are cut last.
  const least = Math.min(widths[0], NAME);
  widths[0] = Math.max(least, widths[0] - Math.max(0, total(gap) - width));
  const rowText = (row: readonly string[], failed: boolean): string => {
    const [name, ...rest] = row;
    const fitted = name.length > widths[0] ? name.slice(0, widths[0] - 1) + "…" : name;
    const cells = failed
      ? [`failed, seed ${row[row.length - 1]}`]
      : rest.map((text, i) => text.padStart(widths[i + 1]));
    return [fitted.padEnd(widths[0]), ...cells].join(" ".repeat(gap)).trimEnd();
  };
  const lines = grid.map((row, i) => rowText(row, i > 0 && table.rows[i - 1].error !== null));
  const rule = "─".repeat(Math.max(...lines.map((line) => line.length)));
  const below = [...table.notes, ...failures(table).map((text) => `Failed: ${text}`)];
  return [lines[0], rule, ...lines.slice(1), rule, ...below.map((text) => wrap(text, width))]
    .join("\n");
}

/** Breaks text at spaces, with what follows indented; a word that is too long stays whole. */
function wrap(text: string, width: number): string {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const line = lines[lines.length - 1];
    if (line.trim() === "") lines[lines.length - 1] += word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] += ` ${word}`;
    else lines.push(`  ${word}`);
  }
  return lines.join("\n");
}
