/**
 * Trained deltas as other libraries save them: what their readers have in common.
 *
 * @module
 */

import { isFile } from "./huggingface.ts";
import { readSafetensors, type Tensor, type TensorInfo } from "./safetensors.ts";
import { shown } from "./strict_json.ts";

/** A kind of file, model or method that this project cannot use; a caller may pass over it. */
export class UnsupportedError extends TypeError {
  override name = "UnsupportedError";
}

/** Tensors under this project's parameter names. */
export interface DeltaTensors {
  names(): string[];
  has(name: string): boolean;
  info(name: string): TensorInfo;
  read(name: string): Promise<Float32Array<ArrayBuffer>>;
}

/** A method with its options, as this project has them. */
export interface DeltaMethod {
  readonly method:
    | "lora"
    | "soft_prompt"
    | "adapter"
    | "prefix"
    | "ia3"
    | "full"
    | "head"
    | "bitfit"
    | "zero_shot";
  readonly options: Readonly<Record<string, number | string | boolean>>;
}

/** A delta that another library saved. */
export interface ForeignDelta extends DeltaMethod {
  readonly tensors: DeltaTensors;
  /** The other library's name of a parameter. */
  readonly foreignName: (name: string) => string;
}

/** A trained delta, ready to be saved. */
export interface TrainedDelta extends DeltaMethod {
  /**
   * Values under this project's names: what the method added, its constants among them, in the order
   * of the model's layers; and what of the base it trained.
   */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** What files say of the base that a delta belongs to. */
export interface BaseFacts {
  /** Its id on the Hugging Face Hub, or a folder's name. */
  readonly name: string;
  /** Its `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Whether it answers in words; otherwise it classifies by a head. */
  readonly textToText: boolean;
  /** Module paths of all its linear maps. */
  readonly linear: readonly string[];
  /** Names of the head's parameters. */
  readonly head: readonly string[];
  /** Names of the classes, in their order. */
  readonly labels: readonly string[];
}

/** The contents of a saved delta's two files. */
export interface DeltaFiles {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** What a reader of the files should know: where they say it in another way than the run did. */
  readonly notes: readonly string[];
}

/** Parameter names of another library, both ways. */
export interface NameMap {
  /** This project's name. @throws TypeError if it is not a name that the library gives. */
  readonly own: (foreign: string) => string;
  /** The library's name. */
  readonly foreign: (own: string) => string;
}

/**
 * Opens a safetensors file under translated names.
 *
 * @param names The translation, or what makes it of the file's names.
 * @throws Error where it cannot be read, TypeError naming a tensor that has no translation.
 */
export async function openDelta(
  path: string,
  names: NameMap | ((foreign: readonly string[]) => NameMap),
): Promise<DeltaTensors> {
  if (!await isFile(path)) {
    throw new Error(`Cannot read ${path}: no such file, but the configuration beside needs it`);
  }
  const file = await readSafetensors(path);
  const { own } = typeof names === "function" ? names(file.names()) : names;
  const foreign = new Map(file.names().map((name) => [own(name), name]));
  const at = (name: string) => foreign.get(name) ?? name;
  return {
    names: () => [...foreign.keys()].sort(),
    has: (name) => foreign.has(name),
    info: (name) => file.info(at(name)),
    read: (name) => file.read(at(name)),
  };
}

/** Tensors of two files as those of one. */
export function joinTensors(first: DeltaTensors, second: DeltaTensors): DeltaTensors {
  const of = (name: string) => second.has(name) ? second : first;
  return {
    names: () => [...first.names(), ...second.names()].sort(),
    has: (name) => first.has(name) || second.has(name),
    info: (name) => of(name).info(name),
    read: (name) => of(name).read(name),
  };
}

/** JSON as Python's libraries write it: two spaces, keys sorted at every depth. */
export function sortedJson(value: unknown): string {
  const sorted = (_: string, one: unknown) =>
    typeof one === "object" && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => a < b ? -1 : 1))
      : one;
  return JSON.stringify(value, sorted, 2) + "\n";
}

/** Settings of a configuration file, each with what it may be. */
export interface SettingRules {
  /** Settings that are read elsewhere, or that change no result. */
  readonly free: readonly string[];
  /** Settings that must be one of some values, where they are given. */
  readonly fixed: Readonly<Record<string, readonly unknown[]>>;
}

/**
 * Refuses settings that would change a result in a way this project does not have: those off their
 * fixed values, and any other setting that is not empty (null, false, 0, "", [] or {}).
 *
 * @throws TypeError naming file, setting and value.
 */
export function checkSettings(
  file: string,
  settings: Readonly<Record<string, unknown>>,
  { free, fixed }: SettingRules,
): void {
  for (const [key, value] of Object.entries(settings)) {
    if (free.includes(key)) continue;
    const allowed = Object.hasOwn(fixed, key) ? fixed[key] : undefined;
    const fits = allowed === undefined
      ? isEmpty(value)
      : allowed.some((one) => JSON.stringify(one) === JSON.stringify(value));
    if (fits) continue;
    const instead = allowed === undefined
      ? "leave it out"
      : `only ${allowed.map((one) => JSON.stringify(one)).join(" or ")}`;
    throw new TypeError(
      `Cannot use ${file}: ${key} ${shown(value)} is not supported, ${instead}`,
    );
  }
}

function isEmpty(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return !value;
}

/** A setting that is a number for which `holds` is true. @throws TypeError with the rule. */
export function numberSetting(
  file: string,
  key: string,
  value: unknown,
  rule: string,
  holds: (value: number) => boolean,
): number {
  if (typeof value === "number" && Number.isFinite(value) && holds(value)) return value;
  throw new TypeError(
    `Cannot use ${file}: ${key} must be ${rule}, found ${shown(value)}`,
  );
}
