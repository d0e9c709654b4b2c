/**
 * Fitting a checkpoint's tensors to a model's parameters.
 *
 * @module
 */

import { elements } from "../graph/shape.ts";
import type { Model, Tie } from "../models/model.ts";
import { PART_ELEMENTS, StreamedValues, type ValueReader } from "./weight_values.ts";

/** Tensors of a checkpoint; `WeightsFile` of lib/formats is one. */
export interface TensorSource {
  /** Every tensor's name. */
  names(): string[];
  /** Whether it holds a tensor of this name. */
  has(name: string): boolean;
  /** A tensor's shape, row-major. @throws RangeError where there is none of this name. */
  info(name: string): { readonly shape: readonly number[] };
  /** A tensor's values as f32, row-major. @throws RangeError where there is none of this name. */
  read(name: string): Promise<Float32Array<ArrayBuffer>>;
  /**
   * The elements [from, to) of a tensor as f32, read before this returns; where a source has it, a
   * model may be read part by part instead of as a whole.
   */
  readPart?(name: string, from: number, to: number): Float32Array<ArrayBuffer>;
}

/** A source that is read part by part. */
export type PartSource = TensorSource & Required<Pick<TensorSource, "readPart">>;

/** Whether a source is read part by part. */
export function isPartSource(source: TensorSource): source is PartSource {
  return source.readPart !== undefined;
}

/**
 * Finds the tensor of each of a model's parameters, without reading any.
 *
 * A classification head may be missing (it is then drawn by the seed); what the model calls spare
 * (copies of tied matrices, a head or decoder that is not used) may be left over.
 *
 * @param config What decides the shapes, for the message.
 * @returns The checkpoint's names by the model's.
 * @throws TypeError naming every tensor that is missing, left over or misshapen.
 */
export function matchTensors(
  { scope, head, spare, canonical = (name) => name, tie }: Pick<
    Model,
    "scope" | "head" | "spare" | "canonical" | "tie"
  >,
  source: TensorSource,
  config = "config.json",
): Map<string, string> {
  const problems: string[] = [];
  const found = new Map<string, string>();
  for (const name of source.names()) {
    const own = canonical(name);
    const twin = found.get(own);
    if (twin !== undefined) problems.push(`${twin} and ${name} are the same parameter`);
    found.set(own, name);
  }
  for (const { name, shape } of scope.select()) {
    const foreign = found.get(name);
    if (foreign === undefined) {
      if (!head.includes(name)) problems.push(`${name} is missing${whyMissing(name, tie)}`);
      continue;
    }
    const dims = source.info(foreign).shape;
    if (dims.length !== shape.length || dims.some((dim, i) => dim !== shape[i])) {
      problems.push(`${foreign} is [${dims}], not [${shape}]`);
    }
  }
  const known = (name: string) =>
    scope.parameters.has(name) ||
    spare.some((one) => one.endsWith(".") ? name.startsWith(one) : name === one);
  for (const [own, name] of found) if (!known(own)) problems.push(`${name} is left over`);
  if (problems.length > 0) {
    const shown = problems.slice(0, 8).join("; ");
    const more = problems.length > 8 ? `; and ${problems.length - 8} more` : "";
    throw new TypeError(`Cannot load weights: they do not fit ${config}: ${shown}${more}`);
  }
  return found;
}

/**
 * Reads the values of a model's parameters.
 *
 * @param config What decides the shapes, for the message.
 * @returns Values by parameter name; without the head where the checkpoint has none.
 * @throws TypeError as {@linkcode matchTensors} does, or where an output matrix is not what
 *   `tie_word_embeddings` says.
 */
export async function loadWeights(
  model: Pick<Model, "scope" | "head" | "spare" | "canonical" | "tie">,
  source: TensorSource,
  config = "config.json",
): Promise<Map<string, Float32Array<ArrayBuffer>>> {
  const { scope, tie } = model;
  const found = matchTensors(model, source, config);
  const values = new Map<string, Float32Array<ArrayBuffer>>();
  for (const { name } of scope.select()) {
    const foreign = found.get(name);
    if (foreign !== undefined) values.set(name, await source.read(foreign));
  }
  if (tie?.tied && found.has(tie.output)) {
    const copy = await source.read(tie.output);
    const input = values.get(tie.input)!;
    if (!equal(copy, input)) throw differs(tie, config);
  }
  return values;
}

/**
 * The same values, each read when it is asked for and not kept; nothing is read yet but copies of
 * tied matrices, in parts.
 *
 * @param config What decides the shapes, for the message.
 * @throws TypeError as {@linkcode loadWeights} does.
 */
export function streamWeights(
  model: Pick<Model, "scope" | "head" | "spare" | "canonical" | "tie">,
  source: PartSource,
  config = "config.json",
): StreamedValues {
  const { scope, tie } = model;
  const found = matchTensors(model, source, config);
  const readerOf = (foreign: string): ValueReader => ({
    length: elements(source.info(foreign).shape),
    part: (from, to) => source.readPart(foreign, from, to),
  });
  const readers = new Map<string, ValueReader>();
  for (const { name } of scope.select()) {
    const foreign = found.get(name);
    if (foreign !== undefined) readers.set(name, readerOf(foreign));
  }
  if (tie?.tied && found.has(tie.output)) {
    const copy = readerOf(tie.output);
    const input = readers.get(tie.input)!;
    if (copy.length !== input.length) throw differs(tie, config);
    for (let from = 0; from < copy.length; from += PART_ELEMENTS) {
      const to = Math.min(copy.length, from + PART_ELEMENTS);
      if (!equal(copy.part(from, to), input.part(from, to))) throw differs(tie, config);
    }
  }
  return new StreamedValues(readers);
}

function equal(one: Float32Array, other: Float32Array): boolean {
  return one.length === other.length && one.every((value, i) => value === other[i]);
}

function differs({ output, input }: Tie, config: string): TypeError {
  return new TypeError(
    `Cannot load weights: they do not fit ${config}: ${output} differs from ${input}, ` +
      "although tie_word_embeddings is true (or left out); set it to false if both were trained",
  );
}

function whyMissing(name: string, tie: Tie | undefined): string {
  return tie?.output === name
    ? `, although tie_word_embeddings is false; set it to true if ${tie.input} serves both ends`
    : "";
}
