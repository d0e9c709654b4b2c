/**
 * Shapes whose dimensions may be symbols.
 *
 * A dimension is a number or `symbol + constant` (B, T, T + 10 with a prompt of ten). Symbols are
 * bound to numbers when a program is compiled, so one graph serves every bucket of lengths.
 *
 * @module
 */

/** A symbolic dimension: the value bound to `symbol`, plus a constant. */
export interface Affine {
  /** Name that is bound to a number when a program is compiled: B (batch), T (tokens), … */
  readonly symbol: string;
  /** Added to that number. */
  readonly plus: number;
}

/** One dimension of a shape. */
export type Dim = number | Affine;

/** Dimensions, outermost first (row-major). */
export type Shape = readonly Dim[];

/** Numbers bound to symbols. */
export type Sizes = Readonly<Record<string, number>>;

/** A symbolic dimension, unbound. */
export function symbol(name: string): Dim {
  return { symbol: name, plus: 0 };
}

/** `dim + n`; stays symbolic where `dim` is. */
export function plus(dim: Dim, n: number): Dim {
  return typeof dim === "number" ? dim + n : { symbol: dim.symbol, plus: dim.plus + n };
}

/**
 * `a − b`.
 *
 * @throws TypeError where the two have different symbols, so that it depends on the binding.
 */
export function difference(a: Dim, b: Dim): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "object" && typeof b === "object" && a.symbol === b.symbol) {
    return a.plus - b.plus;
  }
  throw new TypeError(`Cannot tell how much ${formatShape([a, b])} differ: one is bound later`);
}

/** Whether two dimensions are the same for every binding. */
export function sameDim(a: Dim, b: Dim): boolean {
  if (typeof a === "number" || typeof b === "number") return a === b;
  return a.symbol === b.symbol && a.plus === b.plus;
}

/** Whether two shapes are the same for every binding. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => sameDim(dim, b[i]));
}

/** `[B, T+10, 64]`, for messages. */
export function formatShape(shape: Shape): string {
  const one = (dim: Dim) =>
    typeof dim === "number" ? `${dim}` : dim.plus === 0 ? dim.symbol : `${dim.symbol}+${dim.plus}`;
  return `[${shape.map(one).join(", ")}]`;
}

/**
 * The number that a dimension stands for.
 *
 * @throws RangeError if its symbol is not bound.
 */
export function bindDim(dim: Dim, sizes: Sizes): number {
  if (typeof dim === "number") return dim;
  const value = sizes[dim.symbol];
  if (value === undefined) {
    throw new RangeError(
      `Cannot bind dimension ${dim.symbol}: only ${Object.keys(sizes).join(", ") || "none"} given`,
    );
  }
  return value + dim.plus;
}

/** The numbers that a shape stands for. */
export function bindShape(shape: Shape, sizes: Sizes): number[] {
  return shape.map((dim) => bindDim(dim, sizes));
}

/** Product of bound dimensions: the number of elements. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Row-major strides, in elements. */
export function strides(shape: readonly number[]): number[] {
  const result = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    result[i] = step;
    step *= shape[i];
  }
  return result;
}
