/**
 * Adapters as huggingface/peft saves them: `adapter_config.json`, `adapter_model.safetensors`.
 *
 * @module
 */

import {
  checkSettings,
  type DeltaMethod,
  type ForeignDelta,
  type NameMap,
  numberSetting,
  openDelta,
  UnsupportedError,
} from "./delta.ts";
import { readJsonFile } from "./huggingface.ts";
import { shown } from "./strict_json.ts";

const CONFIG = "adapter_config.json";

/** Kinds of `peft_type` that can be read. */
const KINDS = ["IA3", "LORA", "PREFIX_TUNING", "PROMPT_TUNING"] as const;

/** Fields of every configuration that say nothing about the result. */
const COMMON = [
  "auto_mapping",
  "base_model_name_or_path",
  "inference_mode",
  "peft_type",
  "peft_version",
  "revision",
  "task_type",
];

/** Names under which PEFT trains a classification head whole. */
export const HEADS: readonly string[] = ["classifier", "score"];

/** What transformers puts before a T5 encoder's parameters where a head stands beside it. */
const T5_INNER = "transformer.";

const wholeAboveZero = (value: number) => Number.isSafeInteger(value) && value >= 1;

/**
 * The method that an `adapter_config.json` of PEFT describes.
 *
 * @param file The configuration's name, for messages.
 * @throws UnsupportedError if its `peft_type` is not supported.
 * @throws TypeError naming a setting that is malformed or not supported.
 */
export function peftMethod(
  config: Readonly<Record<string, unknown>>,
  file: string = CONFIG,
): DeltaMethod {
  switch (peftKind(config, file)) {
    case "LORA":
      return loraMethod(config, file);
    case "PROMPT_TUNING":
      return promptMethod(config, file);
    case "PREFIX_TUNING":
      return prefixMethod(config, file);
    case "IA3":
      return ia3Method(config, file);
  }
}

function peftKind(
  { peft_type: kind }: Readonly<Record<string, unknown>>,
  file: string,
): typeof KINDS[number] {
  const found = KINDS.find((one) => one === kind);
  if (found !== undefined) return found;
  throw new UnsupportedError(
    `Cannot use ${file}: peft_type ${shown(kind)} is not supported, only ${
      KINDS.slice(0, -1).join(", ")
    } and ${KINDS.at(-1)}`,
  );
}

function loraMethod(config: Readonly<Record<string, unknown>>, file: string): DeltaMethod {
  checkSettings(file, config, {
    free: [
      ...COMMON,
      "init_lora_weights",
      "lora_alpha",
      "lora_dropout",
      "megatron_core",
      "modules_to_save",
      "qalora_group_size",
      "r",
      "runtime_config",
      "target_modules",
      "use_dora",
      "use_rslora",
    ],
    fixed: { bias: ["none"], fan_in_fan_out: [false, true] },
  });
  checkHeads(config, file);
  const { r = 8, lora_alpha: alpha = 8, lora_dropout: dropout = 0 } = config;
  return {
    method: "lora",
    options: {
      semantics: "peft",
      rank: numberSetting(file, "r", r, "a whole number above 0", wholeAboveZero),
      alpha: numberSetting(file, "lora_alpha", alpha, "a number above 0", (value) => value > 0),
      dropout: numberSetting(
        file,
        "lora_dropout",
        dropout,
        "a number of at least 0 and below 1",
        (value) => value >= 0 && value < 1,
      ),
      targets: moduleNames(config, "target_modules", file).join("+"),
      rslora: flagSetting(config, "use_rslora", file),
      dora: flagSetting(config, "use_dora", file),
      init: initOf(config.init_lora_weights ?? true, file),
    },
  };
}

/** How A and B started; of a trained LoRA it matters only where the base lost what they hold. */
function initOf(setting: unknown, file: string): string {
  if (typeof setting === "boolean") return "default";
  if (setting === "gaussian" || setting === "pissa") return setting;
  throw new TypeError(
    `Cannot use ${file}: init_lora_weights ${shown(setting)} is not supported, only ` +
      'true, false, "gaussian" or "pissa": other starts change the base in ways of their own',
  );
}

function flagSetting(
  config: Readonly<Record<string, unknown>>,
  key: string,
  file: string,
): boolean {
  const value = config[key] ?? false;
  if (typeof value === "boolean") return value;
  throw new TypeError(
    `Cannot use ${file}: ${key} must be true or false, found ${shown(value)}`,
  );
}

/** Refuses modules that are trained whole, but for classification heads. */
function checkHeads(config: Readonly<Record<string, unknown>>, file: string): void {
  const modules = config.modules_to_save ?? [];
  if (!Array.isArray(modules)) {
    throw new TypeError(
      `Cannot use ${file}: modules_to_save must be a list of module names, found ${shown(modules)}`,
    );
  }
  for (const name of modules) {
    if (HEADS.includes(name)) continue;
    throw new TypeError(
      `Cannot use ${file}: modules_to_save ${shown(name)} is not supported, only ${
        HEADS.join(" and ")
      }`,
    );
  }
}

function moduleNames(
  config: Readonly<Record<string, unknown>>,
  key: string,
  file: string,
): string[] {
  const names = config[key];
  const isName = (name: unknown) => typeof name === "string" && /^[\w.]{1,200}$/.test(name);
  if (Array.isArray(names) && names.length > 0 && names.every(isName)) return names;
  throw new TypeError(
    `Cannot use ${file}: ${key} must be a list of module names, found ${shown(names)}`,
  );
}

function ia3Method(config: Readonly<Record<string, unknown>>, file: string): DeltaMethod {
  checkSettings(file, config, {
    free: [
      ...COMMON,
      "feedforward_modules",
      "init_ia3_weights",
      "modules_to_save",
      "target_modules",
    ],
    fixed: { fan_in_fan_out: [false, true] },
  });
  checkHeads(config, file);
  return {
    method: "ia3",
    options: {
      semantics: "peft",
      targets: moduleNames(config, "target_modules", file).join("+"),
      feedforward: moduleNames(config, "feedforward_modules", file).join("+"),
    },
  };
}

/** Settings of PEFT's prompts and prefixes that follow from the model, or change no trained result. */
const PROMPT_SETTINGS = [
  ...COMMON,
  "modules_to_save",
  "num_attention_heads",
  "num_layers",
  "num_transformer_submodules",
  "num_virtual_tokens",
  "token_dim",
];

function promptMethod(config: Readonly<Record<string, unknown>>, file: string): DeltaMethod {
  checkSettings(file, config, {
    free: [
      ...PROMPT_SETTINGS,
      "prompt_tuning_init",
      "prompt_tuning_init_text",
      "tokenizer_kwargs",
      "tokenizer_name_or_path",
    ],
    fixed: {},
  });
  const submodules = config.num_transformer_submodules ??
    (config.task_type === "SEQ_2_SEQ_LM" ? 2 : 1);
  if (submodules !== 1 && submodules !== 2) {
    throw new TypeError(
      `Cannot use ${file}: num_transformer_submodules must be 1 or 2, found ${shown(submodules)}`,
    );
  }
  const options = { semantics: "peft", tokens: virtualTokens(config, file), submodules };
  return { method: "soft_prompt", options };
}

function prefixMethod(config: Readonly<Record<string, unknown>>, file: string): DeltaMethod {
  // With a projection, the file holds the network that makes the prefix.
  checkSettings(file, config, {
    free: [...PROMPT_SETTINGS, "encoder_hidden_size"],
    fixed: { prefix_projection: [false] },
  });
  return {
    method: "prefix",
    options: { semantics: "peft", tokens: virtualTokens(config, file) },
  };
}

function virtualTokens(config: Readonly<Record<string, unknown>>, file: string): number {
  const { num_virtual_tokens: tokens } = config;
  const key = "num_virtual_tokens";
  return numberSetting(file, key, tokens, "a whole number above 0", wholeAboveZero);
}

/**
 * PEFT's parameter names: `base_model.model.` before the path in the base model, for prompts
 * `base_model.` alone, and `prompt_embeddings` bare.
 *
 * @param taskType PEFT's `task_type`: with `TOKEN_CLS` the names are those of a T5 encoder under a
 *   head, which transformers calls `transformer`.
 */
export function peftNames(method: DeltaMethod["method"], taskType?: unknown): NameMap {
  const virtual = method === "soft_prompt" || method === "prefix";
  const prefix = virtual ? "base_model." : "base_model.model.";
  const inner = taskType === "TOKEN_CLS" ? T5_INNER : "";
  const bare = "prompt_embeddings";
  const isHead = (name: string) => HEADS.some((head) => name.startsWith(`${head}.`));
  return {
    own: (foreign) => {
      if (foreign === bare) return bare;
      if (foreign.startsWith(prefix)) {
        const name = foreign.slice(prefix.length);
        if (isHead(name)) return name;
        if (name.startsWith(inner)) return name.slice(inner.length);
      }
      throw new TypeError(
        `Cannot use tensor ${shown(foreign)}: names begin with ${prefix}${inner} here`,
      );
    },
    foreign: (own) => own === bare ? bare : prefix + (isHead(own) ? "" : inner) + own,
  };
}

/**
 * Opens a folder that PEFT saved.
 *
 * @throws Error where a file is missing, TypeError or {@linkcode UnsupportedError} as
 *   {@linkcode peftMethod} does, or naming a tensor whose name is not one of PEFT's.
 */
export async function openPeft(dir: string): Promise<ForeignDelta> {
  const file = `${dir}/${CONFIG}`;
  const config = await readJsonFile(file);
  const described = peftMethod(config, file);
  const names = peftNames(described.method, config.task_type);
  const tensors = await openDelta(`${dir}/adapter_model.safetensors`, names);
  return { ...described, tensors, foreignName: names.foreign };
}
