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

const CONFIG = "adapter_config.json";

/** Kinds of `peft_type` that can be read. */
const KINDS = ["LORA", "PROMPT_TUNING"] as const;

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
const HEADS = ["classifier", "score"];

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
  }
}

function peftKind(
  { peft_type: kind }: Readonly<Record<string, unknown>>,
  file: string,
): typeof KINDS[number] {
  const found = KINDS.find((one) => one === kind);
  if (found !== undefined) return found;
  throw new UnsupportedError(
    `Cannot use ${file}: peft_type ${JSON.stringify(kind)} is not supported yet, only ${
      KINDS.join(" and ")
    }`,
  );
}

function loraMethod(config: Readonly<Record<string, unknown>>, file: string): DeltaMethod {
  checkSettings(file, config, {
    free: [
      ...COMMON,
      "lora_alpha",
      "lora_dropout",
      "megatron_core",
      "modules_to_save",
      "qalora_group_size",
      "r",
      "runtime_config",
      "target_modules",
    ],
    // Other starts (PiSSA, OLoRA, LoftQ) change the base's weights as well.
    fixed: { bias: ["none"], init_lora_weights: [true, false, "gaussian"] },
  });
  const { r = 8, lora_alpha: alpha = 8, lora_dropout: dropout = 0, target_modules: targets } =
    config;
  for (const name of (config.modules_to_save ?? []) as unknown[]) {
    if (!HEADS.includes(name as string)) {
      throw new TypeError(
        `Cannot use ${file}: modules_to_save ${JSON.stringify(name)} is not supported, only ${
          HEADS.join(" and ")
        }`,
      );
    }
  }
  const isName = (name: unknown) => typeof name === "string" && /^[\w.]+$/.test(name);
  if (!Array.isArray(targets) || targets.length === 0 || !targets.every(isName)) {
    throw new TypeError(
      `Cannot use ${file}: target_modules must be a list of module names, found ${
        JSON.stringify(targets) ?? "none"
      }`,
    );
  }
  return {
    method: "lora",
    options: {
      rank: numberSetting(file, "r", r, "a whole number above 0", wholeAboveZero),
      alpha: numberSetting(file, "lora_alpha", alpha, "a number above 0", (value) => value > 0),
      dropout: numberSetting(
        file,
        "lora_dropout",
        dropout,
        "a number of at least 0 and below 1",
        (value) => value >= 0 && value < 1,
      ),
      targets: targets.join("+"),
    },
  };
}

function promptMethod(config: Readonly<Record<string, unknown>>, file: string): DeltaMethod {
  checkSettings(file, config, {
    free: [
      ...COMMON,
      "modules_to_save",
      "num_attention_heads",
      "num_layers",
      "num_transformer_submodules",
      "num_virtual_tokens",
      "prompt_tuning_init",
      "prompt_tuning_init_text",
      "token_dim",
      "tokenizer_kwargs",
      "tokenizer_name_or_path",
    ],
    fixed: {},
  });
  const submodules = config.num_transformer_submodules ??
    (config.task_type === "SEQ_2_SEQ_LM" ? 2 : 1);
  if (submodules !== 1) {
    throw new TypeError(
      `Cannot use ${file}: num_transformer_submodules ${JSON.stringify(submodules)} is not ` +
        "supported, only 1 (a prompt for the encoder alone)",
    );
  }
  const tokens = numberSetting(
    file,
    "num_virtual_tokens",
    config.num_virtual_tokens,
    "a whole number above 0",
    wholeAboveZero,
  );
  return { method: "soft_prompt", options: { tokens } };
}

/**
 * PEFT's parameter names: `base_model.model.` before the path in the base model, for prompts
 * `base_model.` alone, and `prompt_embeddings` bare.
 */
export function peftNames(method: DeltaMethod["method"]): NameMap {
  const prefix = method === "soft_prompt" ? "base_model." : "base_model.model.";
  const bare = "prompt_embeddings";
  return {
    own: (foreign) => {
      if (foreign === bare) return bare;
      if (foreign.startsWith(prefix)) return foreign.slice(prefix.length);
      throw new TypeError(
        `Cannot use tensor ${JSON.stringify(foreign)}: names begin with ${prefix} here`,
      );
    },
    foreign: (own) => own === bare ? bare : prefix + own,
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
  const described = peftMethod(await readJsonFile(file), file);
  const names = peftNames(described.method);
  const tensors = await openDelta(`${dir}/adapter_model.safetensors`, names);
  return { ...described, tensors, foreignName: names.foreign };
}
