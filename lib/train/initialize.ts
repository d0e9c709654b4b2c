/**
 * Initial values of parameters that no file gives.
 *
 * @module
 */

import { Random } from "../data/random.ts";
import { elements } from "../graph/shape.ts";
import type { Parameter } from "../layers/scope.ts";

/** Values of a base's parameters, by name. */
export type WeightValues = ReadonlyMap<string, Float32Array<ArrayBuffer>>;

/**
 * Draws a parameter's initial values.
 *
 * @param seed Together with the parameter's name decides every random value.
 * @param base Values that `rows` copies from.
 * @throws RangeError if `rows` names a parameter that `base` lacks.
 */
export function initialValues(
  { name, shape, initializer }: Parameter,
  seed: number,
  base: WeightValues,
): Float32Array<ArrayBuffer> {
  const values = new Float32Array(elements(shape));
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
      const table = base.get(initializer.parameter);
      if (table === undefined) {
        throw new RangeError(`Cannot start ${name}: ${initializer.parameter} has no values`);
      }
      const width = shape[shape.length - 1];
      const rows = table.length / width;
      for (let row = 0; row < shape[0]; row++) {
        const from = ((initializer.start + row) % rows) * width;
        values.set(table.subarray(from, from + width), row * width);
      }
      return values;
    }
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
