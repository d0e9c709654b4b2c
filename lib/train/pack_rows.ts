import type { Program } from "../gpu/program.ts";
import type { Values } from "../gpu/session.ts";
import type { Sizes } from "../graph/shape.ts";

/** Sizes of programs in which so many cells have `rows` rows each. */
export function packSizes(cells: number, rows: number, T: number): Sizes {
  return cells === 1 ? { B: rows, T } : { B: cells * rows, R: rows, T };
}

/**
 * Inputs of several cells from those of one: what has a value for each row is repeated for each
 * cell's share of the rows; all else is as it is.
 */
export function tileRows(
  program: Pick<Program, "inputs">,
  values: Readonly<Record<string, Values>>,
  cells: number,
): Record<string, Values> {
  if (cells === 1) return values;
  const tiled: Record<string, Values> = { ...values };
  for (const [name, { shape: [rows] }] of program.inputs) {
    const own = values[name];
    if (own !== undefined && typeof rows !== "number") tiled[name] = repeat(own, cells);
  }
  return tiled;
}

function repeat(values: Values, times: number): Values {
  const Kind = values.constructor as Float32ArrayConstructor;
  const all = new Kind(values.length * times);
  for (let i = 0; i < times; i++) all.set(values as Float32Array, i * values.length);
  return all;
}
