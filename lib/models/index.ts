/**
 * The model families, by the `model_type` of a `config.json`.
 *
 * @module
 */

import { bert, bertConfig } from "./bert.ts";
import { type RawConfig, shown } from "./config.ts";
import { gpt2, gpt2Config } from "./gpt2.ts";
import { llama, llamaConfig } from "./llama.ts";
import type { Model } from "./model.ts";
import { t5, t5Config } from "./t5.ts";

/** A model for a task: classification into some classes, or text-to-text where the family has it. */
export type Build = (config: RawConfig, task: ModelTask) => Model;

/** What a model is built for. */
export interface ModelTask {
  /** Number of classes. */
  readonly classes: number;
  /** Whether to classify by a head where the family could do it text-to-text. */
  readonly head: boolean;
}

/** Every family. */
export const families: Readonly<Record<string, Build>> = {
  bert: (config, { classes }) => bert(bertConfig(config), classes),
  gpt2: (config, { classes }) => gpt2(gpt2Config(config), classes),
  llama: (config, { classes }) => llama(llamaConfig(config), classes),
  t5: (config, { classes, head }) => t5(t5Config(config), head ? classes : null),
};

/**
 * Builds the model that a `config.json` describes.
 *
 * @throws TypeError if its `model_type` is unknown, or a field does not fit.
 */
export function buildModel(config: RawConfig, task: ModelTask): Model {
  const family = config.model_type;
  if (typeof family !== "string" || !Object.hasOwn(families, family)) {
    throw new TypeError(
      `Cannot build model: model_type ${shown(family)} is not supported; use ${
        Object.keys(families).join(", ")
      }`,
    );
  }
  return families[family](config, task);
}
