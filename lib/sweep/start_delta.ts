/**
 * A saved delta that training goes on from.
 *
 * @module
 */

import { openAdapterFolder } from "../formats/adapter_folder.ts";
import type { ForeignDelta } from "../formats/delta.ts";
import { digestJson, sha256 } from "../formats/digest.ts";
import type { Model } from "../models/model.ts";
import { methods } from "../peft/index.ts";
import type { Attached, MethodOptions } from "../peft/method.ts";
import type { WeightValues } from "../train/initialize.ts";
import { deltaValues } from "../train/load_adapter.ts";
import type { MethodSpec } from "./method_spec.ts";

/** A delta to start from, opened. */
export interface StartDelta {
  /** The folder's name. */
  readonly name: string;
  /** Digest of its method, options and values. */
  readonly digest: string;
  readonly delta: ForeignDelta;
}

/**
 * Options that do not change what given values compute: how they started and how they train; where
 * they stand, which the values' names tell; sizes, which their shapes tell.
 */
const FREE = [
  "bottleneck",
  "dropout",
  "feedforward",
  "plus",
  "rank",
  "reduction",
  "semantics",
  "submodules",
  "targets",
  "text",
];

/**
 * Opens a delta to start from: a folder of PEFT, AdapterHub, OpenDelta, or `export --to safetensors`.
 *
 * @throws Error where there is none, and what its reader throws.
 */
export async function openStart(dir: string): Promise<StartDelta> {
  const delta = await openAdapterFolder(dir);
  if (delta === null) {
    throw new Error(
      `Cannot start from ${dir}: it holds no delta; name a folder that PEFT, AdapterHub or ` +
        "OpenDelta wrote, or that export --to safetensors did",
    );
  }
  const { method, options, tensors } = delta;
  const digests: Record<string, string> = {};
  for (const name of tensors.names()) {
    digests[name] = sha256(new Uint8Array((await tensors.read(name)).buffer));
  }
  return {
    name: dir.replace(/\/+$/, "").split("/").pop()!,
    digest: digestJson({ method, options, tensors: digests }),
    delta,
  };
}

/**
 * Values to start from: the base's, with those of the delta over them.
 *
 * @throws RangeError where the delta is of another method, or of options under which its values would
 *   compute something else; TypeError naming what does not fit in names and shapes.
 */
export async function startedWeights(
  { name: folder, delta }: StartDelta,
  { name, options }: MethodSpec,
  model: Model,
  attached: Attached,
  base: WeightValues,
): Promise<WeightValues> {
  if (delta.method !== name) {
    throw new RangeError(
      `Cannot start ${name} from ${folder}: it holds ${delta.method}; use --methods ${delta.method}`,
    );
  }
  const given = methods[name].parse({ ...delta.options });
  for (const key of Object.keys(options).filter((key) => !FREE.includes(key))) {
    const [wanted, found] = [options, given].map((one) => meaning(key, one[key]));
    if (wanted === found) continue;
    throw new RangeError(
      `Cannot start ${name} with ${key} ${
        JSON.stringify(options[key])
      } from ${folder}: it has ${key} ${JSON.stringify(given[key])}; use that`,
    );
  }
  try {
    return await deltaValues(model, attached, delta.tensors, base);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new TypeError(`Cannot start ${name} from ${folder}: ${error.message}`, { cause: error });
  }
}

/** Of how a delta started, only PiSSA's matters later: it takes its start off again. */
function meaning(key: string, value: MethodOptions[string]): MethodOptions[string] {
  return key === "init" ? value === "pissa" : value === "silu" ? "swish" : value;
}
