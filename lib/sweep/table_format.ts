import { stringify } from "@std/csv/stringify";
import { isTied } from "./compare_rows.ts";
import { percent } from "./progress.ts";
import type { Quantity } from "./quantity.ts";
import type { QuantityName, Table, TableRow } from "./table.ts";
import { type Column, columnNames, columns } from "./table_columns.ts";

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
