/**
 * GPT-2 (Radford et al., 2019) as a sequence classifier.
 *
 * Legend: B batch, T tokens, C width, H heads, D head size.
 *
 * GPT-2 has no padding token. Any id fills a batch up, since padding is masked and the classifier
 * reads the last token that the mask keeps; a tokenizer without a pad token gives its end token.
 *
 * @module
 */

import type { Node } from "../graph/node.ts";
import { attend, keyValueSite, splitHeads } from "../layers/attention.ts";
import { BlockOutput, dropped } from "../layers/block_output.ts";
import { TokenEmbedding } from "../layers/embedding.ts";
import { LayerNorm } from "../layers/layer_norm.ts";
import { Linear } from "../layers/linear.ts";
import { PositionEmbedding } from "../layers/position_embedding.ts";
import { type Initializer, Scope } from "../layers/scope.ts";
import type { Context, KeyValueSite, Sequence } from "../layers/site.ts";
import { activation } from "../ops/activations.ts";
import { slice } from "../ops/concat.ts";
import { count, divided, positive, type RawConfig, refuse, text } from "./config.ts";
import { scoreLastToken } from "./score_last_token.ts";
import type { Model } from "./model.ts";

/** Hyper-parameters of a GPT-2. */
export interface Gpt2Config {
  readonly vocabulary: number;
  readonly width: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly epsilon: number;
  readonly activation: string;
  readonly maxLength: number;
  readonly deviation: number;
}

/** Reads a GPT-2 `config.json`. @throws TypeError naming the field that does not fit. */
export function gpt2Config(raw: RawConfig): Gpt2Config {
  refuse(raw, "scale_attn_weights", [true]);
  refuse(raw, "scale_attn_by_inverse_layer_idx", [false]);
  refuse(raw, "add_cross_attention", [false]);
  const width = count(raw, "n_embd");
  return {
    vocabulary: count(raw, "vocab_size"),
    width,
    inner: count(raw, "n_inner", 4 * width),
    layers: count(raw, "n_layer"),
    heads: divided(raw, "n_head", "n_embd", width),
    epsilon: positive(raw, "layer_norm_epsilon", 1e-5),
    activation: text(raw, "activation_function", "gelu_new"),
    maxLength: count(raw, "n_positions", 1024),
    deviation: positive(raw, "initializer_range", 0.02),
  };
}

/** A block that normalises before its attention and before its feed-forward part. */
class Block {
  readonly #keyValues: KeyValueSite;
  readonly #linear: Readonly<Record<"attention" | "o" | "up" | "down", Linear>>;
  readonly #attentionNorm: LayerNorm;
  readonly #feedForwardNorm: LayerNorm;
  readonly #attentionOut: BlockOutput;
  readonly #feedForwardOut: BlockOutput;
  readonly #activation: (x: Node) => Node;
  readonly #width: number;

  constructor(scope: Scope, layer: number, config: Gpt2Config) {
    const path = `transformer.h.${layer}`;
    const { width, inner, heads, epsilon, deviation, layers } = config;
    const make = (name: string, inputs: number, outputs: number, deviation: number) =>
      new Linear(scope, `${path}.${name}`, inputs, outputs, {
        bias: true,
        initializer: { kind: "normal", deviation },
        layout: "in_out",
      });
    // What is added to the residual stream starts smaller, by how often that happens.
    const added = deviation / Math.sqrt(2 * layers);
    this.#attentionNorm = new LayerNorm(scope, `${path}.ln_1`, width, epsilon);
    const attention = make("attn.c_attn", width, 3 * width, deviation);
    const o = make("attn.c_proj", width, width, added);
    this.#feedForwardNorm = new LayerNorm(scope, `${path}.ln_2`, width, epsilon);
    const up = make("mlp.c_fc", width, inner, deviation);
    const down = make("mlp.c_proj", inner, width, added);
    this.#linear = { attention, o, up, down };
    this.#attentionOut = new BlockOutput(scope, "attn_out", `${path}.attn`, width);
    this.#feedForwardOut = new BlockOutput(scope, "ffn_out", `${path}.mlp`, width);
    this.#activation = activation(config.activation);
    this.#keyValues = keyValueSite(scope, {
      path: `${path}.attn`,
      heads,
      headSize: width / heads,
      stack: "decoder",
      attention: "self",
      layer,
    });
    this.#width = width;
  }

  /** x: [B, T, C]; mask: [B, T]. */
  apply(x: Node, { mask }: Sequence, context: Context): { hidden: Node; weights: Node } {
    const { attention, o, up, down } = this.#linear;
    const { heads, headSize } = this.#keyValues;
    const joint = attention.apply(this.#attentionNorm.apply(x), context); // [B, T, 3C]
    const [q, keys, values] = [0, 1, 2].map((part) =>
      splitHeads(slice(joint, 2, part * this.#width, this.#width), heads, headSize)
    );
    const { output, weights } = attend(
      q,
      { keys, values, mask },
      { scale: headSize ** -0.5, causal: true, site: this.#keyValues },
      context,
    );
    const attended = this.#attentionOut.join(o.apply(output, context), x, context);
    const inner = this.#activation(up.apply(this.#feedForwardNorm.apply(attended), context));
    const hidden = this.#feedForwardOut.join(down.apply(inner, context), attended, context);
    return { hidden, weights };
  }
}

/** The name that a parameter has here: GPT-2 without a head is saved without `transformer.`. */
function canonical(name: string): string {
  return /^(wte|wpe|h|ln_f)\./.test(name) ? `transformer.${name}` : name;
}

/** Builds a GPT-2 whose bias-free `score` head [classes, width] reads the last token's state. */
export function gpt2(config: Gpt2Config, classes: number): Model {
  const scope = new Scope();
  const initializer: Initializer = { kind: "normal", deviation: config.deviation };
  const { width, vocabulary, maxLength } = config;
  const tokens = new TokenEmbedding(scope, "transformer.wte", vocabulary, width, initializer);
  const positions = new PositionEmbedding(scope, "transformer.wpe", maxLength, width, initializer);
  const blocks = Array.from({ length: config.layers }, (_, i) => new Block(scope, i, config));
  const norm = new LayerNorm(scope, "transformer.ln_f", width, config.epsilon);
  const score = new Linear(scope, "score", width, classes, { bias: false, initializer });
  // Older files keep the causal mask of every layer, and the number that stands for "not seen".
  const masks = blocks.flatMap((_, i) =>
    ["bias", "masked_bias"].map((name) => `transformer.h.${i}.attn.${name}`)
  );
  return {
    family: "gpt2",
    scope,
    vocabulary,
    head: ["score.weight"],
    spare: ["lm_head.weight", ...masks],
    canonical,
    maxLength,
    classify: (inputs, context, trace) => {
      const sequence = tokens.apply(inputs.ids, inputs.mask, context);
      const embedded = positions.add(sequence.hidden, sequence);
      trace?.set("hidden.0", embedded);
      const x = dropped(embedded, context, "transformer.embedding");
      return scoreLastToken(x, sequence, { blocks, norm, score }, inputs, context, trace);
    },
  };
}
