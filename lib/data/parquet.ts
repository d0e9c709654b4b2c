import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { sha256File } from "../formats/digest.ts";
import { ioReason } from "../formats/io_error.ts";
import { readCardClasses } from "./card_classes.ts";
import type { Table } from "./delimited.ts";
import { checkFooter, checkPages } from "./parquet_check.ts";

/** The codecs that hyparquet lacks; no more comes of a page than it claims. */
const compressors = {
  GZIP: (input: Uint8Array, length: number): Uint8Array => gunzipSync(input, most(length)),
  BROTLI: (input: Uint8Array, length: number): Uint8Array =>
    brotliDecompressSync(input, most(length)),
  ZSTD: (input: Uint8Array, length: number): Uint8Array => zstdDecompressSync(input, most(length)),
};

const most = (length: number) => ({ maxOutputLength: Math.max(1, length) });

/** Codecs by their number in the format. */
const CODECS: Readonly<Record<number, keyof typeof compressors>> = {
  2: "GZIP",
  4: "BROTLI",
  6: "ZSTD",
};

/**
 * Reads a Parquet file's columns of texts, numbers and booleans as text; columns of lists and
 * records are passed over. A null becomes the empty text.
 *
 * Classes by number get their names from the features that the Hub's `datasets` library writes into
 * the file, or else into the README.md beside it or above it; without these the numbers stay.
 *
 * @throws {Error} If the file cannot be read.
 * @throws {TypeError} If it is not Parquet.
 * @throws {RangeError} If it has no rows.
 */
export async function readParquet(path: string): Promise<Table> {
  const digest = await sha256File(path);
  const { parquetMetadataAsync, parquetReadObjects, parquetSchema, snappyUncompress } =
    await import("hyparquet");
  const uncompress = (codec: number, bytes: Uint8Array, length: number): Uint8Array => {
    if (codec === 1) {
      const page = new Uint8Array(length);
      snappyUncompress(bytes, page);
      return page;
    }
    if (CODECS[codec] === undefined) throw new RangeError(`its codec ${codec} is not supported`);
    return compressors[CODECS[codec]](bytes, length);
  };
  let rows: Record<string, unknown>[];
  let columns: string[];
  const classes = new Map<string, readonly string[]>();
  try {
    using file = await Deno.open(path);
    const { size } = await file.stat();
    const buffer = { byteLength: size, slice: sliceOf(file, size) };
    const footer = await checkFooter({ ...buffer, uncompress });
    const metadata = await parquetMetadataAsync(buffer);
    const flat = new Map(
      parquetSchema(metadata).children
        .filter(({ children, element }) =>
          children.length === 0 && element.repetition_type !== "REPEATED"
        )
        .map(({ element: { name, repetition_type: repetition, type } }) => [name, {
          optional: repetition !== "REQUIRED",
          boolean: type === "BOOLEAN",
        }]),
    );
    columns = [...flat.keys()];
    await checkPages({ ...buffer, uncompress }, footer, flat);
    rows = await parquetReadObjects({ file: buffer, metadata, columns, compressors });
    const features = metadata.key_value_metadata?.find(({ key }) => key === "huggingface")?.value;
    for (const column of columns) {
      const names = embeddedClasses(features, column) ?? await readCardClasses(path, column);
      if (names !== null) classes.set(column, names);
    }
  } catch (error) {
    const reason = error instanceof TypeError || error instanceof RangeError
      ? "not a Parquet file that can be read: it is damaged" // Words of the language, not of a reader.
      : error instanceof Error && error.constructor === Error
      ? `not a Parquet file that can be read: ${error.message}`
      : ioReason(error);
    throw new TypeError(`Cannot read ${path}: ${reason}`, { cause: error });
  }
  if (rows.length === 0) throw new RangeError(`Cannot read ${path}: it has no rows`);
  return {
    file: path,
    columns,
    rows: rows.map((row) => columns.map((name) => cell(row[name], classes.get(name)))),
    lines: rows.map((_, i) => i + 1),
    sha256: digest,
    classes,
  };
}

/** Reads ranges of an open file, one after the other. */
function sliceOf(file: Deno.FsFile, size: number) {
  let last: Promise<unknown> = Promise.resolve();
  return (start: number, end: number = size): Promise<ArrayBuffer> => {
    const from = Math.max(0, start < 0 ? size + start : start);
    const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - from));
    const read = last.then(async () => {
      await file.seek(from, Deno.SeekMode.Start);
      for (let done = 0; done < bytes.length;) {
        const count = await file.read(bytes.subarray(done));
        if (count === null) throw new Error("it ends early");
        done += count;
      }
      return bytes.buffer;
    });
    last = read.catch(() => {});
    return read;
  };
}

function cell(value: unknown, classes: readonly string[] | undefined): string {
  if (value === null || value === undefined) return "";
  if (classes !== undefined && (typeof value === "number" || typeof value === "bigint")) {
    return classes[Number(value)] ?? String(value);
  }
  return String(value);
}

/** The names of a column's classes by the features in a file's metadata; null where it has none. */
function embeddedClasses(text: string | undefined, column: string): readonly string[] | null {
  try {
    const { _type, names } = JSON.parse(text ?? "{}").info.features[column];
    const isNames = Array.isArray(names) && names.every((name) => typeof name === "string");
    return _type === "ClassLabel" && isNames ? names : null;
  } catch {
    return null; // No features there.
  }
}
