/**
 * Fitting a saved delta, this project's or another library's, to a base.
 *
 * @module
 */

import { openAdapterFolder } from "../formats/adapter_folder.ts";
import { shown } from "../formats/strict_json.ts";
import { Scope } from "../layers/scope.ts";
import type { Model } from "../models/model.ts";
import { methods } from "../peft/index.ts";
import { type Attached, attachMethod, type Method, type MethodOptions } from "../peft/method.ts";
import { initialValues, type WeightValues } from "./initialize.ts";
import { loadWeights, type TensorSource } from "./load_weights.ts";
import { overValues } from "./weight_values.ts";

/** A base with a saved delta in it: ready to predict, or to train on. */
export interface LoadedAdapter {
  /** The method that the delta is of. */
  readonly method: Method;
  /** Its options, every one resolved. */
  readonly options: MethodOptions;
  /** What of model and method trains. */
  readonly attached: Attached;
  /** Values of every parameter of model and method, f32. */
  readonly values: WeightValues;
}

/** What {@linkcode loadAdapter} may be told besides. */
export interface LoadOptions {
  /** Digest of the base, which a delta of this project must have been trained from. */
  readonly baseDigest?: string;
}

/**
 * Attaches a saved delta to a freshly built model: a folder of PEFT, AdapterHub or OpenDelta, or one
 * that `export --to safetensors` wrote.
 *
 * @param model Built for as many classes as the delta's head has.
 * @param base Values of the model's parameters; its head's may be missing where the folder has them.
 * @throws TypeError or `UnsupportedError` naming a setting, tensor or shape that does not fit,
 *   RangeError where the delta is of another base, Error where a file is missing.
 */
export async function loadAdapter(
  model: Model & { readonly encode?: (text: string) => readonly number[] },
  dir: string,
  base: WeightValues,
  { baseDigest }: LoadOptions = {},
): Promise<LoadedAdapter> {
  const delta = await openAdapterFolder(dir);
  if (delta === null) {
    throw new Error(
      `Cannot load ${dir}: it holds no delta; name a folder with adapter_config.json, ` +
        "delta_config.json or tunegrid.json",
    );
  }
  const origin = (delta as { base?: { name: string; digest: string } }).base;
  if (origin !== undefined && baseDigest !== undefined && origin.digest !== baseDigest) {
    throw new RangeError(
      `Cannot load ${dir}: it was trained from ${origin.name} (${
        origin.digest.slice(0, 12)
      }), and this base is ${baseDigest.slice(0, 12)}; use the base that it was trained from`,
    );
  }
  const method = Object.hasOwn(methods, delta.method) ? methods[delta.method] : undefined;
  if (method === undefined) {
    throw new TypeError(
      `Cannot load ${dir}: method ${shown(delta.method)} is unknown; found ${
        Object.keys(methods).join(", ")
      }`,
    );
  }
  const options = method.parse({ ...delta.options });
  const attached = attachMethod(model, method, options);
  const values = await deltaValues(model, attached, delta.tensors, base);
  const missing = model.head.find((name) => !values.has(name));
  if (missing !== undefined) {
    throw new RangeError(
      `Cannot load ${dir}: neither it nor the base has ${missing}, the classification head`,
    );
  }
  return { method, options, attached, values };
}

/**
 * A base's values with a delta's over them: what the method added, and what of the base the delta
 * holds. Constants that the method makes of the base are computed.
 *
 * @throws TypeError naming every tensor that is missing, left over or misshapen.
 */
export async function deltaValues(
  { scope, head }: Pick<Model, "scope" | "head">,
  { delta, trainable }: Attached,
  tensors: TensorSource,
  base: WeightValues,
): Promise<WeightValues> {
  const trains = new Set(trainable);
  const wanted = new Scope();
  const add = (parameters: Iterable<typeof trainable[number]>) => {
    for (const parameter of parameters) wanted.parameters.set(parameter.name, parameter);
  };
  const own = delta.select().filter((one) => trains.has(one));
  add(own);
  // AdapterHub and OpenDelta leave the trained head to the base.
  const isOwn = new Set(own);
  add(
    trainable.filter(({ name }) =>
      scope.parameters.has(name) && (!head.includes(name) || tensors.has(name))
    ).filter((one) => !isOwn.has(one)),
  );
  const loaded = await loadWeights(
    { scope: wanted, head: [], spare: [] },
    tensors,
    "the delta's configuration and the base",
  );
  const values = overValues(base, loaded);
  const constants = new Map<string, Float32Array<ArrayBuffer>>();
  for (const parameter of delta.select().filter((one) => !trains.has(one))) {
    constants.set(parameter.name, initialValues(parameter, 0, values));
  }
  return overValues(values, constants);
}
