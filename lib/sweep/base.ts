/**
 * The base model of a sweep: configuration, weights and tokenizer, from a folder or embedded.
 *
 * @module
 */

import { loadTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import { digestJson } from "../formats/digest.ts";
import { openModelFolder } from "../formats/huggingface.ts";
import { countParameters } from "../layers/scope.ts";
import type { RawConfig } from "../models/config.ts";
import { buildModel } from "../models/index.ts";
import type { Model } from "../models/model.ts";
import {
  isPartSource,
  loadWeights,
  matchTensors,
  streamWeights,
  type TensorSource,
} from "../train/load_weights.ts";
import type { WeightValues } from "../train/initialize.ts";
import { fetchedFolder, missingBase, parseHubBase } from "./references.ts";

/** A base, opened. */
export interface Base {
  /** Folder name, name on the Hub without its owner, or `embedded`. */
  readonly name: string;
  /** What {@linkcode openBase} was given; the name where it was made of parts. */
  readonly place: string;
  /** The folder that it was read from; null where there is none. */
  readonly folder: string | null;
  /** SHA-256 of configuration and weights, hexadecimal. */
  readonly digest: string;
  /** SHA-256 of the tokenizer's file, hexadecimal. */
  readonly tokenizerDigest: string;
  /** Text to token ids and back. */
  readonly tokenizer: Tokenizer;
  /** Its `config.json`. */
  readonly config: RawConfig;
  /**
   * A fresh model for some task; each run attaches its method to its own.
   *
   * @param classes Number of classes.
   * @param head Whether to classify by a head where the family could do it text-to-text.
   */
  build(classes: number, head: boolean): Model;
  /**
   * Checks, without reading them, that its tensors are those of such a model.
   *
   * @throws TypeError naming every tensor that does not fit.
   */
  check(classes: number, head: boolean): void;
  /**
   * Values of such a model's parameters, f32 by name: read once and kept, or, where they are more than
   * {@linkcode KEPT_BYTES}, read from the files each time that one of them is asked for.
   */
  weights(classes: number, head: boolean): Promise<WeightValues>;
}

/** Bytes of f32 up to which a base's values are kept in memory, for one cell after another. */
export const KEPT_BYTES = 512 * 2 ** 20;

/** The name that stands for the base that comes with the project. */
export const EMBEDDED = "embedded";

/**
 * Opens a base.
 *
 * @param name A folder as Hugging Face writes it, `hf:ID@REVISION` that was fetched, or `embedded`.
 * @throws Error, TypeError or RangeError saying what of the folder is missing or does not fit.
 */
export async function openBase(name: string): Promise<Base> {
  if (name === EMBEDDED) return await openEmbeddedBase();
  const hub = parseHubBase(name);
  const dir = hub === null ? name : await fetchedFolder("model", hub);
  if (dir === null) throw missingBase(hub!);
  const folder = await openModelFolder(dir);
  if (!folder.hasTokenizer) {
    throw new Error(`Cannot open base ${name}: it has no tokenizer.json`);
  }
  return makeBase({
    name: (hub?.id ?? name).replace(/\/+$/, "").split("/").pop()!,
    place: name,
    folder: dir,
    config: folder.config,
    source: folder.weights,
    digest: digestJson({ config: folder.config, weights: await folder.weights.digest() }),
    tokenizer: await loadTokenizer(dir),
    tokenizerDigest: await folder.tokenizerDigest(),
  });
}

async function openEmbeddedBase(): Promise<Base> {
  const { embeddedBase } = await import("../data/embedded/base.ts");
  const { config, source, tokenizer, digest, tokenizerDigest } = embeddedBase();
  return makeBase({ name: EMBEDDED, config, source, tokenizer, digest, tokenizerDigest });
}

/** What a base is made of. */
export interface BaseParts {
  /** What results call it. */
  readonly name: string;
  /** What opens it again; the name unless given. */
  readonly place?: string;
  /** The folder that it was read from; none unless given. */
  readonly folder?: string;
  /** Content of its `config.json`. */
  readonly config: RawConfig;
  /** Its weights under Hugging Face's names. */
  readonly source: TensorSource;
  /** Its tokenizer. */
  readonly tokenizer: Tokenizer;
  /** Tells it from every other base; for files a SHA-256. */
  readonly digest: string;
  /** Tells its tokenizer from every other. */
  readonly tokenizerDigest: string;
}

/**
 * A base from its parts.
 *
 * @throws RangeError where the tokenizer has ids that the embedding lacks, TypeError where the
 *   configuration does not fit.
 */
export function makeBase({ config, source, ...rest }: BaseParts): Base {
  const build = (classes: number, head: boolean) => buildModel(config, { classes, head });
  rest.tokenizer.checkFits(build(2, false).vocabulary);
  const loaded = new Map<string, Promise<WeightValues>>();
  return {
    ...rest,
    place: rest.place ?? rest.name,
    folder: rest.folder ?? null,
    config,
    build,
    check: (classes, head) => void matchTensors(build(classes, head), source),
    weights: (classes, head) => {
      const key = `${classes} ${head}`;
      const known = loaded.get(key) ?? readWeights(build(classes, head), source);
      loaded.set(key, known);
      return known;
    },
  };
}

async function readWeights(model: Model, source: TensorSource): Promise<WeightValues> {
  const bytes = 4 * countParameters(model.scope.select());
  return bytes > KEPT_BYTES && isPartSource(source)
    ? streamWeights(model, source)
    : await loadWeights(model, source);
}
