/**
 * Values of parameters: in memory, or read from files in parts where they are needed.
 *
 * @module
 */

/** Elements that are read from a file and uploaded at a time: 64 MiB of f32. */
export const PART_ELEMENTS = 2 ** 24;

/** Values of a base's parameters, by name. */
export type WeightValues = ReadonlyMap<string, Float32Array<ArrayBuffer>>;

/** One parameter's values, wherever they lie. */
export interface ValueReader {
  /** Number of elements. */
  readonly length: number;
  /** The elements [from, to), f32, row-major. */
  part(from: number, to: number): Float32Array<ArrayBuffer>;
}

/**
 * Values that are read each time they are asked for and not kept: a map that holds names and
 * lengths alone. Reading is synchronous.
 */
export class StreamedValues implements WeightValues {
  readonly #readers: ReadonlyMap<string, ValueReader>;

  /**
   * Values that are behind readers.
   *
   * @param readers What reads each parameter.
   */
  constructor(readers: ReadonlyMap<string, ValueReader>) {
    this.#readers = readers;
  }

  /** Number of parameters. */
  get size(): number {
    return this.#readers.size;
  }

  /** Whether the parameter has values. */
  has(name: string): boolean {
    return this.#readers.has(name);
  }

  /** All of a parameter's values, read anew; undefined where it has none. */
  get(name: string): Float32Array<ArrayBuffer> | undefined {
    const reader = this.#readers.get(name);
    return reader?.part(0, reader.length);
  }

  /** What reads a parameter; undefined where it has no values. */
  reader(name: string): ValueReader | undefined {
    return this.#readers.get(name);
  }

  /** The parameters' names. */
  keys(): MapIterator<string> {
    return this.#readers.keys();
  }

  /** Every parameter's values, one after another. */
  *values(): MapIterator<Float32Array<ArrayBuffer>> {
    for (const name of this.keys()) yield this.get(name)!;
  }

  /** Names and values, one after another. */
  *entries(): MapIterator<[string, Float32Array<ArrayBuffer>]> {
    for (const name of this.keys()) yield [name, this.get(name)!];
  }

  /** The same as {@linkcode entries}. */
  [Symbol.iterator](): MapIterator<[string, Float32Array<ArrayBuffer>]> {
    return this.entries();
  }

  /** Calls a function with each parameter's values, one after another. */
  forEach(
    use: (values: Float32Array<ArrayBuffer>, name: string, all: WeightValues) => void,
  ): void {
    for (const [name, values] of this) use(values, name, this);
  }

  /** These values with others over them. */
  with(over: WeightValues): StreamedValues {
    const readers = new Map(this.#readers);
    for (const name of over.keys()) readers.set(name, readerOf(over, name)!);
    return new StreamedValues(readers);
  }
}

/** What reads a parameter in parts; undefined where it has no values. */
export function readerOf(values: WeightValues, name: string): ValueReader | undefined {
  if (values instanceof StreamedValues) return values.reader(name);
  const own = values.get(name);
  if (own === undefined) return undefined;
  const { length } = own;
  return {
    length,
    part: (from, to) => from === 0 && to === length ? own : own.subarray(from, to),
  };
}

/** Some values with others over them; what is read from files is still read when asked for. */
export function overValues(values: WeightValues, over: WeightValues): WeightValues {
  if (values instanceof StreamedValues) return values.with(over);
  return over instanceof StreamedValues
    ? new StreamedValues(new Map()).with(values).with(over)
    : new Map([...values, ...over]);
}
