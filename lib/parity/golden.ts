/**
 * A golden folder: a model, a batch, a method's weights, and what other software computed.
 *
 * @module
 */

import { openAdapterFolder } from "../formats/adapter_folder.ts";
import { UnsupportedError } from "../formats/delta.ts";
import { isFile, openWeights, readConfig, readJsonFile } from "../formats/huggingface.ts";
import { readSafetensors, type SafetensorsFile } from "../formats/safetensors.ts";
import type { RawConfig } from "../models/config.ts";
import { buildModel, families } from "../models/index.ts";
import type { Model } from "../models/model.ts";
import { methods } from "../peft/index.ts";
import { type Attached, attachMethod } from "../peft/method.ts";
import type { WeightValues } from "../train/initialize.ts";
import { deltaValues } from "../train/load_adapter.ts";
import { loadWeights, type TensorSource } from "../train/load_weights.ts";
import { type Batch, readBatch } from "./batch.ts";

/** A golden folder, opened and fitted to this project's model and method. */
export interface Golden {
  readonly dir: string;
  readonly model: Model;
  readonly attached: Attached;
  /** How a table names the method. */
  readonly label: string;
  readonly values: WeightValues;
  readonly batch: Batch;
  readonly expected: SafetensorsFile;
  /** The name that a parameter has in the expected tensors. */
  readonly foreignName: (name: string) => string;
}

/**
 * Opens a folder in the golden layout: `expected.safetensors` and, in it or in its parent,
 * `config.json`, `model.safetensors` and the batch that `check.json` names.
 *
 * @throws UnsupportedError where family or method is of a kind that is not supported.
 * @throws Error, TypeError or RangeError naming what is missing or does not fit.
 */
export async function openGolden(dir: string): Promise<Golden> {
  const expectedFile = `${dir}/expected.safetensors`;
  if (!await isFile(expectedFile)) {
    throw new Error(
      `Cannot check ${dir}: it has no expected.safetensors; name a folder in the golden layout`,
    );
  }
  const expected = await readSafetensors(expectedFile);
  const check = await isFile(`${dir}/check.json`) ? await readJsonFile(`${dir}/check.json`) : {};
  const config = await readConfig(await home(dir, ["config.json"]));
  checkFamily(dir, config);
  const delta = await openAdapterFolder(dir);
  const source = await openWeights(
    await home(dir, ["model.safetensors", "model.safetensors.index.json"]),
  );
  const model = build(dir, config, delta === null ? [source] : [delta.tensors, source]);
  const gradients = expected.names().flatMap((name) => /^grad\.(.+)$/.exec(name)?.[1] ?? []);
  const method = methods[delta?.method ?? tellMethod(gradients, model)];
  const options = method.parse({ ...delta?.options });
  const attached = attachMethod(model, method, options);
  const base = await loadWeights(model, source);
  const values = delta === null ? base : await deltaValues(model, attached, delta.tensors, base);
  return {
    dir,
    model,
    attached,
    label: method.label(options),
    values,
    batch: await readBatch(await batchFile(dir, check.inputs), model, classesOf(model)),
    expected,
    foreignName: delta?.foreignName ?? ((name) => name),
  };
}

/** The folder or its parent, whichever has one of the files. */
async function home(dir: string, files: readonly string[]): Promise<string> {
  for (const folder of [dir, `${dir}/..`]) {
    for (const file of files) if (await isFile(`${folder}/${file}`)) return folder;
  }
  throw new Error(
    `Cannot check ${dir}: neither it nor its parent has ${files.join(" or ")}`,
  );
}

function checkFamily(dir: string, { model_type: family }: RawConfig): void {
  if (Object.hasOwn(families, String(family))) return;
  throw new UnsupportedError(
    `Cannot check ${dir}: model_type ${
      JSON.stringify(family) ?? "none"
    } is not supported yet, only ${Object.keys(families).join(" and ")}`,
  );
}

/** The family's model, with as many classes as the first of the sources that has its head. */
function build(dir: string, config: RawConfig, sources: readonly TensorSource[]): Model {
  const draft = buildModel(config, { classes: 2, head: false });
  const [head] = draft.head;
  if (head === undefined) return draft;
  const source = sources.find((one) => one.has(head));
  if (source === undefined) {
    throw new Error(`Cannot check ${dir}: no weights file has ${head}, the classification head`);
  }
  return buildModel(config, { classes: source.info(head).shape[0], head: false });
}

function classesOf({ scope, head }: Model): number {
  return head.length === 0 ? 0 : scope.parameters.get(head[0])!.shape[0];
}

/** Without a method's weights, the expected gradients tell whether the head alone trains. */
function tellMethod(gradients: readonly string[], { head }: Model): "full" | "head" {
  const isHead = gradients.length > 0 && gradients.every((name) => head.includes(name));
  return isHead ? "head" : "full";
}

async function batchFile(dir: string, named: unknown): Promise<string> {
  const file = named ?? "inputs.json";
  if (typeof file !== "string" || !/^[\w-][\w.-]*$/.test(file)) {
    throw new TypeError(
      `Cannot check ${dir}: inputs of check.json must be a file's name, found ${
        JSON.stringify(file)
      }`,
    );
  }
  return `${await home(dir, [file])}/${file}`;
}
