/**
 * Merging a trained delta into its base.
 *
 * @module
 */

import type { LinearSite, Site } from "../layers/site.ts";
import type { Method, MethodOptions, ParameterValues } from "./method.ts";

/** A weight's values, addressed as W[output, input] whatever its layout. */
export class WeightMatrix {
  readonly name: string;
  readonly outputs: number;
  readonly inputs: number;
  readonly #values: Float32Array;
  readonly #strides: readonly [number, number];

  /** @param values Row-major, in the layout of the site. */
  constructor(
    { path, layout, inputs, outputs }: LinearSite,
    values: Float32Array,
  ) {
    this.name = `${path}.weight`;
    [this.outputs, this.inputs] = [outputs, inputs];
    this.#values = values;
    this.#strides = layout === "out_in" ? [inputs, 1] : [1, outputs];
  }

  /** W[output, input]. */
  at(output: number, input: number): number {
    return this.#values[output * this.#strides[0] + input * this.#strides[1]];
  }

  /** New values in the same layout; computed in f64, rounded once. */
  map(
    change: (value: number, output: number, input: number) => number,
  ): Float32Array<ArrayBuffer> {
    const changed = new Float32Array(this.#values.length);
    const [row, column] = this.#strides;
    for (let output = 0; output < this.outputs; output++) {
      for (let input = 0; input < this.inputs; input++) {
        const i = output * row + input * column;
        changed[i] = change(this.#values[i], output, input);
      }
    }
    return changed;
  }
}

/** The weight of a linear site. @throws RangeError if it has no values. */
export function weightOf(site: LinearSite, base: ParameterValues): WeightMatrix {
  const values = base.get(`${site.path}.weight`);
  if (values !== undefined) return new WeightMatrix(site, values);
  throw new RangeError(`Cannot merge: ${site.path}.weight has no values`);
}

/**
 * The base's values with a method's delta merged in: the plain model computes with them what base and
 * delta compute together.
 *
 * @param model The bare model, without the method.
 * @param values Values of the base and of everything that the method trained or added.
 * @throws TypeError if the method cannot be merged.
 */
export function mergeMethod(
  model: { readonly scope: { readonly sites: readonly Site[] } },
  method: Method,
  options: MethodOptions,
  values: ParameterValues,
): Map<string, Float32Array<ArrayBuffer>> {
  if (method.merge === undefined) {
    throw new TypeError(
      `Cannot merge ${method.name}: it changes more than weights; use it with its delta`,
    );
  }
  const { sites } = model.scope;
  const merged = method.merge({ sites, base: values, delta: values }, options);
  return new Map([...values, ...merged]);
}
