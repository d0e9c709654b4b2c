/** Damaged weights and configurations: safetensors, shards, every family's config.json, deltas. */

import { openAdapterFolder } from "../../lib/formats/adapter_folder.ts";
import { adapterHubFiles, writeAdapterHub } from "../../lib/formats/adapterhub_writer.ts";
import { openAdapterHub } from "../../lib/formats/adapterhub.ts";
import type { ForeignDelta } from "../../lib/formats/delta.ts";
import { openWeights, readConfig } from "../../lib/formats/huggingface.ts";
import { openOpenDelta } from "../../lib/formats/opendelta.ts";
import { openOwnDelta, writeOwnDelta } from "../../lib/formats/own_delta.ts";
import { openPeft } from "../../lib/formats/peft.ts";
import { peftFiles, writePeft } from "../../lib/formats/peft_writer.ts";
import {
  encodeSafetensors,
  parseHeader,
  readSafetensors,
  type Tensor,
  type TensorInfo,
  writeSafetensors,
} from "../../lib/formats/safetensors.ts";
import { DTYPE_BYTES } from "../../lib/formats/safetensors_dtype.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import { initialValues, randomWeights } from "../../lib/train/initialize.ts";
import { loadAdapter } from "../../lib/train/load_adapter.ts";
import { baseFacts, trainedDelta } from "../../lib/train/trained_delta.ts";
import { bertConfig, gpt2Config, llamaConfig, t5Config, t5GatedConfig } from "../small_models.ts";
import { type Bytes, folderFor, fuzz, must } from "./check_reader.ts";
import { mutateBytes, mutatedJson, mutateJson, type Mutation } from "./mutations.ts";

const json = (value: unknown): Bytes => new TextEncoder().encode(JSON.stringify(value));

function joined(parts: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Damages a safetensors file in its bytes, or its header's JSON with the length that this then has. */
function mutateSafetensors(seed: Bytes, mutation: Mutation): Bytes {
  const [kind, place, value] = mutation;
  if (kind % 3 === 0 || seed.length < 8) return mutateBytes(seed, [kind >> 2, place, value]);
  const length = Number(new DataView(seed.buffer).getBigUint64(0, true));
  if (length > seed.length - 8) return mutateBytes(seed, mutation);
  let text: string;
  try {
    const header = new TextDecoder().decode(seed.subarray(8, 8 + length));
    text = mutatedJson(JSON.parse(header), [kind >> 2, place, value]);
  } catch {
    return mutateBytes(seed, mutation);
  }
  const bytes = new TextEncoder().encode(text);
  const start = new Uint8Array(8);
  new DataView(start.buffer).setBigUint64(0, BigInt(bytes.length), true);
  return joined([start, bytes, seed.subarray(8 + length)]);
}

const tensors = new Map([
  ["a.weight", { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
  ["b", { shape: [2], data: BigInt64Array.of(1n, -1n) }],
  ["c", { shape: [], data: Float64Array.of(0.5) }],
  ["0", { shape: [0, 4], data: new Float32Array(0) }],
  ["tail", { shape: [5], data: new Uint8Array(5) }],
]);
const safetensors = [
  joined(encodeSafetensors(tensors, { format: "pt", note: "é" })),
  joined(encodeSafetensors(new Map())),
];

function checkInfo({ shape, elements, dtype, begin, end }: TensorInfo, size: number): void {
  must(shape.reduce((a, b) => a * b, 1) === elements, "shape and elements differ");
  must(end - begin === elements * DTYPE_BYTES[dtype], "elements and bytes differ");
  must(begin >= 8 && end <= size, "a tensor lies outside the file");
}

fuzz({
  name: "safetensors header",
  seeds: safetensors,
  mutate: mutateSafetensors,
  read: (bytes) => {
    const { tensors, metadata } = parseHeader(bytes, bytes.length, "x.safetensors");
    let sum = 0;
    for (const info of tensors.values()) {
      checkInfo(info, bytes.length);
      sum += info.end - info.begin;
    }
    must(sum <= bytes.length - 8, "tensors have more bytes than the file");
    must(Object.values(metadata).every((one) => typeof one === "string"), "metadata not texts");
  },
});

const dir = folderFor("formats");
const folder = (name: string): string => {
  Deno.mkdirSync(`${dir}/${name}`);
  return `${dir}/${name}`;
};

const weights = folder("weights");
fuzz({
  name: "safetensors file",
  seeds: safetensors,
  mutate: mutateSafetensors,
  read: async (bytes) => {
    Deno.writeFileSync(`${weights}/model.safetensors`, bytes);
    const file = await readSafetensors(`${weights}/model.safetensors`);
    for (const name of file.names()) {
      const info = file.info(name);
      checkInfo(info, bytes.length);
      must((await file.readRaw(name)).length === info.end - info.begin, "another length");
      if (/^B?F/.test(info.dtype)) {
        must((await file.read(name)).length === info.elements, "another number of elements");
      }
    }
  },
});

const shards = folder("shards");
const shard = (...names: string[]) =>
  new Map(names.map((name) => [name, { shape: [1], data: Float32Array.of(1) }]));
await writeSafetensors(`${shards}/model-00001-of-00002.safetensors`, shard("a", "b"));
await writeSafetensors(`${shards}/model-00002-of-00002.safetensors`, shard("c", "__proto__"));
const index =
  `{"metadata":{"total_size":16},"weight_map":{"a":"model-00001-of-00002.safetensors",` +
  `"b":"model-00001-of-00002.safetensors","c":"model-00002-of-00002.safetensors",` +
  `"__proto__":"model-00002-of-00002.safetensors"}}`;
fuzz({
  name: "sharded index",
  seeds: [new TextEncoder().encode(index)],
  mutate: mutateJson,
  read: async (bytes) => {
    Deno.writeFileSync(`${shards}/model.safetensors.index.json`, bytes);
    const opened = await openWeights(shards);
    for (const name of opened.names()) must((await opened.read(name)).length === 1, "wrong tensor");
  },
});

/** Configurations as transformers writes them, with settings beyond those that are needed. */
const configs: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
  t5: [
    { ...t5Config, pad_token_id: 0, eos_token_id: 1, decoder_start_token_id: 0 },
    { ...t5GatedConfig, layer_norm_epsilon: 1e-6, relative_attention_num_buckets: 32 },
  ],
  bert: [{ ...bertConfig, hidden_act: "gelu", classifier_dropout: null, type_vocab_size: 2 }],
  gpt2: [{ ...gpt2Config, activation_function: "gelu_new", scale_attn_weights: true }],
  llama: [{ ...llamaConfig, attention_bias: false, rms_norm_eps: 1e-5, rope_theta: 5e5 }],
};
const home = folder("config");
for (const [family, seeds] of Object.entries(configs)) {
  fuzz({
    name: `config.json of ${family}`,
    seeds: seeds.map(json),
    mutate: mutateJson,
    read: async (bytes) => {
      Deno.writeFileSync(`${home}/config.json`, bytes);
      const model = buildModel(await readConfig(home), { classes: 2, head: false });
      for (const { name, shape } of model.scope.select()) {
        must(shape.every((one) => Number.isSafeInteger(one) && one > 0), `${name} is [${shape}]`);
      }
      must(Number.isSafeInteger(model.vocabulary), "no vocabulary");
    },
  });
}

/** A method's random delta on a small base, in the form of its writers. */
function delta(config: Record<string, unknown>, name: string, given: MethodOptions) {
  const model = buildModel(config, { classes: 2, head: true });
  const method = methods[name];
  const options = method.parse(given);
  const attached = attachMethod(model, method, options);
  const base = randomWeights(model.scope.select(), 1);
  const values = new Map(base);
  for (const parameter of [...attached.delta.select(), ...attached.trainable]) {
    if (!values.has(parameter.name)) {
      values.set(parameter.name, initialValues(parameter, 2, base));
    }
  }
  const facts = baseFacts("small", config, model, ["no", "yes"]);
  return { delta: trainedDelta({ model, method, options, attached, values }), facts };
}

/** Random values of a base, made once. */
const bases = new Map<unknown, ReturnType<typeof randomWeights>>();

/** Reads everything of a delta, and puts it into its base: what does not fit is refused. */
async function useDelta(
  opened: ForeignDelta,
  dir: string,
  config: Record<string, unknown>,
): Promise<void> {
  for (const name of opened.tensors.names()) {
    const { shape } = opened.tensors.info(name);
    const values = await opened.tensors.read(name);
    must(values.length === shape.reduce((a, b) => a * b, 1), `${name} has another size`);
    opened.foreignName(name);
  }
  const model = buildModel(config, { classes: 2, head: true });
  const base = bases.get(config) ?? randomWeights(model.scope.select(), 1);
  bases.set(config, base);
  await loadAdapter(model, dir, base);
}

/** Deltas in their folders, each with what opens it. */
const saved: { name: string; dir: string; config: Record<string, unknown>; file: string }[] = [];
const add = async (
  name: string,
  config: Record<string, unknown>,
  file: string,
  write: (dir: string) => Promise<unknown>,
) => {
  const dir = folder(name.replaceAll(" ", "_"));
  await write(dir);
  saved.push({ name, dir, config, file });
};
for (
  const [config, name, options] of [
    [bertConfig, "lora", { semantics: "peft", rank: 2 }],
    [llamaConfig, "ia3", { semantics: "peft" }],
    [llamaConfig, "soft_prompt", { semantics: "peft", tokens: 2 }],
    [gpt2Config, "prefix", { semantics: "peft", tokens: 2 }],
  ] as const
) {
  const made = delta(config, name, options);
  await add(
    `PEFT ${name}`,
    config,
    "adapter_config.json",
    (dir) => writePeft(dir, peftFiles(made.delta, made.facts)),
  );
}
const adapter = delta(bertConfig, "adapter", { semantics: "adapterhub", bottleneck: 3 });
await add(
  "AdapterHub",
  bertConfig,
  "adapter_config.json",
  (dir) => writeAdapterHub(dir, adapterHubFiles(adapter.delta, adapter.facts, "tuned")),
);
const own = delta(t5Config, "lora", { rank: 2 });
await add(
  "Tunegrid delta",
  t5Config,
  "tunegrid.json",
  (dir) => writeOwnDelta(dir, own.delta, { base: { name: "small", digest: "0".repeat(64) } }),
);
await add("OpenDelta", bertConfig, "delta_config.json", async (dir) => {
  // As thunlp/OpenDelta names adapters behind feed-forward blocks.
  const sizes = { down: [4, 12], up: [12, 4] };
  const tensors = [0, 1].flatMap((layer) =>
    Object.entries(sizes).flatMap(([part, [outs, ins]]): [string, Tensor][] => {
      const site = `bert.encoder.layer.${layer}.output.dense.adapter.modulelist.${part}_proj`;
      return [
        [`${site}.weight`, { shape: [outs, ins], data: new Float32Array(48) }],
        [`${site}.bias`, { shape: [outs], data: new Float32Array(outs) }],
      ];
    })
  );
  await writeSafetensors(`${dir}/delta.safetensors`, new Map(tensors));
  const config = { delta_type: "adapter", bottleneck_dim: 4, modified_modules: ["output.dense"] };
  await Deno.writeFile(`${dir}/delta_config.json`, json(config));
});

const openers: Readonly<Record<string, (dir: string) => Promise<ForeignDelta>>> = {
  PEFT: openPeft,
  AdapterHub: openAdapterHub,
  OpenDelta: openOpenDelta,
  Tunegrid: openOwnDelta,
};
for (const { name, dir, config, file } of saved) {
  const open = openers[name.split(" ")[0]];
  const whole = await Deno.readFile(`${dir}/${file}`);
  // The weights of one kind are of the same form as another's: fewer inputs each.
  const tensors = [...Deno.readDirSync(dir)].find(({ name }) =>
    /^(adapter|adapter_model|delta)\.safetensors$/.test(name)
  )!.name;
  const wholeTensors = await Deno.readFile(`${dir}/${tensors}`);
  fuzz({
    name: `${name}, ${file}`,
    seeds: [whole],
    mutate: mutateJson,
    read: async (bytes) => {
      Deno.writeFileSync(`${dir}/${file}`, bytes);
      await useDelta(await open(dir), dir, config);
    },
  });
  fuzz({
    name: `${name}, ${tensors}`,
    seeds: [wholeTensors],
    mutate: mutateSafetensors,
    read: async (bytes) => {
      Deno.writeFileSync(`${dir}/${file}`, whole);
      Deno.writeFileSync(`${dir}/${tensors}`, bytes);
      const opened = await openAdapterFolder(dir);
      must(opened !== null, "no delta found");
      await useDelta(opened!, dir, config);
    },
  });
}
