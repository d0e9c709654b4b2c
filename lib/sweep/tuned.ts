/**
 * A finished run, opened again: its model with the weights that it kept, and what puts texts to it.
 *
 * @module
 */

import type { Tokenizer } from "../data/tokenizer.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { readShaped } from "../formats/json_shape.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import type { Parameter } from "../layers/scope.ts";
import type { RawConfig } from "../models/config.ts";
import type { Model } from "../models/model.ts";
import { methods } from "../peft/index.ts";
import { type Attached, attachMethod, type Method, type MethodOptions } from "../peft/method.ts";
import { initialValues, type WeightValues } from "../train/initialize.ts";
import type { LabelWords } from "../train/task.ts";
import { overValues } from "../train/weight_values.ts";
import { type Base, openBase } from "./base.ts";
import type { Cell } from "./cell.ts";
import { methodInfo } from "./method_spec.ts";
import { readRun, type Run } from "./run_folder.ts";
import { placesShape } from "./run_shapes.ts";

/** A base with a method's trained values, ready to be exported, evaluated or asked. */
export interface TunedModel {
  /** The whole description of what was trained. */
  readonly cell: Cell;
  /** What it was trained from. */
  readonly base: Base;
  /** The base's `config.json`. */
  readonly config: RawConfig;
  /** The base's model for the task, with the method attached. */
  readonly model: Model;
  /** How it was trained. */
  readonly method: Method;
  /** The method's options, every one resolved. */
  readonly options: MethodOptions;
  /** What of it trains. */
  readonly attached: Attached;
  /** Values of every parameter of model and method, f32, as training left them. */
  readonly values: WeightValues;
  /** The base's tokenizer. */
  readonly tokenizer: Tokenizer;
  /** The data's own names of the classes. */
  readonly labels: readonly string[];
  /** How a text-to-text model tells the classes apart; null where a head does. */
  readonly labelWords: LabelWords | null;
  /** Tokens after which a text is cut. */
  readonly maxLength: number;
  /** Token ids of a text, as training put its texts to the model. */
  readonly encode: (text: string) => number[];
}

/** A finished run, opened again. */
export interface Tuned extends TunedModel {
  /** The run's folder. */
  readonly folder: string;
  /** What its folder says of it. */
  readonly run: Run;
}

/** Where a run found what it was made from, on the machine that it ran on. */
export interface Places {
  /** As `--base` named it. */
  readonly base: string;
  /** As `--data` named it; absent where the data was made by a program. */
  readonly data?: string;
  /** As `--start` named it; absent where there was none. */
  readonly start?: string;
}

const PLACES = "local.json";

/**
 * Where a run found what it was made from; null where that is not noted.
 *
 * @throws {Error} When the note cannot be read
 */
export async function readPlaces(folder: string): Promise<Places | null> {
  return await readShaped<Places>(`${folder}/${PLACES}`, placesShape);
}

/** Notes where a run's base and data lie, beside its description, which holds no path. */
export async function writePlaces(folder: string, places: Places): Promise<void> {
  await writeFileAtomic(`${folder}/${PLACES}`, JSON.stringify(places, null, 2) + "\n");
}

/**
 * Opens a finished run.
 *
 * @param folder The run's folder.
 * @param from The base's folder; by default where the run found it.
 * @throws Error where the run is not done or its base is not there, RangeError where the base is
 *   another one than the run's, TypeError where the run's weights do not fit.
 */
export async function openTuned(folder: string, from?: string): Promise<Tuned> {
  const run = await readRun(folder);
  if (run === null) throw new Error(`Cannot open run ${folder}: it has no run.json`);
  if (run.result === null) {
    throw new Error(
      `Cannot open run ${folder}: it has no result${
        run.error === null ? "" : ` (${run.error})`
      }; run its sweep again first`,
    );
  }
  const { cell } = run;
  const place = from ?? (await readPlaces(folder))?.base;
  if (place === undefined) {
    throw new Error(`Cannot open run ${folder}: it has no ${PLACES}; name its base with --base`);
  }
  const base = await openBase(place);
  if (base.digest !== cell.base.digest || base.tokenizerDigest !== cell.tokenizer.digest) {
    throw new RangeError(
      `Cannot open run ${folder}: it was made from ${cell.base.name} (${
        cell.base.digest.slice(0, 12)
      }), ${place} has ${base.digest.slice(0, 12)}; name the run's base with --base`,
    );
  }
  return { folder, run, ...await tunedModel(cell, base, (names) => readDelta(folder, names)) };
}

/**
 * Puts trained values into the model of a cell.
 *
 * @param base The cell's own.
 * @param read Values of some parameters, by name; asked for those that train.
 * @throws TypeError where the cell's method is unknown, and what `read` throws.
 */
export async function tunedModel(
  cell: Cell,
  base: Base,
  read: (trainable: readonly Parameter[]) => Promise<WeightValues>,
): Promise<TunedModel> {
  const { name, options } = cell.method;
  methodInfo(name, methods);
  const method = methods[name];
  const { labels } = cell.task;
  const head = method.needsHead || cell.task.head;
  const model = base.build(labels.length, head);
  const encode = (text: string) => base.tokenizer.encodeBare(text);
  const attached = attachMethod({ ...model, encode }, method, options);
  const words = cell.task.labelWords;
  const maxLength = Math.min(
    cell.settings.maxLength,
    (model.maxLength ?? Infinity) - attached.positions,
  );
  const start = startValues(cell, model, attached, await base.weights(labels.length, head));
  const values = overValues(start, await read(attached.trainable));
  return {
    cell,
    base,
    config: base.config,
    model,
    method,
    options,
    attached,
    values,
    tokenizer: base.tokenizer,
    labels,
    labelWords: model.textToText === undefined
      ? null
      : { words, ids: words.map((word) => base.tokenizer.encodeBare(word)) },
    maxLength,
    encode: (text) => base.tokenizer.encode(cell.task.prefix + text, maxLength),
  };
}

/** The base's values, and what the seed draws where it has none. */
function startValues(
  { seed }: Cell,
  { scope }: Model,
  { delta }: Attached,
  base: WeightValues,
): WeightValues {
  const drawn = new Map<string, Float32Array<ArrayBuffer>>();
  for (const parameter of [...scope.select(), ...delta.select()]) {
    if (!base.has(parameter.name)) {
      drawn.set(parameter.name, initialValues(parameter, seed, base));
    }
  }
  return overValues(base, drawn);
}

/** What a run trained, from its folder. */
async function readDelta(folder: string, trainable: readonly Parameter[]): Promise<WeightValues> {
  const values = new Map<string, Float32Array<ArrayBuffer>>();
  if (trainable.length === 0) return values;
  const file = await readSafetensors(`${folder}/delta.safetensors`);
  const held = new Set(file.names());
  const wrong = trainable.find(({ name, shape }) =>
    !held.has(name) || `${file.info(name).shape}` !== `${shape}`
  );
  if (wrong !== undefined || held.size !== trainable.length) {
    throw new TypeError(
      `Cannot open run ${folder}: delta.safetensors holds ${held.size} tensors, not the ${trainable.length} that ${
        wrong?.name ?? "the method"
      } asks for`,
    );
  }
  for (const { name } of trainable) values.set(name, await file.read(name));
  return values;
}
