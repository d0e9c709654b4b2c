/**
 * Names for what lies elsewhere: published bases and data that a local folder stands for.
 *
 * @module
 */

import type { RepositoryKind } from "../hub/repository.ts";
import { findSnapshot } from "../hub/snapshot.ts";
import type { RawConfig } from "../models/config.ts";
import { knownConfigs } from "../models/known_configs.ts";

/** A base or data set on the Hugging Face Hub at one revision, written `hf:ID@REVISION`. */
export interface HubBase {
  readonly id: string;
  readonly revision: string;
}

/** The text that stands for a base of the Hub. */
export function hubBase({ id, revision }: HubBase): string {
  return `hf:${id}@${revision}`;
}

/** The base or data set of the Hub that a text names; null where it is a folder. */
export function parseHubBase(text: string): HubBase | null {
  const [, id, revision] = /^hf:([\w.-]+\/[\w.-]+)@([\w.-]+)$/.exec(text) ?? [];
  return id === undefined ? null : { id, revision };
}

/** The known configuration of a base of the Hub; undefined where there is none. */
export function hubConfig({ id }: HubBase): RawConfig | undefined {
  return knownConfigs[id.split("/").pop()!];
}

/**
 * The folder of a base or data set of the Hub that was fetched whole; null where it was not. Nothing
 * is downloaded.
 */
export function fetchedFolder(
  kind: RepositoryKind,
  { id, revision }: HubBase,
): Promise<string | null> {
  return findSnapshot({ kind, id }, revision);
}

/** Says how to come by a base that is not here. */
export function missingBase({ id, revision }: HubBase): Error {
  return new Error(
    `Cannot open base ${id}: its weights are not here; run ./tunegrid fetch ${id} --revision ` +
      `${revision}, or name a folder with config.json, model.safetensors, tokenizer.json and ` +
      `tokenizer_config.json by --base, or look at the plan with --dry-run`,
  );
}

/** Says how to come by a data set of the Hub that is not here. */
export function missingHubData({ id, revision }: HubBase): Error {
  return new Error(
    `Cannot open data ${id}: it is not here; run ./tunegrid fetch ${id} --data --revision ` +
      `${revision}, or name a folder by --data`,
  );
}

/** Published data: its size, and where it comes from. */
export interface PublishedData {
  readonly name: string;
  readonly labels: readonly string[];
  /** Labelled examples of its files. */
  readonly train: number;
  readonly validation: number;
  readonly source: string;
}

/** GLUE's SST-2 (Socher et al., 2013; Wang et al., 2019), as `train.tsv` and `dev.tsv`. */
export const SST2 = "glue:SST-2";

const publishedData: Readonly<Record<string, PublishedData>> = {
  [SST2]: {
    name: "SST-2",
    labels: ["0", "1"],
    train: 67_349,
    validation: 872,
    source: "https://dl.fbaipublicfiles.com/glue/data/SST-2.zip",
  },
};

/** The published data that a text names; null where it is a folder or file. */
export function parsePublishedData(text: string): PublishedData | null {
  return Object.hasOwn(publishedData, text) ? publishedData[text] : null;
}

/** Says how to come by data that is not here. */
export function missingData({ name, source }: PublishedData): Error {
  return new Error(
    `Cannot open data ${name}: it is not here, and nothing is downloaded; unpack ${source} and ` +
      `name the folder (or, where the experiment splits it itself, train.tsv) with --data, ` +
      `or look at the plan with --dry-run`,
  );
}

/** Whether a text names what a local folder must stand for. */
export function isReference(text: string): boolean {
  return parseHubBase(text) !== null || parsePublishedData(text) !== null;
}
