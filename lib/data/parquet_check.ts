/**
 * Whether a Parquet file's own numbers can be true, checked before a library believes them: a count
 * that a flipped bit made two billion would be filled in to the last before anything else is noticed.
 *
 * Formats: Thrift's compact protocol and Parquet's metadata, pages and encodings
 * (https://github.com/apache/parquet-format).
 *
 * @module
 */

/** Bytes that one compressed byte may become: what deflate, which reaches furthest, can do. */
const EXPANSION = 1032;

/** Values that one byte of a file may stand for, and those that any file may have besides. */
const VALUES_PER_BYTE = 64;
const FEW_VALUES = 65_536;

/** Structs and lists inside each other. */
const MAX_DEPTH = 24;

/** A value of Thrift: fields by number, items by position. */
type Thrift = number | bigint | boolean | Uint8Array | Fields | Thrift[];
type Fields = ReadonlyMap<number, Thrift>;

/** A column whose pages can be decoded as they stand: one value for each row. */
export interface FlatColumn {
  /** Whether it may hold nulls. */
  readonly optional: boolean;
  readonly boolean: boolean;
}

/** What the checks need of a file. */
export interface ParquetSource {
  readonly byteLength: number;
  slice(start: number, end?: number): Promise<ArrayBuffer>;
  /** Uncompresses a page; the second number is the most bytes that may come of it. */
  uncompress(codec: number, bytes: Uint8Array, length: number): Uint8Array;
}

/**
 * Checks the metadata at a file's end: every list, text and struct lies inside it.
 *
 * @returns Its fields by number.
 * @throws {Error} If something does not.
 */
export async function checkFooter(source: ParquetSource): Promise<Fields> {
  const size = source.byteLength;
  const tail = new DataView(await source.slice(Math.max(0, size - 8), size));
  must(size >= 12 && tail.getUint32(4, true) === 0x31524150, "it does not end with PAR1");
  const length = tail.getUint32(0, true);
  must(length <= size - 8, `its metadata claims ${length} bytes`);
  const reader = new Reader(new Uint8Array(await source.slice(size - 8 - length, size - 8)));
  return reader.struct(0);
}

/**
 * Checks the pages of the columns that will be read: places, sizes, counts and runs.
 *
 * @param flat Columns to be read, by name.
 * @throws {Error} If they claim what cannot be true of a file of this size.
 */
export async function checkPages(
  source: ParquetSource,
  metadata: Fields,
  flat: ReadonlyMap<string, FlatColumn>,
): Promise<void> {
  const most = FEW_VALUES + VALUES_PER_BYTE * source.byteLength;
  let rows = 0;
  for (const group of list(metadata, 4)) {
    const groupRows = whole(group, 3, "number of rows");
    rows += groupRows;
    must(rows <= most, `it claims ${rows} rows, more than its ${source.byteLength} bytes can hold`);
    for (const chunk of list(group, 1)) {
      const about = struct(chunk, 3);
      const path = about.get(3);
      const name = Array.isArray(path) && path.length === 1 && path[0] instanceof Uint8Array
        ? new TextDecoder().decode(path[0])
        : "";
      const column = flat.get(name);
      if (column === undefined) continue;
      must(whole(about, 1, "kind of value") <= 7, `column ${name} is of no known kind`);
      const begin = about.get(11)
        ? whole(about, 11, "page offset")
        : whole(about, 9, "page offset");
      const end = begin + whole(about, 7, "compressed size");
      must(end <= source.byteLength, `column ${name} ends at byte ${end}`);
      const bytes = new Uint8Array(await source.slice(begin, end));
      const counted = walkPages(bytes, source, whole(about, 4, "codec"), column, groupRows);
      must(counted === groupRows, `column ${name} has ${counted} values for ${groupRows} rows`);
    }
  }
  must(rows === whole(metadata, 3, "number of rows"), "its groups have another number of rows");
}

/** Number of values in the data pages of a chunk. */
function walkPages(
  bytes: Uint8Array,
  source: ParquetSource,
  codec: number,
  column: FlatColumn,
  rows: number,
): number {
  const reader = new Reader(bytes);
  let counted = 0;
  while (counted < rows && reader.at < bytes.length - 1) {
    const header = reader.struct(0);
    const kind = whole(header, 1, "kind of page");
    const [size, stored] = [whole(header, 2, "page size"), whole(header, 3, "page size")];
    must(stored <= bytes.length - reader.at, `a page claims ${stored} bytes`);
    must(size <= FEW_VALUES + EXPANSION * stored, `a page claims ${size} bytes uncompressed`);
    const page = bytes.subarray(reader.at, reader.at += stored);
    const open = (part: Uint8Array, length: number): Uint8Array => {
      const whole = codec === 0 ? part : source.uncompress(codec, part, length);
      must(whole.length === length, `a page has ${whole.length} bytes, not ${length}`);
      return whole;
    };
    if (kind === 2) {
      const values = whole(struct(header, 7), 1, "number of values");
      must(values <= size, `a dictionary of ${size} bytes claims ${values} values`);
      open(page, size);
    } else if (kind === 0) {
      const about = struct(header, 5);
      const values = whole(about, 1, "number of values");
      must(values <= rows - counted, `a page claims ${values} values`);
      const body = new Reader(open(page, size));
      if (column.optional) body.levels(values);
      body.values(whole(about, 2, "encoding"), values, column);
      counted += values;
    } else {
      must(kind === 3, `it has a page of kind ${kind}`);
      const about = struct(header, 8);
      const values = whole(about, 1, "number of values");
      must(values <= rows - counted, `a page claims ${values} values`);
      must(whole(about, 2, "number of nulls") <= values, "a page has more nulls than values");
      const levels = whole(about, 5, "level size");
      must(whole(about, 6, "level size") === 0, "a flat column has repetition levels");
      must(levels <= Math.min(stored, size), "a page's levels are longer than it");
      if (column.optional) new Reader(page.subarray(0, levels)).runs(1, values);
      const rest = page.subarray(levels);
      const body = new Reader(about.get(7) === false ? rest : open(rest, size - levels));
      body.values(whole(about, 4, "encoding"), values, column);
      counted += values;
    }
  }
  return counted;
}

/** Reads bytes one after the other, never beyond their end. */
class Reader {
  at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get #left(): number {
    return this.#bytes.length - this.at;
  }

  #byte(): number {
    must(this.#left > 0, "it ends early");
    return this.#bytes[this.at++];
  }

  #take(length: number): Uint8Array {
    must(length <= this.#left, `${length} bytes are claimed where ${this.#left} are left`);
    return this.#bytes.subarray(this.at, this.at += length);
  }

  /** An unsigned LEB128 number of at most 64 bits. */
  #varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
    return refuse("a number has more than 64 bits");
  }

  /** The same, of at most 31 bits. */
  #size(): number {
    const value = this.#varint();
    must(value < 2n ** 31n, `a size of ${value} is claimed`);
    return Number(value);
  }

  struct(depth: number): Fields {
    must(depth <= MAX_DEPTH, "its structs are nested too deeply");
    const fields = new Map<number, Thrift>();
    let id = 0;
    for (let byte = this.#byte(); (byte & 15) !== 0; byte = this.#byte()) {
      id = byte >> 4 === 0 ? Number(zigzag(this.#varint())) : id + (byte >> 4);
      fields.set(id, this.#element(byte & 15, depth));
    }
    return fields;
  }

  #element(type: number, depth: number): Thrift {
    switch (type) {
      case 1:
      case 2:
        return type === 1;
      case 3:
        return this.#byte();
      case 4:
      case 5: {
        const value = zigzag(this.#varint());
        must(value >= -(2n ** 31n) && value < 2n ** 31n, `a number is ${value}`);
        return Number(value);
      }
      case 6:
        return zigzag(this.#varint());
      case 7:
        return this.#take(8);
      case 8:
        return this.#take(this.#size());
      case 9: {
        const byte = this.#byte();
        const size = byte >> 4 === 15 ? this.#size() : byte >> 4;
        must(size <= this.#left, `a list of ${size} items is claimed`);
        const kind = (byte & 15) <= 2 ? 3 : byte & 15;
        return Array.from({ length: size }, () => this.#element(kind, depth + 1));
      }
      case 12:
        return this.struct(depth + 1);
    }
    return refuse(`it has a value of Thrift's kind ${type}`);
  }

  /** Definition levels of a page of the first version. */
  levels(values: number): void {
    const length = new DataView(this.#take(4).slice().buffer).getUint32(0, true);
    new Reader(this.#take(length)).runs(1, values);
  }

  /** Values of a page. */
  values(encoding: number, count: number, { boolean }: FlatColumn): void {
    if (encoding === 2 || encoding === 8) {
      if (this.#left === 0) return; // All are null.
      const width = this.#byte();
      must(width <= 32, `indices claim ${width} bits`);
      this.runs(width, count);
    } else if (encoding === 3) {
      must(boolean, "only truth values are stored as runs");
      new Reader(this.#bytes.subarray(this.at + 4)).runs(1, count);
    } else if (encoding >= 5 && encoding <= 7 && this.#left > 0) {
      const block = this.#size();
      const parts = this.#size();
      must(parts >= 1 && parts <= 512 && block <= 65_536, `a block claims ${parts} parts`);
    }
  }

  /** Runs of a value repeated, and of values in so many bits, as far as the bytes go. */
  runs(width: number, count: number): void {
    for (let seen = 0; seen < count && this.#left > 0;) {
      const head = this.#size();
      const length = head >> 1;
      if ((head & 1) === 1) {
        // Eight at a time; the last may be filled up, and its end left out.
        must(8 * length <= count - seen + 511, `a run claims ${8 * length} values`);
        this.at += Math.min(this.#left, length * width);
        seen += 8 * length;
      } else {
        must(length <= count - seen, `a run claims ${length} values`);
        this.#take((width + 7) >> 3);
        seen += length;
      }
    }
  }
}

function zigzag(value: bigint): bigint {
  return (value >> 1n) ^ -(value & 1n);
}

function list(fields: Thrift, id: number): Fields[] {
  const found = fields instanceof Map ? fields.get(id) : undefined;
  if (Array.isArray(found) && found.every((one) => one instanceof Map)) return found;
  return refuse(`its metadata has no list in field ${id}`);
}

function struct(fields: Fields, id: number): Fields {
  const found = fields.get(id);
  return found instanceof Map ? found : refuse(`its metadata has no field ${id}`);
}

function whole(fields: Fields, id: number, what: string): number {
  const value = Number(fields.get(id) ?? -1);
  return Number.isSafeInteger(value) && value >= 0 ? value : refuse(`a ${what} is ${value}`);
}

function must(holds: boolean, why: string): void {
  if (!holds) refuse(why);
}

function refuse(why: string): never {
  throw new Error(why);
}
