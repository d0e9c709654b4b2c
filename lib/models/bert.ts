/**
 * BERT (Devlin et al., 2019) as a sequence classifier.
 *
 * Legend: B batch, T tokens, C width, H heads, D head size.
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
import { activation, tanh } from "../ops/activations.ts";
import { concat, slice } from "../ops/concat.ts";
import { add, broadcastTo } from "../ops/elementwise.ts";
import { embedding } from "../ops/embedding.ts";
import { reshape } from "../ops/reshape.ts";
import { count, divided, positive, type RawConfig, refuse, share, text } from "./config.ts";
import type { Model } from "./model.ts";

/** Hyper-parameters of a BERT. */
export interface BertConfig {
  readonly vocabulary: number;
  readonly width: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly epsilon: number;
  readonly activation: string;
  readonly maxLength: number;
  /** Kinds of token: first or second sentence. */
  readonly tokenTypes: number;
  /** Dropout before the classifier; the base's own where it is null. */
  readonly classifierDropout: number | null;
  readonly deviation: number;
}

/** Reads a BERT `config.json`. @throws TypeError naming the field that does not fit. */
export function bertConfig(raw: RawConfig): BertConfig {
  refuse(raw, "position_embedding_type", ["absolute"]);
  refuse(raw, "is_decoder", [false]);
  refuse(raw, "add_cross_attention", [false]);
  const width = count(raw, "hidden_size");
  return {
    vocabulary: count(raw, "vocab_size"),
    width,
    inner: count(raw, "intermediate_size"),
    layers: count(raw, "num_hidden_layers"),
    heads: divided(raw, "num_attention_heads", "hidden_size", width),
    epsilon: positive(raw, "layer_norm_eps", 1e-12),
    activation: text(raw, "hidden_act", "gelu"),
    maxLength: count(raw, "max_position_embeddings", 512),
    tokenTypes: count(raw, "type_vocab_size", 2),
    classifierDropout: raw.classifier_dropout == null ? null : share(raw, "classifier_dropout"),
    deviation: positive(raw, "initializer_range", 0.02),
  };
}

/** A block that normalises behind its attention and behind its feed-forward part. */
class Block {
  readonly #keyValues: KeyValueSite;
  readonly #linear: Readonly<Record<"q" | "k" | "v" | "o" | "up" | "down", Linear>>;
  readonly #attentionOut: BlockOutput;
  readonly #feedForwardOut: BlockOutput;
  readonly #activation: (x: Node) => Node;

  constructor(scope: Scope, layer: number, config: BertConfig) {
    const path = `bert.encoder.layer.${layer}`;
    const { width, inner, heads, epsilon } = config;
    const initializer: Initializer = { kind: "normal", deviation: config.deviation };
    const make = (name: string, inputs: number, outputs: number) =>
      new Linear(scope, `${path}.${name}`, inputs, outputs, { bias: true, initializer });
    const out = (kind: "attn_out" | "ffn_out", name: string) => {
      const norm = new LayerNorm(scope, `${path}.${name}.LayerNorm`, width, epsilon);
      return new BlockOutput(scope, kind, `${path}.${name}`, width, (x) => norm.apply(x));
    };
    const [q, k, v] = ["query", "key", "value"].map((name) =>
      make(`attention.self.${name}`, width, width)
    );
    const o = make("attention.output.dense", width, width);
    this.#attentionOut = out("attn_out", "attention.output");
    const up = make("intermediate.dense", width, inner);
    const down = make("output.dense", inner, width);
    this.#feedForwardOut = out("ffn_out", "output");
    this.#linear = { q, k, v, o, up, down };
    this.#activation = activation(config.activation);
    this.#keyValues = keyValueSite(scope, {
      path: `${path}.attention.self`,
      heads,
      headSize: width / heads,
      stack: "encoder",
      attention: "self",
      layer,
    });
  }

  /** x: [B, T, C]; mask: [B, T]. */
  apply(x: Node, { mask }: Sequence, context: Context): { hidden: Node; weights: Node } {
    const { q, k, v, o, up, down } = this.#linear;
    const { heads, headSize } = this.#keyValues;
    const split = (layer: Linear) => splitHeads(layer.apply(x, context), heads, headSize);
    const { output, weights } = attend(
      split(q),
      { keys: split(k), values: split(v), mask },
      { scale: headSize ** -0.5, site: this.#keyValues },
      context,
    );
    const attended = this.#attentionOut.join(o.apply(output, context), x, context);
    const inner = this.#activation(up.apply(attended, context));
    const hidden = this.#feedForwardOut.join(down.apply(inner, context), attended, context);
    return { hidden, weights };
  }
}

/**
 * The name that a parameter has here: BERT without a head is saved without the prefix `bert.`, and
 * the first releases call weight and bias of a norm gamma and beta.
 */
function canonical(name: string): string {
  const full = /^(embeddings|encoder|pooler)\./.test(name) ? `bert.${name}` : name;
  return full.replace(/\.LayerNorm\.gamma$/, ".LayerNorm.weight")
    .replace(/\.LayerNorm\.beta$/, ".LayerNorm.bias");
}

/**
 * Builds a BERT whose `classifier` [classes, width] reads the pooled first token: tanh of a linear
 * map of its state. Where a method puts tokens in front, the first is one of these.
 */
export function bert(config: BertConfig, classes: number): Model {
  const scope = new Scope();
  const initializer: Initializer = { kind: "normal", deviation: config.deviation };
  const { width, vocabulary, maxLength, tokenTypes, epsilon } = config;
  const path = (name: string) => `bert.embeddings.${name}`;
  const words = new TokenEmbedding(scope, path("word_embeddings"), vocabulary, width, initializer);
  const positions = new PositionEmbedding(
    scope,
    path("position_embeddings"),
    maxLength,
    width,
    initializer,
  );
  const types = scope.parameter(
    path("token_type_embeddings.weight"),
    [tokenTypes, width],
    initializer,
  );
  const norm = new LayerNorm(scope, path("LayerNorm"), width, epsilon);
  const blocks = Array.from({ length: config.layers }, (_, i) => new Block(scope, i, config));
  const square = { bias: true, initializer };
  const pooler = new Linear(scope, "bert.pooler.dense", width, width, square);
  const classifier = new Linear(scope, "classifier", width, classes, square);

  /** Rows of the token types, to be added to [B, T, C]; what a method put in front has type 0. */
  const typeRows = (ids: Node | undefined, { added }: Sequence): Node => {
    const first = slice(types, 0, 0, 1); // [1, C]
    if (ids === undefined) return first;
    const own = embedding(types, ids);
    return added === 0 ? own : concat(broadcastTo(first, [own.shape[0], added, width]), own, 1);
  };

  return {
    family: "bert",
    scope,
    vocabulary,
    head: ["classifier.weight", "classifier.bias"],
    spare: ["cls.", "bert.embeddings.position_ids"],
    canonical,
    tokenTypes,
    maxLength,
    classify: (inputs, context, trace) => {
      const sequence = words.apply(inputs.ids, inputs.mask, context);
      const typed = add(sequence.hidden, typeRows(inputs.tokenTypes, sequence));
      const embedded = norm.apply(positions.add(typed, sequence));
      trace?.set("hidden.0", embedded);
      let x = dropped(embedded, context, "bert.embeddings");
      blocks.forEach((block, i) => {
        const result = block.apply(x, sequence, context);
        x = result.hidden;
        trace?.set(`attention.${i}`, result.weights);
        trace?.set(`hidden.${i + 1}`, x);
      });
      const first = reshape(slice(x, 1, 0, 1), [x.shape[0], width]); // [B, C]
      const pooled = tanh(pooler.apply(first, context));
      const seen = dropped(pooled, context, "classifier", config.classifierDropout);
      return classifier.apply(seen, context); // [B, classes]
    },
  };
}
