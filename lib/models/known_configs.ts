/**
 * Hyper-parameters of published models, as their `config.json` has them; facts, without weights.
 *
 * Source: the fields of google-t5/t5-small (Raffel et al., 2020) and
 * meta-llama/Llama-3.2-1B on the Hugging Face Hub that decide shapes and sums.
 *
 * @module
 */

import type { RawConfig } from "./config.ts";

/** Configurations by the model's name. */
export const knownConfigs: Readonly<Record<string, RawConfig>> = {
  "t5-small": {
    model_type: "t5",
    d_ff: 2048,
    d_kv: 64,
    d_model: 512,
    decoder_start_token_id: 0,
    eos_token_id: 1,
    feed_forward_proj: "relu",
    initializer_factor: 1,
    layer_norm_epsilon: 1e-6,
    num_decoder_layers: 6,
    num_heads: 8,
    num_layers: 6,
    pad_token_id: 0,
    relative_attention_max_distance: 128,
    relative_attention_num_buckets: 32,
    tie_word_embeddings: true,
    vocab_size: 32128,
  },
  "Llama-3.2-1B": {
    model_type: "llama",
    attention_bias: false,
    head_dim: 64,
    hidden_act: "silu",
    hidden_size: 2048,
    initializer_range: 0.02,
    intermediate_size: 8192,
    max_position_embeddings: 131072,
    mlp_bias: false,
    num_attention_heads: 32,
    num_hidden_layers: 16,
    num_key_value_heads: 8,
    rms_norm_eps: 1e-5,
    rope_scaling: {
      factor: 32,
      high_freq_factor: 4,
      low_freq_factor: 1,
      original_max_position_embeddings: 8192,
      rope_type: "llama3",
    },
    rope_theta: 500000,
    tie_word_embeddings: true,
    vocab_size: 128256,
  },
};
