/**
 * A whole model as a Hugging Face folder.
 *
 * @module
 */

import { writeFileAtomic } from "./atomic.ts";
import { familyOf, modelClass } from "./base_sizes.ts";
import { type BaseFacts, sortedJson } from "./delta.ts";
import { type Tensor, writeSafetensors } from "./safetensors.ts";

/** Bytes of weights in one file, as transformers splits them. */
const SHARD_BYTES = 5e9;

/**
 * `config.json` of a tuned model: the base's, with class, labels and padding as they were tuned.
 *
 * @param padId The token that pads; models that read a text's last token need it.
 */
export function modelConfig(base: BaseFacts, padId: number): Record<string, unknown> {
  const { _name_or_path: _, ...config } = base.config;
  const labels = base.labels;
  return {
    ...config,
    architectures: [modelClass(base)],
    pad_token_id: config.pad_token_id ?? padId,
    torch_dtype: "float32",
    ...base.textToText ? {} : {
      id2label: Object.fromEntries(labels.map((label, i) => [i, label])),
      label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
      num_labels: labels.length,
      // A T5's classes of transformers take none.
      ...familyOf(base) === "t5" ? {} : { problem_type: "single_label_classification" },
    },
  };
}

/** The name that transformers gives a parameter in the class of {@linkcode modelConfig}. */
export function modelName(base: BaseFacts, name: string): string {
  const inner = !base.textToText && familyOf(base) === "t5" && !base.head.includes(name);
  return inner ? `transformer.${name}` : name;
}

/**
 * Writes `config.json`, and `model.safetensors` or, above a size, shards with their index, into a
 * folder that exists.
 *
 * @param tensors Under this project's names; tied matrices once.
 * @param shardBytes The most that one file may hold; a larger tensor has one alone.
 * @throws Error if a file cannot be written.
 */
export async function writeModel(
  dir: string,
  base: BaseFacts,
  tensors: ReadonlyMap<string, Tensor>,
  padId: number,
  shardBytes: number = SHARD_BYTES,
): Promise<void> {
  await writeFileAtomic(`${dir}/config.json`, sortedJson(modelConfig(base, padId)));
  const shards = split(tensors, shardBytes)
    .map((shard) => new Map(shard.map(([name, tensor]) => [modelName(base, name), tensor])));
  const place = (i: number) =>
    shards.length === 1
      ? "model.safetensors"
      : `model-${padded(i + 1)}-of-${padded(shards.length)}.safetensors`;
  for (const [i, shard] of shards.entries()) {
    await writeSafetensors(`${dir}/${place(i)}`, shard, { format: "pt" });
  }
  if (shards.length === 1) return;
  const map = shards.flatMap((shard, i) => [...shard.keys()].map((name) => [name, place(i)]));
  await writeFileAtomic(
    `${dir}/model.safetensors.index.json`,
    sortedJson({
      metadata: { total_size: bytesOf([...tensors.values()]) },
      weight_map: Object.fromEntries(map),
    }),
  );
}

const padded = (count: number) => String(count).padStart(5, "0");

const bytesOf = (tensors: readonly Tensor[]) =>
  tensors.reduce((total, { data }) => total + data.byteLength, 0);

function split(tensors: ReadonlyMap<string, Tensor>, most: number): [string, Tensor][][] {
  const shards: [string, Tensor][][] = [[]];
  let held = 0;
  for (const [name, tensor] of tensors) {
    const { byteLength } = tensor.data;
    if (held > 0 && held + byteLength > most) {
      shards.push([]);
      held = 0;
    }
    shards[shards.length - 1].push([name, tensor]);
    held += byteLength;
  }
  return shards;
}
