/**
 * Texts to be classified, read one after the other from a stream of any length.
 *
 * @module
 */

import { cleanText } from "./clean.ts";
import {
  checkRecord,
  columnNames,
  type DelimitedFormat,
  type DelimitedRecord,
  fail,
  quotedRecords,
} from "./delimited.ts";

/** Bytes that one line, or one record of several lines, may have. */
const LONGEST = 16 * 2 ** 20;

/** How texts stand in a stream. */
export interface TextStreamOptions {
  /** Name of the file, for error messages. */
  readonly file: string;
  /** The column that holds the texts; without one, every line is a text. */
  readonly column?: string;
  /** How rows are written; tsv where the header has a tab, and csv where not, unless given. */
  readonly format?: DelimitedFormat;
}

/** A text, cleaned as those of a data set are. */
export function cleanedText(text: string, file: string, line: number): string {
  const cleaned = cleanText(text);
  if (cleaned === "") fail(file, line, "the text is empty");
  return cleaned;
}

/**
 * Texts of a stream in UTF-8, in its order, cleaned as those of a data set are: one on each line, or
 * those of a column under a header line. A byte order mark at the start is passed over, and so are
 * empty lines at the end. Holds one record at a time.
 *
 * @throws {RangeError} If a line is not UTF-8, a text is empty, the column is missing, or a row does
 * not fit the header; the message has file, line and reason.
 */
export async function* readTexts(
  bytes: AsyncIterable<Uint8Array>,
  { file, column, format }: TextStreamOptions,
): AsyncGenerator<string> {
  const lines = fullLines(bytes, file);
  if (column === undefined) {
    for await (const { text, line } of lines) yield cleanedText(text, file, line);
    return;
  }
  const { value: header } = await lines.next();
  if (header === undefined) return;
  const how = format ?? (header.text.includes("\t") ? "tsv" : "csv");
  const [{ fields }] = parse(header, how, file);
  const columns = columnNames(file, fields);
  const index = columns.indexOf(column);
  if (index < 0) {
    fail(file, 1, `there is no column ${JSON.stringify(column)}; it has ${columns.join(", ")}`);
  }
  for await (const record of records(lines, how, file)) {
    checkRecord(file, columns, record);
    yield cleanedText(record.fields[index], file, record.line);
  }
}

interface Line {
  readonly text: string;
  /** Counted from 1. */
  readonly line: number;
}

/** Rows of a file; one that quotes run through spans several lines. */
async function* records(
  lines: AsyncIterable<Line>,
  format: DelimitedFormat,
  file: string,
): AsyncGenerator<DelimitedRecord> {
  let parts: string[] = [];
  let [first, quotes, size] = [0, 0, 0];
  for await (const { text, line } of lines) {
    if (parts.length === 0) first = line;
    parts.push(text);
    if (format !== "tsv") quotes += text.split('"').length - 1;
    size += text.length;
    if (size > LONGEST) fail(file, first, "a quote is opened and never closed");
    // Quotes come in pairs, within a field too: an odd number leaves one open.
    if (quotes % 2 === 1) continue;
    yield* parse({ text: parts.join("\n"), line: first }, format, file);
    [parts, quotes, size] = [[], 0, 0];
  }
  if (parts.length > 0) fail(file, first, "a quote is opened and never closed");
}

function parse({ text, line }: Line, format: DelimitedFormat, file: string): DelimitedRecord[] {
  if (format === "tsv") return [{ fields: text.split("\t"), line }];
  return quotedRecords(text, format === "csv" ? "," : "\t", file, line);
}

/** Lines without their ends; empty ones only where another line follows. */
async function* fullLines(bytes: AsyncIterable<Uint8Array>, file: string): AsyncGenerator<Line> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let empty = 0;
  let line = 0;
  for await (const own of byteLines(bytes, file)) {
    line++;
    let text: string;
    try {
      text = decoder.decode(own);
    } catch {
      fail(file, line, "invalid UTF-8; save the file as UTF-8");
    }
    if (line === 1) text = text.replace(/^\ufeff/, "");
    text = text.replace(/\r$/, "");
    if (text === "") empty++;
    else {
      for (; empty > 0; empty--) yield { text: "", line: line - empty };
      yield { text, line };
    }
  }
}

async function* byteLines(
  bytes: AsyncIterable<Uint8Array>,
  file: string,
): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let [size, line] = [0, 1];
  const whole = (last: Uint8Array): Uint8Array => {
    if (parts.length === 0) return last;
    const joined = new Uint8Array(size + last.length);
    let at = 0;
    for (const part of [...parts, last]) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  };
  for await (const chunk of bytes) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield whole(chunk.subarray(start, end));
      [parts, size, start] = [[], 0, end + 1];
      line++;
    }
    const rest = chunk.slice(start);
    parts.push(rest);
    size += rest.length;
    if (size > LONGEST) fail(file, line, `the line is longer than ${LONGEST} bytes`);
  }
  if (size > 0) yield whole(new Uint8Array());
}
