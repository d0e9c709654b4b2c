import { sha256 } from "../formats/digest.ts";
import { readBytes } from "../formats/io_error.ts";

/**
 * How a file's rows are written: `tsv` has tabs and no quoting whatever (GLUE's form, IANA's
 * text/tab-separated-values); `csv` has commas and quotes (RFC 4180); `quoted-tsv` has tabs and
 * quotes.
 */
export type DelimitedFormat = "tsv" | "csv" | "quoted-tsv";

/** A file's rows. */
export interface Table {
  /** Name of the file, for error messages. */
  readonly file: string;
  readonly columns: readonly string[];
  /** Rows of exactly as many fields as there are columns. */
  readonly rows: readonly (readonly string[])[];
  /** The line on which each row begins, counted from 1; in a Parquet file, the row itself. */
  readonly lines: readonly number[];
  /** SHA-256 of the file as it stands on the disk. */
  readonly sha256: string;
  /** For columns of classes whose names the file knows: these, in the order of the classes. */
  readonly classes?: ReadonlyMap<string, readonly string[]>;
}

/**
 * Reads a file of rows under a header line, UTF-8, plain or compressed with gzip (`.gz`).
 *
 * @param format How rows are written; by default what the name's ending says.
 * @throws {Error} If the file cannot be read.
 * @throws {RangeError|TypeError} If anything in it is wrong; the message has file, line and reason.
 */
export async function readDelimited(path: string, format?: DelimitedFormat): Promise<Table> {
  const how = format ?? formatOf(path);
  const stored = await readBytes(path);
  const bytes = path.endsWith(".gz") ? await gunzip(stored, path) : stored;
  return { ...parseDelimited(bytes, how, path), sha256: sha256(stored) };
}

/**
 * The rows in a file's (uncompressed) bytes. Lines end with LF or CR LF; a byte order mark at the
 * start is passed over, and so are empty lines at the end.
 *
 * @throws {RangeError|TypeError} If they are not UTF-8, empty, without rows, or a row has another
 * number of fields than the header.
 */
export function parseDelimited(
  bytes: Uint8Array,
  format: DelimitedFormat,
  file = "data",
): Omit<Table, "sha256"> {
  const text = withoutLastLineEnds(decode(bytes, file));
  if (text === "") fail(file, 1, "the file is empty");
  const separator = format === "csv" ? "," : "\t";
  const records = format === "tsv"
    ? text.split("\n").map((line, i) => ({
      fields: line.replace(/\r$/, "").split(separator),
      line: i + 1,
    }))
    : quotedRecords(text, separator, file);
  const [header, ...body] = records;
  const columns = columnNames(file, header.fields);
  if (body.length === 0) fail(file, 1, `there are no rows under the header ${columns.join(", ")}`);
  for (const record of body) checkRecord(file, columns, record);
  return {
    file,
    columns,
    rows: body.map(({ fields }) => fields),
    lines: body.map(({ line }) => line),
  };
}

/** Fields, and the line on which they begin, counted from 1. */
export interface DelimitedRecord {
  readonly fields: readonly string[];
  readonly line: number;
}

/**
 * The columns that a header line names.
 *
 * @throws {RangeError} If one has no name, or two have the same.
 */
export function columnNames(file: string, fields: readonly string[]): string[] {
  const columns = fields.map((name) => name.trim());
  columns.forEach((name, i) => {
    if (name === "") fail(file, 1, `column ${i + 1} has no name; a header line is needed`);
    if (columns.indexOf(name) !== i) fail(file, 1, `two columns are named ${JSON.stringify(name)}`);
  });
  return columns;
}

/**
 * Refuses a row that is empty, or has another number of fields than there are columns.
 *
 * @throws {RangeError} If it is so.
 */
export function checkRecord(
  file: string,
  columns: readonly string[],
  { fields, line }: DelimitedRecord,
): void {
  if (fields.length === 1 && fields[0] === "") fail(file, line, "the line is empty");
  if (fields.length !== columns.length) {
    fail(
      file,
      line,
      `${columns.length} fields are needed (${columns.join(", ")}), found ${fields.length}`,
    );
  }
}

/**
 * Refuses a file for what stands on one of its lines (in Parquet: rows).
 *
 * @throws {RangeError} Always; the message has file, line and reason.
 */
export function fail(file: string, line: number, reason: string): never {
  const unit = file.endsWith(".parquet") ? "row" : "line";
  throw new RangeError(`Cannot read ${file}, ${unit} ${line}: ${reason}`);
}

function formatOf(path: string): DelimitedFormat {
  if (/\.tsv(\.gz)?$/.test(path)) return "tsv";
  if (/\.csv(\.gz)?$/.test(path)) return "csv";
  throw new RangeError(
    `Cannot read ${path}: its name must end with .tsv, .csv, .tsv.gz, .csv.gz or .parquet; ` +
      "for another name, state the format",
  );
}

async function gunzip(bytes: Uint8Array<ArrayBuffer>, path: string): Promise<Uint8Array> {
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    throw new TypeError(`Cannot read ${path}: not one complete gzip stream; compress it again`, {
      cause: error,
    });
  }
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    // A line feed never stands inside a UTF-8 sequence, so each line can be tried alone.
    let line = 1;
    for (let start = 0; start < bytes.length; line++) {
      const end = bytes.indexOf(0x0a, start);
      const stop = end < 0 ? bytes.length : end + 1;
      try {
        new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(start, stop));
      } catch {
        break;
      }
      start = stop;
    }
    fail(file, line, "invalid UTF-8; save the file as UTF-8");
  }
}

function withoutLastLineEnds(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === "\n" || text[end - 1] === "\r")) end--;
  return text.slice(0, end);
}

/**
 * Records by RFC 4180, strictly: a quote opens a field only at its start, a doubled quote inside
 * stands for one, and after the closing one comes a separator or the line's end.
 *
 * @param first Line of the file on which the text begins.
 * @throws {RangeError} If quotes stand where they may not.
 */
export function quotedRecords(
  text: string,
  separator: string,
  file: string,
  first = 1,
): DelimitedRecord[] {
  const records: DelimitedRecord[] = [];
  const plain = separator === "," ? /[^,\n]*/y : /[^\t\n]*/y;
  let [at, line] = [0, first];
  while (at <= text.length) {
    const record = { fields: [] as string[], line };
    for (let more = true; more;) {
      let field: string;
      if (text[at] === '"') {
        const opened = line;
        let close = text.indexOf('"', at + 1);
        while (close >= 0 && text[close + 1] === '"') close = text.indexOf('"', close + 2);
        if (close < 0) fail(file, opened, "a quote is opened and never closed");
        const quoted = text.slice(at + 1, close);
        line += quoted.split("\n").length - 1;
        field = quoted.replaceAll('""', '"');
        at = close + 1;
        if (text[at] === "\r" && text[at + 1] === "\n") at++;
        if (at < text.length && text[at] !== separator && text[at] !== "\n") {
          fail(
            file,
            line,
            `text follows a closing quote: ${JSON.stringify(text.slice(at, at + 12))}`,
          );
        }
      } else {
        plain.lastIndex = at;
        const end = at + plain.exec(text)![0].length;
        field = text.slice(at, end);
        if (text[end] !== separator) field = field.replace(/\r$/, "");
        if (field.includes('"')) {
          fail(file, line, "a quote stands inside a field without quotes; double and enclose it");
        }
        at = end;
      }
      record.fields.push(field);
      more = text[at] === separator;
      at++;
    }
    line++;
    records.push(record);
  }
  return records;
}
