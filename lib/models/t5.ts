/**
 * T5 (Raffel et al., 2020): v1.0 (relu, tied embeddings) and v1.1 (gated gelu, untied).
 *
 * Legend: B batch, T input tokens, D decoder tokens, C width, H heads.
 *
 * @module
 */

import type { Node } from "../graph/node.ts";
import { difference, type Dim, formatShape } from "../graph/shape.ts";
import { attend, type AttentionOptions, keyValueSite, splitHeads } from "../layers/attention.ts";
import { BlockOutput, dropped } from "../layers/block_output.ts";
import { TokenEmbedding } from "../layers/embedding.ts";
import { Linear, linear } from "../layers/linear.ts";
import { RmsNorm } from "../layers/rms_norm.ts";
import { Scope } from "../layers/scope.ts";
import type { Context, KeyValueSite } from "../layers/site.ts";
import { activation } from "../ops/activations.ts";
import { multiply } from "../ops/elementwise.ts";
import { embedding } from "../ops/embedding.ts";
import { einsum } from "../ops/einsum.ts";
import { maskedMean } from "../ops/masked_mean.ts";
import { relativeBias } from "../ops/relative_bias.ts";
import { slice } from "../ops/concat.ts";
import { reshape } from "../ops/reshape.ts";
import { count, flag, positive, type RawConfig, text, tokenId } from "./config.ts";
import type { Model, ModelInputs, Trace } from "./model.ts";

/** Hyper-parameters of a T5. */
export interface T5Config {
  readonly vocabulary: number;
  readonly width: number;
  readonly headSize: number;
  readonly inner: number;
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  readonly heads: number;
  readonly buckets: number;
  readonly maxDistance: number;
  readonly epsilon: number;
  readonly activation: string;
  readonly gated: boolean;
  readonly tied: boolean;
  readonly initializerFactor: number;
  readonly startId: number;
  readonly padId: number;
  readonly eosId: number;
}

/** Reads a T5 `config.json`. @throws TypeError naming the field that does not fit. */
export function t5Config(raw: RawConfig): T5Config {
  const projection = text(raw, "feed_forward_proj", "relu");
  const gated = projection.startsWith("gated-");
  const named = gated ? projection.slice("gated-".length) : projection;
  const layers = count(raw, "num_layers");
  return {
    vocabulary: count(raw, "vocab_size"),
    width: count(raw, "d_model"),
    headSize: count(raw, "d_kv"),
    inner: count(raw, "d_ff"),
    encoderLayers: layers,
    decoderLayers: count(raw, "num_decoder_layers", layers),
    heads: count(raw, "num_heads"),
    buckets: count(raw, "relative_attention_num_buckets", 32),
    maxDistance: count(raw, "relative_attention_max_distance", 128),
    epsilon: positive(raw, "layer_norm_epsilon", 1e-6),
    // "gated-gelu" has always meant the tanh form.
    activation: projection === "gated-gelu" ? "gelu_new" : named,
    gated,
    tied: flag(raw, "tie_word_embeddings", true),
    initializerFactor: positive(raw, "initializer_factor", 1),
    startId: tokenId(raw, "decoder_start_token_id", 0),
    padId: tokenId(raw, "pad_token_id", 0),
    eosId: tokenId(raw, "eos_token_id", 1),
  };
}

type AttentionPlace = Pick<KeyValueSite, "path" | "stack" | "attention" | "layer">;

class Attention {
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly o: Linear;
  readonly #keyValues: KeyValueSite;

  constructor(scope: Scope, place: AttentionPlace, config: T5Config) {
    const { width, heads, headSize, initializerFactor: f } = config;
    const { path } = place;
    const inner = heads * headSize;
    const make = (name: string, inputs: number, outputs: number, deviation: number) =>
      new Linear(scope, `${path}.${name}`, inputs, outputs, {
        bias: false,
        initializer: { kind: "normal", deviation: f * deviation },
      });
    this.q = make("q", width, inner, (width * headSize) ** -0.5);
    this.k = make("k", width, inner, width ** -0.5);
    this.v = make("v", width, inner, width ** -0.5);
    this.o = make("o", inner, width, inner ** -0.5);
    this.#keyValues = keyValueSite(scope, { ...place, heads, headSize });
  }

  /** x: [B, T, C] attends to keys: [B, S, C]. */
  apply(
    x: Node,
    keys: Node,
    { mask, ...options }: { mask?: Node } & Pick<AttentionOptions, "bias" | "causal">,
    context: Context,
  ): { output: Node; weights: Node } {
    const { heads, headSize } = this.#keyValues;
    const split = (y: Node) => splitHeads(y, heads, headSize); // [B, T, H, D]
    const q = split(this.q.apply(x, context));
    const own = {
      keys: split(this.k.apply(keys, context)),
      values: split(this.v.apply(keys, context)),
      mask,
    };
    const { output, weights } = attend(q, own, { ...options, site: this.#keyValues }, context);
    return { output: this.o.apply(output, context), weights };
  }
}

class FeedForward {
  readonly #in: Linear;
  readonly #gate: Linear | undefined;
  readonly #out: Linear;
  readonly #activation: (x: Node) => Node;
  readonly #path: string;

  constructor(scope: Scope, path: string, config: T5Config) {
    const { width, inner, gated, initializerFactor: f } = config;
    const make = (name: string, inputs: number, outputs: number) =>
      new Linear(scope, `${path}.${name}`, inputs, outputs, {
        bias: false,
        initializer: { kind: "normal", deviation: f * inputs ** -0.5 },
      });
    this.#in = make(gated ? "wi_0" : "wi", width, inner);
    this.#gate = gated ? make("wi_1", width, inner) : undefined;
    this.#out = make("wo", inner, width);
    this.#activation = activation(config.activation);
    this.#path = path;
  }

  apply(x: Node, context: Context): Node {
    const activated = this.#activation(this.#in.apply(x, context));
    const hidden = this.#gate === undefined
      ? activated
      : multiply(activated, this.#gate.apply(x, context));
    return this.#out.apply(dropped(hidden, context, this.#path), context);
  }
}

/** One encoder or decoder block: self-attention, cross-attention in decoders, feed-forward. */
class Block {
  readonly #attention: Attention;
  readonly #attentionNorm: RmsNorm;
  readonly #attentionOut: BlockOutput;
  readonly #cross?: { attention: Attention; norm: RmsNorm; out: BlockOutput };
  readonly #feedForward: FeedForward;
  readonly #feedForwardNorm: RmsNorm;
  readonly #feedForwardOut: BlockOutput;

  constructor(
    scope: Scope,
    stack: "encoder" | "decoder",
    place: number,
    config: T5Config,
    addBias: (path: string) => void,
  ) {
    const { width, epsilon } = config;
    const decoder = stack === "decoder";
    const layer = (i: number) => `${stack}.block.${place}.layer.${i}`;
    const attention = (i: number, name: string, kind: "self" | "cross") =>
      new Attention(
        scope,
        { path: `${layer(i)}.${name}`, stack, attention: kind, layer: place },
        config,
      );
    const norm = (i: number) => new RmsNorm(scope, `${layer(i)}.layer_norm`, width, epsilon);
    this.#attention = attention(0, "SelfAttention", "self");
    addBias(`${layer(0)}.SelfAttention`);
    this.#attentionNorm = norm(0);
    this.#attentionOut = new BlockOutput(scope, "attn_out", layer(0), width);
    if (decoder) {
      this.#cross = {
        attention: attention(1, "EncDecAttention", "cross"),
        norm: norm(1),
        out: new BlockOutput(scope, "attn_out", layer(1), width),
      };
    }
    const last = decoder ? 2 : 1;
    this.#feedForward = new FeedForward(scope, `${layer(last)}.DenseReluDense`, config);
    this.#feedForwardNorm = norm(last);
    this.#feedForwardOut = new BlockOutput(scope, "ffn_out", layer(last), width);
  }

  apply(
    x: Node,
    self: { mask?: Node } & Pick<AttentionOptions, "bias" | "causal">,
    encoder: { states: Node; mask: Node } | null,
    context: Context,
    observe: (kind: string, weights: Node) => void,
  ): Node {
    const normed = this.#attentionNorm.apply(x);
    const own = this.#attention.apply(normed, normed, self, context);
    observe("self", own.weights);
    let hidden = this.#attentionOut.join(own.output, x, context);
    if (this.#cross !== undefined && encoder !== null) {
      const { attention, norm, out } = this.#cross;
      const { mask, states } = encoder;
      const cross = attention.apply(norm.apply(hidden), states, { mask }, context);
      observe("cross", cross.weights);
      hidden = out.join(cross.output, hidden, context);
    }
    const output = this.#feedForward.apply(this.#feedForwardNorm.apply(hidden), context);
    return this.#feedForwardOut.join(output, hidden, context);
  }
}

/** A stack of blocks with its shared position bias and final norm. */
class Stack {
  readonly #blocks: Block[] = [];
  readonly #norm: RmsNorm;
  readonly #config: T5Config;
  readonly #name: "encoder" | "decoder";
  #biasTable!: Node;

  constructor(scope: Scope, name: "encoder" | "decoder", config: T5Config) {
    const decoder = name === "decoder";
    const layers = decoder ? config.decoderLayers : config.encoderLayers;
    for (let i = 0; i < layers; i++) {
      // The bias table lives in the first block and serves all of the stack.
      const addBias = (path: string) => {
        if (i > 0) return;
        this.#biasTable = scope.parameter(
          `${path}.relative_attention_bias.weight`,
          [config.buckets, config.heads],
          { kind: "normal", deviation: config.initializerFactor * config.width ** -0.5 },
        );
      };
      this.#blocks.push(new Block(scope, name, i, config, addBias));
    }
    this.#norm = new RmsNorm(scope, `${name}.final_layer_norm`, config.width, config.epsilon);
    this.#config = config;
    this.#name = name;
  }

  /** hidden: [B, T, C], after the embedding, to the final norm's output. */
  apply(
    hidden: Node,
    mask: Node | undefined,
    encoder: { states: Node; mask: Node } | null,
    context: Context,
    trace?: Trace,
  ): Node {
    const causal = this.#name === "decoder";
    const bias = this.#relativeBias(!causal);
    const name = this.#name;
    trace?.set(`${name}_hidden.0`, hidden);
    let x = dropped(hidden, context, `${name}.embedding`);
    this.#blocks.forEach((block, i) => {
      x = block.apply(x, { bias, mask, causal }, encoder, context, (kind, weights) => {
        trace?.set(kind === "self" ? `${name}_attention.${i}` : `cross_attention.${i}`, weights);
      });
      trace?.set(`${name}_hidden.${i + 1}`, x);
    });
    const normed = this.#norm.apply(x);
    trace?.set(`${name}_hidden.${this.#blocks.length}`, normed);
    return dropped(normed, context, `${name}.final`);
  }

  /** The stack's position bias [H, T, S], one node for all layers with as many keys. */
  #relativeBias(bidirectional: boolean): (queries: Dim, keys: Dim) => Node {
    const made = new Map<string, Node>();
    return (queries, keys) => {
      const key = formatShape([queries, keys]);
      const bias = made.get(key) ?? relativeBias(this.#biasTable, {
        queries,
        keys,
        bidirectional,
        maxDistance: this.#config.maxDistance,
        keyOffset: -difference(keys, queries),
      });
      made.set(key, bias);
      return bias;
    };
  }
}

/**
 * Builds a T5.
 *
 * @param classes Null for text-to-text; a number for a linear classifier (`classifier.weight`
 *   [classes, width], `classifier.bias`) on the masked mean of the encoder's last states, which has
 *   no decoder.
 */
export function t5(config: T5Config, classes: number | null = null): Model {
  const scope = new Scope();
  const { width, vocabulary, initializerFactor } = config;
  const shared = new TokenEmbedding(scope, "shared", vocabulary, width, {
    kind: "normal",
    deviation: initializerFactor,
  });
  const encoder = new Stack(scope, "encoder", config);
  const encode = (inputs: ModelInputs, context: Context, trace?: Trace) => {
    const { hidden, mask } = shared.apply(inputs.ids, inputs.mask, context);
    return { states: encoder.apply(hidden, mask, null, context, trace), mask };
  };
  const spare = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];
  const common = { family: "t5", scope, vocabulary, maxLength: null };

  if (classes !== null) {
    const classifier = new Linear(scope, "classifier", width, classes, {
      bias: true,
      initializer: { kind: "normal", deviation: initializerFactor * width ** -0.5 },
    });
    return {
      ...common,
      head: ["classifier.weight", "classifier.bias"],
      spare: [...spare, "lm_head.weight", "decoder."],
      // Under a head, transformers calls the encoder so.
      canonical: (name) => name.replace(/^transformer\./, ""),
      classify: (inputs, context, trace) => {
        const { states, mask } = encode(inputs, context, trace);
        return classifier.apply(maskedMean(states, mask), context);
      },
    };
  }

  const decoder = new Stack(scope, "decoder", config);
  const output = config.tied ? shared.weight : scope.parameter(
    "lm_head.weight",
    [vocabulary, width],
    { kind: "normal", deviation: initializerFactor },
  );
  // A tied output matrix takes states scaled by width^-1/2.
  const alpha = config.tied ? width ** -0.5 : 1;
  const decode = (inputs: ModelInputs, context: Context, trace?: Trace) => {
    const ids = inputs.decoderIds!;
    const encoded = encode(inputs, context, trace);
    return decoder.apply(shared.lookup(ids), undefined, encoded, context, trace);
  };
  return {
    ...common,
    head: [],
    tie: { input: "shared.weight", output: "lm_head.weight", tied: config.tied },
    spare: config.tied ? [...spare, "lm_head.weight"] : spare,
    textToText: {
      logits: (inputs, context, trace) => linear(decode(inputs, context, trace), output, { alpha }), // [B, D, V]
      score: (inputs, candidates, context) => {
        const hidden = decode(inputs, context); // [B, D, C]
        const first = reshape(slice(hidden, 1, 0, 1), [hidden.shape[0], width]); // [B, C]
        return einsum("bc,lc->bl", first, embedding(output, candidates), { alpha });
      },
      startId: config.startId,
      padId: config.padId,
      eosId: config.eosId,
    },
  };
}
