/**
 * How the embedded base is made: its architecture, as Hugging Face writes it, and its pretraining.
 *
 * @module
 */

/** `config.json` of the embedded base; the vocabulary's size is the embedded tokenizer's. */
export const EMBEDDED_ARCHITECTURE = {
  architectures: ["T5ForConditionalGeneration"],
  model_type: "t5",
  d_model: 64,
  d_kv: 16,
  d_ff: 256,
  num_layers: 2,
  num_decoder_layers: 2,
  num_heads: 4,
  feed_forward_proj: "relu",
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  layer_norm_epsilon: 1e-6,
  dropout_rate: 0,
  initializer_factor: 1,
  tie_word_embeddings: true,
  is_encoder_decoder: true,
  decoder_start_token_id: 0,
  pad_token_id: 0,
  eos_token_id: 1,
} as const;

/** Settings of its pretraining; see `pretrain` in lib/train. */
export const EMBEDDED_RECIPE = {
  seed: 0,
  steps: 6000,
  batchSize: 32,
  learningRate: 2e-3,
  warmupSteps: 100,
  weightDecay: 0.01,
  inputLength: 28,
  targetLength: 8,
} as const;
