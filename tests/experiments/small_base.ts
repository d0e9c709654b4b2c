/**
 * Small bases of the published architectures: a seed's weights under a real tokenizer, in a folder
 * as Hugging Face writes it.
 *
 * @module
 */

import { writeSafetensors } from "../../lib/formats/safetensors.ts";
import type { RawConfig } from "../../lib/models/config.ts";
import { buildModel } from "../../lib/models/index.ts";
import { knownConfigs } from "../../lib/models/known_configs.ts";
import { randomWeights } from "../../lib/train/initialize.ts";

/** The published configurations, but for widths and depths; the real tokenizers' vocabularies. */
export const smallConfigs: Readonly<Record<"t5" | "bert" | "gpt2", RawConfig>> = {
  t5: {
    ...knownConfigs["t5-small"],
    d_model: 32,
    d_kv: 8,
    d_ff: 64,
    num_heads: 4,
    num_layers: 2,
    num_decoder_layers: 2,
  },
  bert: {
    ...knownConfigs["bert-tiny"],
    hidden_size: 32,
    intermediate_size: 64,
    num_attention_heads: 4,
  },
  gpt2: { ...knownConfigs["gpt2"], n_embd: 32, n_head: 4, n_layer: 2 },
};

/** Writes such a base into an existing folder. */
export async function writeSmallBase(
  folder: string,
  family: keyof typeof smallConfigs,
  fixtures: string,
): Promise<void> {
  const config = smallConfigs[family];
  const model = buildModel(config, { classes: 2, head: false });
  // The head is not of the base: a run draws it by its own seed.
  const parameters = model.scope.select((name) => !model.head.includes(name));
  const values = randomWeights(parameters, 1);
  await writeSafetensors(
    `${folder}/model.safetensors`,
    new Map(
      parameters.map(({ name, shape }) => [name, { shape: [...shape], data: values.get(name)! }]),
    ),
  );
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(`${fixtures}/data/tokenizer-${family}/${name}`, `${folder}/${name}`);
  }
}
