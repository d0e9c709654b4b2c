/**
 * Offline stand-in for `@std/csv/parse`, over csv-parse.
 *
 * @module
 */

// deno-lint-ignore no-import-prefix
import { CsvError, parse as parseCsv } from "npm:csv-parse@7.0.3/sync";

/** Options of {@linkcode parse}. */
export interface ParseOptions {
  /** Character between fields, a comma by default. */
  separator?: string;
  /** Character that starts a line to ignore; none by default. */
  comment?: string;
  /** Whether a quote may stand inside a field without being doubled. */
  lazyQuotes?: boolean;
  /** Fields in each record; 0 for as many as the first has, negative or absent for any. */
  fieldsPerRecord?: number;
  /** Whether the first record is a header: skipped, and the names where `columns` is absent. */
  skipFirstRow?: boolean;
  /** Names of the columns. */
  columns?: readonly string[];
}

/** A record with named columns. */
export type RecordWithColumn<C extends string> = Record<C, string>;

/** Records, or rows of fields, depending on the options. */
export type ParseResult<Options, T> = T extends
  Options & { columns: readonly (infer C extends string)[] } ? RecordWithColumn<C>[]
  : T extends Options & { skipFirstRow: true } ? Record<string, string>[]
  : T extends Options & { columns?: undefined; skipFirstRow?: false | undefined } ? string[][]
  : Record<string, string>[] | string[][];

interface Row {
  record: string[];
  line: number;
}

function syntaxError(error: CsvError): SyntaxError {
  const { code, lines, records = 0, empty_lines = 0, comment_lines = 0 } = error as
    & CsvError
    & Record<string, number>;
  const reason = String(code) === "INVALID_OPENING_QUOTE"
    ? 'bare " in non-quoted-field'
    : 'extraneous or missing " in quoted-field';
  const start = records + empty_lines + comment_lines + 1;
  return new SyntaxError(`Syntax error on line ${start}; parse error on line ${lines}: ${reason}`, {
    cause: error,
  });
}

function rows(input: string, options: ParseOptions): Row[] {
  const { separator = ",", comment, lazyQuotes = false } = options;
  const invalid = ["\r", "\n", '"'];
  if (
    invalid.includes(separator) || (comment !== undefined && invalid.includes(comment)) ||
    separator === comment
  ) throw new Error("Invalid Delimiter");
  try {
    const parsed = parseCsv(input.replaceAll("\r\n", "\n").replace(/\r$/, ""), {
      delimiter: separator,
      comment: comment || null,
      comment_no_infix: true,
      relax_quotes: lazyQuotes,
      record_delimiter: "\n",
      relax_column_count: true,
      skip_empty_lines: true,
      bom: true,
      info: true,
    }) as unknown as { record: string[]; info: Record<string, number> }[];
    return parsed.map(({ record, info }) => ({
      record,
      line: info.records + info.empty_lines + info.comment_lines,
    }));
  } catch (error) {
    throw error instanceof CsvError ? syntaxError(error) : error;
  }
}

/**
 * Reads CSV text into rows of fields.
 *
 * @param input The text; a byte-order mark and blank lines are left out.
 */
export function parse(input: string): string[][];
/**
 * Reads CSV text into rows of fields, or into records where columns have names.
 *
 * @param input The text; a byte-order mark and blank lines are left out.
 * @param options Separator, quoting and header.
 * @throws SyntaxError where quotes or the number of fields are wrong.
 */
export function parse<const T extends ParseOptions>(
  input: string,
  options: T,
): ParseResult<ParseOptions, T>;
export function parse<const T extends ParseOptions>(
  input: string,
  options: T = {} as T,
): ParseResult<ParseOptions, T> {
  const parsed = rows(input, options);
  const wanted = options.fieldsPerRecord === 0 ? parsed[0]?.record.length : options.fieldsPerRecord;
  if (wanted !== undefined && wanted > 0) {
    const wrong = parsed.find(({ record }) => record.length !== wanted);
    if (wrong) throw new SyntaxError(`record on line ${wrong.line}: wrong number of fields`);
  }
  const records = parsed.map(({ record }) => record);
  if (!options.skipFirstRow && !options.columns) return records as ParseResult<ParseOptions, T>;
  const head = options.skipFirstRow ? records.shift() : undefined;
  const headers = options.columns ?? head;
  if (options.skipFirstRow && !head || !headers) throw new TypeError("Headers must be defined");
  return records.map((record, i) => {
    if (record.length !== headers.length) {
      throw new Error(
        `Syntax error on line ${i + 1 + (head ? 1 : 0)}: The record has ${record.length} fields, ` +
          `but the header has ${headers.length} fields`,
      );
    }
    return Object.fromEntries(headers.map((header, j) => [header, record[j]]));
  }) as ParseResult<ParseOptions, T>;
}
