/**
 * Llama (Touvron et al., 2023; Dubey et al., 2024) as a sequence classifier.
 *
 * Legend: B batch, T tokens, C width, H heads, K key/value heads, D head size.
 *
 * @module
 */

import type { Node } from "../graph/node.ts";
import { attend, keyValueSite, splitHeads } from "../layers/attention.ts";
import { BlockOutput } from "../layers/block_output.ts";
import { TokenEmbedding } from "../layers/embedding.ts";
import { Linear } from "../layers/linear.ts";
import { RmsNorm } from "../layers/rms_norm.ts";
import { type Initializer, Scope } from "../layers/scope.ts";
import type { Context, KeyValueSite, Sequence } from "../layers/site.ts";
import { activation } from "../ops/activations.ts";
import { multiply } from "../ops/elementwise.ts";
import { rope, rotaryFrequencies } from "../ops/rope.ts";
import { count, divided, flag, positive, type RawConfig, refuse, shown, text } from "./config.ts";
import { scoreLastToken } from "./score_last_token.ts";
import type { Model } from "./model.ts";

/** Rotary scaling of Llama 3.1 and later. */
export interface Llama3Scaling {
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  readonly highFrequencyFactor: number;
  readonly originalLength: number;
}

/** Hyper-parameters of a Llama. */
export interface LlamaConfig {
  readonly vocabulary: number;
  readonly width: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly epsilon: number;
  readonly theta: number;
  readonly scaling?: Llama3Scaling;
  readonly activation: string;
  readonly attentionBias: boolean;
  readonly feedForwardBias: boolean;
  readonly maxLength: number;
  readonly deviation: number;
}

/** Reads a Llama `config.json`. @throws TypeError naming the field that does not fit. */
export function llamaConfig(raw: RawConfig): LlamaConfig {
  refuse(raw, "pretraining_tp", [1]);
  const width = count(raw, "hidden_size");
  const heads = raw.head_dim == null
    ? divided(raw, "num_attention_heads", "hidden_size", width)
    : count(raw, "num_attention_heads");
  const keyHeads = count(raw, "num_key_value_heads", heads);
  if (heads % keyHeads !== 0) {
    throw new TypeError(
      `Cannot read config: num_key_value_heads ${keyHeads} does not divide num_attention_heads ${heads}`,
    );
  }
  return {
    vocabulary: count(raw, "vocab_size"),
    width,
    inner: count(raw, "intermediate_size"),
    layers: count(raw, "num_hidden_layers"),
    heads,
    keyHeads,
    headSize: raw.head_dim == null ? width / heads : count(raw, "head_dim"),
    epsilon: positive(raw, "rms_norm_eps", 1e-6),
    theta: positive(raw, "rope_theta", 10000),
    scaling: readScaling(raw.rope_scaling),
    activation: text(raw, "hidden_act", "silu"),
    attentionBias: flag(raw, "attention_bias", false),
    feedForwardBias: flag(raw, "mlp_bias", false),
    maxLength: count(raw, "max_position_embeddings", 2048),
    deviation: positive(raw, "initializer_range", 0.02),
  };
}

function readScaling(raw: unknown): Llama3Scaling | undefined {
  if (raw === undefined || raw === null) return undefined;
  if (typeof raw !== "object") {
    throw new TypeError(`Cannot read config: rope_scaling must be an object, found ${shown(raw)}`);
  }
  const scaling = raw as RawConfig;
  const kind = scaling.rope_type ?? scaling.type;
  if (kind === "default") return undefined;
  if (kind !== "llama3") {
    throw new TypeError(
      `Cannot use config: rope_scaling ${shown(kind)} is not supported, only "llama3" or none`,
    );
  }
  return {
    factor: positive(scaling, "factor"),
    lowFrequencyFactor: positive(scaling, "low_freq_factor"),
    highFrequencyFactor: positive(scaling, "high_freq_factor"),
    originalLength: count(scaling, "original_max_position_embeddings"),
  };
}

class Block {
  readonly #config: LlamaConfig;
  readonly #keyValues: KeyValueSite;
  readonly #linear: Readonly<Record<"q" | "k" | "v" | "o" | "gate" | "up" | "down", Linear>>;
  readonly #attentionNorm: RmsNorm;
  readonly #feedForwardNorm: RmsNorm;
  readonly #attentionOut: BlockOutput;
  readonly #feedForwardOut: BlockOutput;
  readonly #activation: (x: Node) => Node;
  readonly #frequencies: Float64Array;

  constructor(scope: Scope, layer: number, config: LlamaConfig, frequencies: Float64Array) {
    const path = `model.layers.${layer}`;
    const { width, inner, heads, keyHeads, headSize, attentionBias, feedForwardBias } = config;
    const initializer: Initializer = { kind: "normal", deviation: config.deviation };
    const make = (name: string, inputs: number, outputs: number, bias: boolean) =>
      new Linear(scope, `${path}.${name}`, inputs, outputs, { bias, initializer });
    const norm = (name: string) => new RmsNorm(scope, `${path}.${name}`, width, config.epsilon);
    this.#linear = {
      q: make("self_attn.q_proj", width, heads * headSize, attentionBias),
      k: make("self_attn.k_proj", width, keyHeads * headSize, attentionBias),
      v: make("self_attn.v_proj", width, keyHeads * headSize, attentionBias),
      o: make("self_attn.o_proj", heads * headSize, width, attentionBias),
      gate: make("mlp.gate_proj", width, inner, feedForwardBias),
      up: make("mlp.up_proj", width, inner, feedForwardBias),
      down: make("mlp.down_proj", inner, width, feedForwardBias),
    };
    this.#attentionNorm = norm("input_layernorm");
    this.#feedForwardNorm = norm("post_attention_layernorm");
    this.#attentionOut = new BlockOutput(scope, "attn_out", `${path}.self_attn`, width);
    this.#feedForwardOut = new BlockOutput(scope, "ffn_out", `${path}.mlp`, width);
    this.#activation = activation(config.activation);
    this.#config = config;
    this.#keyValues = keyValueSite(scope, {
      path: `${path}.self_attn`,
      heads: keyHeads,
      headSize,
      stack: "decoder",
      attention: "self",
      layer,
    });
    this.#frequencies = frequencies;
  }

  /** x: [B, T, C]; mask: [B, T]; start: position of the first token. */
  apply(x: Node, { mask, start }: Sequence, context: Context): { hidden: Node; weights: Node } {
    const { heads, keyHeads, headSize } = this.#config;
    const { q, k, v, o, gate, up, down } = this.#linear;
    const normed = this.#attentionNorm.apply(x);
    const rotate = (y: Node, count: number) =>
      rope(splitHeads(y, count, headSize), this.#frequencies, start); // [B, T, heads, D]
    const { output, weights } = attend(
      rotate(q.apply(normed, context), heads),
      {
        keys: rotate(k.apply(normed, context), keyHeads),
        values: splitHeads(v.apply(normed, context), keyHeads, headSize),
        mask,
      },
      {
        scale: headSize ** -0.5,
        causal: true,
        site: this.#keyValues,
      },
      context,
    );
    const attended = this.#attentionOut.join(o.apply(output, context), x, context);
    const inner = this.#feedForwardNorm.apply(attended);
    const gated = multiply(
      this.#activation(gate.apply(inner, context)),
      up.apply(inner, context),
    );
    const hidden = this.#feedForwardOut.join(down.apply(gated, context), attended, context);
    return { hidden, weights };
  }
}

/** Builds a Llama whose bias-free `score` head [classes, width] reads the last token's state. */
export function llama(config: LlamaConfig, classes: number): Model {
  const scope = new Scope();
  const initializer: Initializer = { kind: "normal", deviation: config.deviation };
  const { width, vocabulary } = config;
  const tokens = new TokenEmbedding(scope, "model.embed_tokens", vocabulary, width, initializer);
  const { headSize, theta, scaling } = config;
  const frequencies = rotaryFrequencies({ headSize, theta, scaling });
  const blocks = Array.from(
    { length: config.layers },
    (_, i) => new Block(scope, i, config, frequencies),
  );
  const norm = new RmsNorm(scope, "model.norm", width, config.epsilon);
  const score = new Linear(scope, "score", width, classes, { bias: false, initializer });
  return {
    family: "llama",
    scope,
    vocabulary,
    head: ["score.weight"],
    spare: ["lm_head.weight"],
    maxLength: config.maxLength,
    classify: (inputs, context, trace) => {
      const sequence = tokens.apply(inputs.ids, inputs.mask, context);
      const { hidden } = sequence;
      trace?.set("hidden.0", hidden);
      return scoreLastToken(hidden, sequence, { blocks, norm, score }, inputs, context, trace);
    },
  };
}
