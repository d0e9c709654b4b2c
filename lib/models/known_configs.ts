/**
 * Hyper-parameters of published models, as their `config.json` has them; facts, without weights.
 *
 * Source: the fields of google-t5/t5-small (Raffel et al., 2020), openai-community/gpt2 (Radford et
 * al., 2019), google-bert/bert-base-uncased (Devlin et al., 2019) and meta-llama/Llama-3.2-1B on the
 * Hugging Face Hub that decide shapes and sums; for the smaller BERTs the sizes of Turc et al.
 * (2019), which are otherwise as BERT-base, and for T5-base and v1.1 those of Raffel et al. and of
 * google/t5-v1_1-small.
 *
 * @module
 */

import type { RawConfig } from "./config.ts";

/** A T5 v1.0 of the published vocabulary: L layers each way of width H, F inside, A heads. */
function t5Of(layers: number, width: number, inner: number, heads: number): RawConfig {
  return {
    model_type: "t5",
    d_ff: inner,
    d_kv: 64,
    d_model: width,
    decoder_start_token_id: 0,
    eos_token_id: 1,
    feed_forward_proj: "relu",
    initializer_factor: 1,
    layer_norm_epsilon: 1e-6,
    num_decoder_layers: layers,
    num_heads: heads,
    num_layers: layers,
    pad_token_id: 0,
    relative_attention_max_distance: 128,
    relative_attention_num_buckets: 32,
    tie_word_embeddings: true,
    vocab_size: 32128,
  };
}

/** A BERT of the published vocabulary: L layers of width H with A heads, 4H inside. */
function bertOf(layers: number, width: number, heads: number): RawConfig {
  return {
    model_type: "bert",
    attention_probs_dropout_prob: 0.1,
    hidden_act: "gelu",
    hidden_dropout_prob: 0.1,
    hidden_size: width,
    initializer_range: 0.02,
    intermediate_size: 4 * width,
    layer_norm_eps: 1e-12,
    max_position_embeddings: 512,
    num_attention_heads: heads,
    num_hidden_layers: layers,
    pad_token_id: 0,
    position_embedding_type: "absolute",
    type_vocab_size: 2,
    vocab_size: 30522,
  };
}

/** Configurations by the model's name. */
export const knownConfigs: Readonly<Record<string, RawConfig>> = {
  "t5-small": t5Of(6, 512, 2048, 8),
  "t5-base": t5Of(12, 768, 3072, 12),
  // v1.1: gated, and its output matrix is its own.
  "t5-v1_1-small": {
    ...t5Of(8, 512, 1024, 6),
    feed_forward_proj: "gated-gelu",
    tie_word_embeddings: false,
  },
  "gpt2": {
    model_type: "gpt2",
    activation_function: "gelu_new",
    attn_pdrop: 0.1,
    bos_token_id: 50256,
    embd_pdrop: 0.1,
    eos_token_id: 50256,
    initializer_range: 0.02,
    layer_norm_epsilon: 1e-5,
    n_embd: 768,
    n_head: 12,
    n_inner: null,
    n_layer: 12,
    n_positions: 1024,
    resid_pdrop: 0.1,
    scale_attn_by_inverse_layer_idx: false,
    scale_attn_weights: true,
    vocab_size: 50257,
  },
  "bert-base-uncased": bertOf(12, 768, 12),
  "bert-tiny": bertOf(2, 128, 2),
  "bert-mini": bertOf(4, 256, 4),
  "bert-small": bertOf(4, 512, 8),
  "bert-medium": bertOf(8, 512, 8),
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
