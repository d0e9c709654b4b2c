/**
 * Offline stand-in for `@std/csv/stringify`, over csv-stringify.
 *
 * @module
 */

// deno-lint-ignore no-import-prefix
import { stringify as stringifyCsv } from "npm:csv-stringify@6.9.0/sync";

/** Key of a record or index of an array. */
export type PropertyAccessor = number | string;

/** A column whose header differs from its key. */
export type ColumnDetails = { header?: string; prop: PropertyAccessor | PropertyAccessor[] };

/** Where a column's values are found: a key, a path of keys, or either with a header. */
export type Column = ColumnDetails | PropertyAccessor | PropertyAccessor[];

/** One row: a record or an array. */
export type DataItem = Readonly<Record<string, unknown> | unknown[]>;

/** Options of {@linkcode stringify}. */
export type StringifyOptions = {
  /** Whether the first line holds the headers of `columns`, true by default. */
  headers?: boolean;
  /** Character between fields, a comma by default. */
  separator?: string;
  /** Columns in order; needed where rows are records. */
  columns?: readonly Column[];
  /** Whether the text starts with a byte-order mark. */
  bom?: boolean;
};

function path(column: Column): PropertyAccessor[] {
  if (Array.isArray(column)) return column;
  return typeof column === "object" ? path(column.prop) : [column];
}

function header(column: Column): string {
  const named = typeof column === "object" && !Array.isArray(column) ? column.header : undefined;
  return named ?? String(path(column).at(-1));
}

function valueAt(item: unknown, keys: PropertyAccessor[]): unknown {
  let value = item;
  for (const key of keys) {
    if (typeof value !== "object" || value === null) continue;
    if (Array.isArray(value) && typeof key !== "number") {
      throw new TypeError('Property accessor is not of type "number"');
    }
    value = (value as Record<PropertyAccessor, unknown>)[key];
  }
  return value;
}

function row(item: DataItem, columns: readonly Column[]): unknown[] {
  if (columns.length > 0) return columns.map((column) => valueAt(item, path(column)));
  if (Array.isArray(item)) return item;
  throw new TypeError("No property accessor function was provided for object");
}

/**
 * Writes rows as CSV text with `\r\n` line ends; fields are quoted where they need it.
 *
 * @param data Arrays, or records together with `columns`.
 * @param options Columns, separator and header.
 */
export function stringify(data: readonly DataItem[], options: StringifyOptions = {}): string {
  const { headers = true, separator = ",", columns = [], bom = false } = options;
  if (separator.includes('"') || separator.includes("\r\n")) {
    throw new TypeError("Separator cannot include a quotation mark or \\r\\n");
  }
  const head = headers && columns.length > 0 ? [columns.map(header)] : [];
  const json = (value: object) => JSON.stringify(value);
  return stringifyCsv([...head, ...data.map((item) => row(item, columns))], {
    bom,
    delimiter: separator,
    record_delimiter: "\r\n",
    quoted_match: /\n/,
    cast: { boolean: String, number: String, bigint: String, date: json, object: json },
  });
}
