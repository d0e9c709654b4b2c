/**
 * Initial values of parameters that no file gives.
 *
 * @module
 */

import { Random } from "../data/random.ts";
import { elements } from "../graph/shape.ts";
import type { Parameter } from "../layers/scope.ts";
import { readerOf, type ValueReader, type WeightValues } from "./weight_values.ts";

export type { WeightValues } from "./weight_values.ts";

/**
 * Draws a parameter's initial values.
 *
 * @param seed Together with the parameter's name decides every random value.
 * @param base Values that `rows` and `computed` take theirs from.
 * @throws RangeError if one of them names a parameter that `base` lacks.
 */
export function initialValues(
  { name, shape, initializer }: Parameter,
  seed: number,
  base: WeightValues,
): Float32Array<ArrayBuffer> {
  const values = new Float32Array(elements(shape));
  const valuesOf = (parameter: string): ValueReader => {
    const found = readerOf(base, parameter);
    if (found !== undefined) return found;
    throw new RangeError(`Cannot start ${name}: ${parameter} has no values`);
  };
  switch (initializer.kind) {
    case "zeros":
      return values;
    case "ones":
      return values.fill(1);
    case "normal": {
      const random = new Random(seed, "initial", name);
      return values.map(() => random.normal(0, initializer.deviation));
    }
    case "uniform": {
      const random = new Random(seed, "initial", name);
      return values.map(() => random.uniform(-initializer.bound, initializer.bound));
    }
    case "rows": {
      const table = valuesOf(initializer.parameter);
      const width = shape[shape.length - 1];
      const rows = table.length / width;
      for (let row = 0; row < shape[0]; row++) {
        const from = ((initializer.start + row) % rows) * width;
        values.set(table.part(from, from + width), row * width);
      }
      return values;
    }
    case "computed":
      return initializer.compute(
        initializer.from.map(valuesOf).map((one) => one.part(0, one.length)),
      );
  }
}

/** Random values for all of a model's parameters: an untrained base. */
export function randomWeights(
  parameters: Iterable<Parameter>,
  seed: number,
): Map<string, Float32Array<ArrayBuffer>> {
  const values = new Map<string, Float32Array<ArrayBuffer>>();
  for (const parameter of parameters) {
    values.set(parameter.name, initialValues(parameter, seed, values));
  }
  return values;
}
