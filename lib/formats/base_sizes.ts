import type { BaseFacts } from "./delta.ts";

/** Sizes that files about a delta repeat of its base. */
export interface BaseSizes {
  readonly width: number;
  /** Of the encoder, where there are two stacks. */
  readonly layers: number;
  readonly heads: number;
  /** Key and value heads; fewer than `heads` with grouped queries. */
  readonly keyHeads: number;
}

const FIELDS: Readonly<Record<string, readonly [string, string, string]>> = {
  bert: ["hidden_size", "num_hidden_layers", "num_attention_heads"],
  gpt2: ["n_embd", "n_layer", "n_head"],
  llama: ["hidden_size", "num_hidden_layers", "num_attention_heads"],
  t5: ["d_model", "num_layers", "num_heads"],
};

/** Reads them from a `config.json`. @throws TypeError where the family is unknown. */
export function baseSizes({ config }: Pick<BaseFacts, "config">): BaseSizes {
  const fields = FIELDS[familyOf({ config })];
  const [width, layers, heads] = fields.map((field) => Number(config[field]));
  return { width, layers, heads, keyHeads: Number(config.num_key_value_heads ?? heads) };
}

/** The family of a base. @throws TypeError where it is unknown. */
export function familyOf({ config }: Pick<BaseFacts, "config">): string {
  const family = String(config.model_type);
  if (Object.hasOwn(FIELDS, family)) return family;
  throw new TypeError(
    `Cannot save a delta of model_type ${JSON.stringify(config.model_type)}: only ${
      Object.keys(FIELDS).join(", ")
    } are known`,
  );
}

/** The class of transformers that the base with its head or words is. */
export function modelClass(base: Pick<BaseFacts, "config" | "textToText">): string {
  switch (familyOf(base)) {
    case "bert":
      return "BertForSequenceClassification";
    case "gpt2":
      return "GPT2ForSequenceClassification";
    case "llama":
      return "LlamaForSequenceClassification";
    default:
      // Its token logits' mean over the mask is what a head on the mean of the states computes.
      return base.textToText ? "T5ForConditionalGeneration" : "T5ForTokenClassification";
  }
}
