/**
 * A trained delta in this project's own terms: `tunegrid.json` says what it is, `delta.safetensors`
 * holds it under the parameters' names.
 *
 * @module
 */

import { writeFileAtomic } from "./atomic.ts";
import {
  type DeltaMethod,
  type ForeignDelta,
  openDelta,
  type TrainedDelta,
  UnsupportedError,
} from "./delta.ts";
import { readJsonFile } from "./huggingface.ts";
import { writeSafetensors } from "./safetensors.ts";
import { isJsonObject, shown } from "./strict_json.ts";

/** File that tells this layout from others. */
export const OWN_CONFIG = "tunegrid.json";

const FORMAT = "tunegrid delta, version 1";

/** What `tunegrid.json` says besides method and tensors. */
export type OwnFacts = Readonly<Record<string, unknown>> & {
  /** Name of the base, and digest of its configuration and weights. */
  readonly base: { readonly name: string; readonly digest: string };
};

/** A delta of {@linkcode openOwnDelta}. */
export interface OwnDelta extends ForeignDelta {
  /** The base that it belongs to. */
  readonly base: OwnFacts["base"];
}

/**
 * Writes a delta into a folder that exists.
 *
 * @param delta What trained, without constants that are made of the base.
 * @throws Error if a file cannot be written.
 */
export async function writeOwnDelta(
  dir: string,
  { method, options, tensors }: TrainedDelta,
  facts: OwnFacts,
): Promise<void> {
  const shapes = [...tensors].map(([name, { shape }]) => [name, shape]);
  const config = {
    format: FORMAT,
    method: { name: method, options },
    ...facts,
    tensors: Object.fromEntries(shapes),
  };
  await writeFileAtomic(`${dir}/${OWN_CONFIG}`, JSON.stringify(config, null, 2) + "\n");
  await writeSafetensors(`${dir}/delta.safetensors`, tensors);
}

/**
 * Opens such a folder.
 *
 * @throws Error where a file is missing, {@linkcode UnsupportedError} where it is of another version,
 *   TypeError where it is not as it should be.
 */
export async function openOwnDelta(dir: string): Promise<OwnDelta> {
  const file = `${dir}/${OWN_CONFIG}`;
  const { format, method, base } = await readJsonFile(file);
  if (format !== FORMAT) {
    throw new UnsupportedError(
      `Cannot use ${file}: format must be ${JSON.stringify(FORMAT)}, found ${shown(format)}`,
    );
  }
  const isBase = (one: unknown): one is OwnFacts["base"] =>
    isJsonObject(one) && typeof one.name === "string" && typeof one.digest === "string";
  const isOption = (one: unknown) => ["number", "string", "boolean"].includes(typeof one);
  if (
    !isJsonObject(method) || typeof method.name !== "string" || !isJsonObject(method.options) ||
    !Object.values(method.options).every(isOption) || !isBase(base)
  ) {
    throw new TypeError(`Cannot use ${file}: method or base is not as this project writes them`);
  }
  const same = (name: string) => name;
  return {
    method: method.name as DeltaMethod["method"],
    options: method.options as DeltaMethod["options"],
    base,
    tensors: await openDelta(`${dir}/delta.safetensors`, { own: same, foreign: same }),
    foreignName: same,
  };
}
