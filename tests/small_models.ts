/**
 * Small models with random weights, and a batch for them.
 *
 * @module
 */

import type { Batch } from "../lib/parity/batch.ts";
import type { Model } from "../lib/models/model.ts";
import { IGNORED } from "../lib/train/task.ts";

/** A T5 v1.0: odd sizes, different depths. */
export const t5Config = {
  model_type: "t5",
  vocab_size: 121,
  d_model: 20,
  d_kv: 6,
  d_ff: 28,
  num_layers: 2,
  num_decoder_layers: 1,
  num_heads: 3,
};

/** A T5 v1.1. */
export const t5GatedConfig = {
  ...t5Config,
  feed_forward_proj: "gated-gelu",
  tie_word_embeddings: false,
};

/** A Llama with grouped queries and scaled rotations. */
export const llamaConfig = {
  model_type: "llama",
  vocab_size: 121,
  hidden_size: 24,
  intermediate_size: 36,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rope_scaling: {
    rope_type: "llama3",
    factor: 4,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8,
  },
  // Large enough that attention is not uniform.
  initializer_range: 0.2,
};

/** A BERT: three heads of four. */
export const bertConfig = {
  model_type: "bert",
  vocab_size: 121,
  hidden_size: 12,
  intermediate_size: 20,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  max_position_embeddings: 23,
  // Large enough that attention is not uniform.
  initializer_range: 0.2,
};

/** A GPT-2: three heads of four, an inner width of its own. */
export const gpt2Config = {
  model_type: "gpt2",
  vocab_size: 121,
  n_embd: 12,
  n_inner: 44,
  n_layer: 2,
  n_head: 3,
  n_positions: 23,
  initializer_range: 0.2,
};

/** Three right-padded examples of up to seven tokens, and their labels. */
export const inputs = {
  // Read by models that tell kinds of token apart.
  token_type_ids: [[0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]],
  input_ids: [[5, 17, 118, 3, 99, 42, 1], [64, 8, 1, 0, 0, 0, 0], [7, 7, 30, 120, 1, 0, 0]],
  attention_mask: [[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0, 0]],
};

/** Labels of a text-to-text model, and what its decoder reads. */
export const targets = {
  labels: [[11, 1, IGNORED], [100, 12, 1], [11, 1, IGNORED]],
  decoder_input_ids: [[0, 11, 0], [0, 100, 12], [0, 11, 0]],
};

/** Labels of a classifier. */
export const classes = { labels: [0, 2, 1] };

/** The batch as a model's inputs. */
export function smallBatch({ textToText, tokenTypes }: Model): Batch {
  const { input_ids, attention_mask, token_type_ids } = inputs;
  const common = {
    ids: Uint32Array.from(input_ids.flat()),
    mask: Float32Array.from(attention_mask.flat()),
    ...(tokenTypes === undefined ? {} : { token_types: Uint32Array.from(token_type_ids.flat()) }),
  };
  if (textToText === undefined) {
    return {
      sizes: { B: 3, T: 7 },
      values: {
        ...common,
        last: Uint32Array.of(6, 2, 4),
        labels: Int32Array.from(classes.labels),
        inverse_count: Float32Array.of(1 / 3),
      },
    };
  }
  return {
    sizes: { B: 3, T: 7, D: 3 },
    values: {
      ...common,
      decoder_ids: Uint32Array.from(targets.decoder_input_ids.flat()),
      labels: Int32Array.from(targets.labels.flat()),
      inverse_count: Float32Array.of(1 / 7),
    },
  };
}
