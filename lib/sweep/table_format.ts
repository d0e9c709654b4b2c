import { stringify } from "@std/csv/stringify";
import { isTied } from "./compare_rows.ts";
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

/** The accuracy whose interval people are shown: on test examples where all rows have it. */
function mainAccuracy(rows: readonly TableRow[]): QuantityName {
  const done = rows.filter(({ error }) => error === null);
  const tested = done.length > 0 && done.every(({ values }) => values.testAccuracy !== null);
  return tested ? "testAccuracy" : "lastAccuracy";
}

function intervalText(value: Quantity | null): string {
  if (value === null || value.lower === null || value.upper === null) return "–";
  return `${percent(value.lower)}–${percent(value.upper)}`;
}

/** A p-value as people read it. */
const pText = (p: number): string => p < 0.001 ? "<0.001" : p.toFixed(p < 0.0995 ? 3 : 2);

/** How a row stands beside the best one. */
function standingText(row: TableRow): string {
  if (row.best) return "best";
  if (row.comparison === null) return "–";
  return `${isTied(row) ? "≈ " : ""}${pText(row.comparison.adjusted)}`;
}

/** A column of figures as people are shown it. */
export interface ShownColumn {
  /** What stands above it. */
  head: string;
  /** Heading of the CSV's column that holds its figure. */
  csv: string;
  /** The figure itself, unrounded, by which rows are sorted; null where there is none. */
  read(row: TableRow): number | null;
  /** What stands in a row. */
  write(row: TableRow): string;
}

/**
 * The columns that people are shown between approach and seed: quantities, and after the accuracy that
 * counts its interval and how each row stands beside the best.
 */
export function shownColumns(
  rows: readonly TableRow[],
  place: "markdown" | "terminal",
): ShownColumn[] {
  const long = place === "markdown";
  const main = mainAccuracy(rows);
  const beside: ShownColumn[] = [
    {
      head: long ? "95 % interval" : "95 %",
      csv: `${columns[main].csv}_lower`,
      read: ({ values }) => values[main]?.lower ?? null,
      write: ({ values }) => intervalText(values[main]),
    },
    ...(rows.some(({ best }) => best)
      ? [{
        head: long ? "p against best" : "p",
        csv: "p_holm",
        read: ({ comparison }: TableRow) => comparison?.adjusted ?? null,
        write: standingText,
      }]
      : []),
  ];
  return columnNames({ rows }, place).flatMap((name) => [
    {
      head: long ? columns[name].long : columns[name].short,
      csv: columns[name].csv,
      read: ({ values }) => values[name]?.mean ?? null,
      write: ({ values }) => cellText(values[name], columns[name], long ? "markdown" : "short"),
    },
    ...(name === main ? beside : []),
  ]);
}

function failures(rows: readonly TableRow[]): string[] {
  return rows.filter(({ error }) => error !== null)
    .map(({ approach, seeds, error }) => `${approach}, seed ${seeds}: ${error}`);
}

const seedText = ({ seeds }: TableRow): string => seeds.join(",");

/** What the CSV says of a row's comparison with the best one. */
const comparisonHead = [
  "behind_best",
  "behind_best_lower",
  "behind_best_upper",
  "p",
  "p_holm",
  "compared_by",
  "compared_on",
  "standing",
];

function comparisonFigures(row: TableRow): (string | number)[] {
  const standing = row.best ? "best" : isTied(row) ? "tied" : row.comparison ? "behind" : "";
  if (row.comparison === null) return ["", "", "", "", "", "", "", standing];
  const { behind, lower, upper, p, adjusted, test, split } = row.comparison;
  return [behind, lower ?? "", upper ?? "", p, adjusted, test, split, standing];
}

/**
 * The table as CSV: means, standard deviations and intervals as shares, seconds and bytes, unrounded;
 * every setting that was tried has a row, and `chosen` says which are shown elsewhere.
 */
export function tableCsv(table: Table): string {
  const names = columnNames(table, "csv");
  const halved = table.rows.some(({ stopped }) => stopped !== undefined);
  const head = names.flatMap((name) => {
    const { csv, interval } = columns[name];
    return [csv, `${csv}_sd`, ...(interval ? [`${csv}_lower`, `${csv}_upper`] : [])];
  });
  const figures = ({ values }: TableRow, name: QuantityName): (string | number)[] => {
    const { mean, sd, lower, upper } = values[name] ?? {};
    return [mean, sd, ...(columns[name].interval ? [lower, upper] : [])].map((one) => one ?? "");
  };
  const body = table.rows.map((row) => [
    row.approach,
    row.method,
    row.seeds.join(" "),
    ...names.flatMap((name) => figures(row, name)),
    ...comparisonFigures(row),
    row.tried,
    row.chosen,
    row.stopped === undefined ? row.error ?? "" : "",
    ...(halved ? [row.stopped === undefined ? "" : row.error] : []),
    row.runs.join(" "),
  ]);
  const stopped = halved ? ["stopped"] : [];
  const last = [...comparisonHead, "settings_tried", "chosen", "error", ...stopped, "runs"];
  return stringify([["approach", "method", "seeds", ...head, ...last], ...body]);
}

/** The rows that people are shown: of settings, those that were chosen. */
export function shownRows({ rows }: Table): TableRow[] {
  return rows.filter(({ chosen }) => chosen);
}

/** The table as Markdown, with its notes. */
export function tableMarkdown(table: Table): string {
  const rows = shownRows(table);
  const shown = shownColumns(rows, "markdown");
  const escape = (text: string): string => text.replaceAll("|", "\\|").replace(/\s+/g, " ");
  const line = (cells: string[]): string => `| ${cells.join(" | ")} |`;
  const lines = [
    line(["approach", ...shown.map(({ head }) => head), "seed"]),
    line(["---", ...shown.map(() => "---:"), "---"]),
    ...rows.map((row) =>
      line([
        escape(row.approach) + (row.error === null ? "" : " (failed)"),
        ...shown.map(({ write }) => write(row)),
        seedText(row).replaceAll(",", ", "),
      ])
    ),
  ];
  const failed = failures(rows).map((text) => `- Failed: ${escape(text)}`);
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
  const rows = shownRows(table);
  const shown = shownColumns(rows, "terminal");
  const grid = [
    ["approach", ...shown.map(({ head }) => head), "seed"],
    ...rows.map((row) => [
      row.approach,
      ...shown.map(({ write }) => row.error === null ? write(row) : ""),
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
  const lines = grid.map((row, i) => rowText(row, i > 0 && rows[i - 1].error !== null));
  const rule = "─".repeat(Math.max(...lines.map((line) => line.length)));
  const below = [...table.notes, ...failures(rows).map((text) => `Failed: ${text}`)];
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
