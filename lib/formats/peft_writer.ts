/**
 * Trained deltas as huggingface/peft saves them.
 *
 * @module
 */

import { writeFileAtomic } from "./atomic.ts";
import { baseSizes, familyOf } from "./base_sizes.ts";
import { type BaseFacts, type DeltaFiles, sortedJson, type TrainedDelta } from "./delta.ts";
import { HEADS, peftNames } from "./peft.ts";
import { type Tensor, writeSafetensors } from "./safetensors.ts";
import { moduleEnds } from "./target_modules.ts";

/** A delta in PEFT's terms, before its tensors are renamed. */
interface Described {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly notes?: readonly string[];
}

/**
 * `adapter_config.json` and the tensors of `adapter_model.safetensors` for a delta: fields that PEFT
 * 0.12 and 0.20 have in common, and PEFT's names.
 *
 * @throws TypeError where PEFT has nothing that computes the same.
 */
export function peftFiles(delta: TrainedDelta, base: BaseFacts): DeltaFiles {
  const { settings, tensors, notes = [] } = describe(delta, base);
  const task = taskType(base);
  const names = peftNames(delta.method, task);
  return {
    config: {
      auto_mapping: null,
      base_model_name_or_path: base.name,
      inference_mode: true,
      revision: null,
      task_type: task,
      ...settings,
    },
    tensors: new Map([...tensors].map(([name, tensor]) => [names.foreign(name), tensor])),
    notes,
  };
}

/** Writes them into a folder that exists. @throws Error if a file cannot be written. */
export async function writePeft(dir: string, { config, tensors }: DeltaFiles): Promise<void> {
  await writeFileAtomic(`${dir}/adapter_config.json`, sortedJson(config));
  await writeSafetensors(`${dir}/adapter_model.safetensors`, tensors, { format: "pt" });
}

function describe(delta: TrainedDelta, base: BaseFacts): Described {
  switch (delta.method) {
    case "lora":
      return describeLora(delta, base);
    case "ia3":
      return describeIa3(delta, base);
    case "soft_prompt":
      return describePrompt(delta, base);
    case "prefix":
      return describePrefix(delta, base);
    case "adapter":
      throw refused(
        delta,
        "PEFT has no bottleneck adapters",
        "--to adapterhub or --to safetensors",
      );
    default:
      throw refused(
        delta,
        "PEFT saves what it adds to a base, and this adds nothing",
        "--to huggingface or --to safetensors",
      );
  }
}

function refused({ method }: TrainedDelta, why: string, instead: string): TypeError {
  return new TypeError(`Cannot save ${method} for PEFT: ${why}; use ${instead}`);
}

function taskType(base: BaseFacts): string {
  if (base.textToText) return "SEQ_2_SEQ_LM";
  return familyOf(base) === "t5" ? "TOKEN_CLS" : "SEQ_CLS";
}

/** What LoRA and IA3 have in common: layers by their ends, and the head. */
function layerSettings(base: BaseFacts) {
  return {
    fan_in_fan_out: familyOf(base) === "gpt2",
    modules_to_save: base.head.length > 0 ? HEADS : null,
  };
}

function describeLora(delta: TrainedDelta, base: BaseFacts): Described {
  const { options } = delta;
  const pissa = options.init === "pissa";
  const rank = Number(options.rank) * (pissa ? 2 : 1);
  // Twice the rank under √ too: alpha / √rank is then written as a plain quotient.
  const scaling = Number(options.alpha) / Math.sqrt(Number(options.rank));
  const alpha = pissa
    ? options.rslora ? scaling * rank : 2 * Number(options.alpha)
    : Number(options.alpha);
  return {
    settings: {
      ...layerSettings(base),
      alpha_pattern: {},
      bias: "none",
      init_lora_weights: options.init === "gaussian" ? "gaussian" : true,
      layer_replication: null,
      layers_pattern: null,
      layers_to_transform: null,
      loftq_config: {},
      lora_alpha: alpha,
      lora_dropout: Number(options.dropout),
      megatron_config: null,
      megatron_core: "megatron.core",
      peft_type: "LORA",
      r: rank,
      rank_pattern: {},
      target_modules: moduleEnds(pathsOf(delta, ".lora_A.weight"), base.linear),
      use_dora: options.dora === true,
      use_rslora: options.rslora === true && !pissa,
    },
    tensors: pissa ? plainLora(delta) : delta.tensors,
    notes: pissa
      ? [
        `PiSSA is saved as a plain LoRA of rank ${rank} on the unchanged base: B·A − B₀·A₀ is ` +
        "[B, −B₀]·[A; A₀], with alpha raised so that the scaling stays",
      ]
      : [],
  };
}

/** Paths of the layers that have a parameter of some kind. */
function pathsOf({ tensors }: TrainedDelta, end: string): string[] {
  return [...tensors.keys()].filter((name) => name.endsWith(end))
    .map((name) => name.slice(0, -end.length));
}

/** s·(B·A − B₀·A₀) as s·B′·A′ with A′ = [A; A₀] and B′ = [B, −B₀]. */
function plainLora(delta: TrainedDelta): Map<string, Tensor> {
  const tensors = new Map(
    [...delta.tensors].filter(([name]) => !/\.lora_[AB]\.\w+$/.test(name)),
  );
  const valuesOf = (name: string) => delta.tensors.get(name)!.data as Float32Array;
  for (const path of pathsOf(delta, ".lora_A.weight")) {
    const [rank, inputs] = delta.tensors.get(`${path}.lora_A.weight`)!.shape;
    const [outputs] = delta.tensors.get(`${path}.lora_B.weight`)!.shape;
    const [a, b] = ["A", "B"].map((part) =>
      ["weight", "initial"].map((kind) => valuesOf(`${path}.lora_${part}.${kind}`))
    );
    const down = new Float32Array(2 * rank * inputs);
    down.set(a[0]);
    down.set(a[1], rank * inputs);
    const up = new Float32Array(outputs * 2 * rank);
    for (let output = 0; output < outputs; output++) {
      const from = output * rank;
      up.set(b[0].subarray(from, from + rank), 2 * from);
      up.set(b[1].subarray(from, from + rank).map((value) => -value), 2 * from + rank);
    }
    tensors.set(`${path}.lora_A.weight`, { shape: [2 * rank, inputs], data: down });
    tensors.set(`${path}.lora_B.weight`, { shape: [outputs, 2 * rank], data: up });
  }
  return tensors;
}

function describeIa3(delta: TrainedDelta, base: BaseFacts): Described {
  const paths = pathsOf(delta, ".ia3_l");
  const isInput = (path: string) => delta.tensors.get(`${path}.ia3_l`)!.shape[0] === 1;
  const second = moduleEnds(paths.filter(isInput), base.linear);
  const first = moduleEnds(paths.filter((path) => !isInput(path)), base.linear);
  return {
    settings: {
      ...layerSettings(base),
      feedforward_modules: second,
      init_ia3_weights: true,
      peft_type: "IA3",
      target_modules: [...first, ...second].sort(),
    },
    tensors: delta.tensors,
  };
}

/** What prompts and prefixes have in common. */
function virtualSettings(delta: TrainedDelta, base: BaseFacts, submodules: number) {
  const { width, layers, heads } = baseSizes(base);
  if (taskType(base) === "TOKEN_CLS") {
    throw refused(
      delta,
      "on a T5 encoder under a head PEFT scores what it puts in front as well",
      "--to safetensors",
    );
  }
  return {
    num_attention_heads: heads,
    num_layers: layers,
    num_transformer_submodules: submodules,
    num_virtual_tokens: Number(delta.options.tokens),
    token_dim: width,
  };
}

function describePrompt(delta: TrainedDelta, base: BaseFacts): Described {
  const [rows] = delta.tensors.get("prompt_embeddings")!.shape;
  const submodules = rows / Number(delta.options.tokens);
  if (submodules !== 1 && !base.textToText) {
    throw refused(
      delta,
      `with ${submodules} submodules PEFT feeds all ${rows} rows where there is one stack`,
      "--to safetensors",
    );
  }
  return {
    settings: {
      ...virtualSettings(delta, base, submodules),
      peft_type: "PROMPT_TUNING",
      // How a trained prompt started changes nothing, and PEFT's names for it differ by version.
      prompt_tuning_init: "RANDOM",
      prompt_tuning_init_text: null,
      tokenizer_kwargs: null,
      tokenizer_name_or_path: null,
    },
    tensors: delta.tensors,
    notes: pooledAtTheEnd(base)
      ? [
        "PEFT gives the model embeddings alone, so that transformers cannot see padding and reads " +
        "the very last position: put texts to it one at a time, or batches of one length",
      ]
      : [],
  };
}

/** Whether transformers looks for padding in the token ids to find a text's last token. */
function pooledAtTheEnd(base: BaseFacts): boolean {
  return ["gpt2", "llama"].includes(familyOf(base));
}

function describePrefix(delta: TrainedDelta, base: BaseFacts): Described {
  const { layers, heads, keyHeads, width } = baseSizes(base);
  const own = delta.options.semantics === "own";
  if (own && familyOf(base) === "t5") {
    throw refused(
      delta,
      "its prefix reaches a T5's decoder alone, and own semantics every stack",
      "--to safetensors, or train it with semantics=peft",
    );
  }
  const tokenDim = width / heads * keyHeads;
  return {
    settings: {
      ...virtualSettings(delta, base, base.textToText ? 2 : 1),
      encoder_hidden_size: tokenDim,
      num_attention_heads: keyHeads,
      peft_type: "PREFIX_TUNING",
      prefix_projection: false,
      token_dim: tokenDim,
    },
    tensors: own ? prefixTable(delta, layers) : delta.tensors,
  };
}

/** Keys and values of every layer as PEFT's one table: layer i has entries 2i and 2i + 1. */
function prefixTable(delta: TrainedDelta, layers: number): Map<string, Tensor> {
  const parts: Tensor[] = [];
  const tensors = new Map<string, Tensor>();
  for (const [name, tensor] of delta.tensors) {
    if (/\.prefix_(keys|values)$/.test(name)) parts.push(tensor);
    else tensors.set(name, tensor);
  }
  const [tokens, width] = parts[0].shape;
  if (parts.length !== 2 * layers) {
    throw new TypeError(
      `Cannot save prefix for PEFT: ${parts.length} keys and values, not two for each of ${layers} layers`,
    );
  }
  const data = new Float32Array(tokens * parts.length * width);
  parts.forEach((part, entry) => {
    const values = part.data as Float32Array;
    for (let token = 0; token < tokens; token++) {
      const row = values.subarray(token * width, (token + 1) * width);
      data.set(row, (token * parts.length + entry) * width);
    }
  });
  return tensors.set("prompt_embeddings", { shape: [tokens, parts.length * width], data });
}
