/**
 * Fitting a checkpoint's tensors to a model's parameters.
 *
 * @module
 */

import type { Model } from "../models/model.ts";

/** Tensors of a checkpoint; `WeightsFile` of lib/formats is one. */
export interface TensorSource {
  names(): string[];
  has(name: string): boolean;
  info(name: string): { readonly shape: readonly number[] };
  read(name: string): Promise<Float32Array<ArrayBuffer>>;
}

/**
 * Reads the values of a model's parameters.
 *
 * A classification head may be missing (it is then drawn by the seed); what the model calls spare
 * (copies of tied matrices, a head or decoder that is not used) may be left over.
 *
 * @param config What decides the shapes, for the message.
 * @returns Values by parameter name; without the head where the checkpoint has none.
 * @throws TypeError naming every tensor that is missing, left over or misshapen.
 */
export async function loadWeights(
  model: Pick<Model, "scope" | "head" | "spare">,
  source: TensorSource,
  config = "config.json",
): Promise<Map<string, Float32Array<ArrayBuffer>>> {
  const parameters = model.scope.select();
  const problems: string[] = [];
  for (const { name, shape } of parameters) {
    if (!source.has(name)) {
      if (!model.head.includes(name)) problems.push(`${name} is missing`);
      continue;
    }
    const found = source.info(name).shape;
    if (found.length !== shape.length || found.some((dim, i) => dim !== shape[i])) {
      problems.push(`${name} is [${found}], not [${shape}]`);
    }
  }
  const known = (name: string) =>
    model.scope.parameters.has(name) ||
    model.spare.some((one) => one.endsWith(".") ? name.startsWith(one) : name === one);
  problems.push(
    ...source.names().filter((name) => !known(name)).map((name) => `${name} is left over`),
  );
  if (problems.length > 0) {
    const shown = problems.slice(0, 8).join("; ");
    const more = problems.length > 8 ? `; and ${problems.length - 8} more` : "";
    throw new TypeError(`Cannot load weights: they do not fit ${config}: ${shown}${more}`);
  }
  const values = new Map<string, Float32Array<ArrayBuffer>>();
  for (const { name } of parameters) {
    if (source.has(name)) values.set(name, await source.read(name));
  }
  return values;
}
