/**
 * Sites: the named places of a model that a fine-tuning method may change.
 *
 * A model calls `apply…` at each of its sites and never knows what was attached; a method pushes
 * transforms and never knows the model.
 *
 * @module
 */

import type { Node } from "../graph/node.ts";
import type { Dim } from "../graph/shape.ts";

/** What a forward pass runs under. */
export interface Context {
  /** Applies dropout at a named site; absent in evaluation. */
  readonly dropout?: (x: Node, probability: number, site: string) => Node;
  /** Dropout probability inside the frozen base. */
  readonly frozenDropout?: number;
  /** Where several cells have shares of the rows: what the share of one runs under. */
  readonly cell?: (index: number) => Context;
}

/** How a weight matrix is stored: [outputs, inputs], or the other way round (GPT-2's Conv1D). */
export type WeightLayout = "out_in" | "in_out";

/** A linear map y = W·x (+ b). */
export interface LinearSite {
  /** What kind of place it is. */
  readonly kind: "linear";
  /** Module path, for instance `encoder.block.0.layer.0.SelfAttention.q`. */
  readonly path: string;
  /** Width of what it reads. */
  readonly inputs: number;
  /** Width of what it gives. */
  readonly outputs: number;
  /** Parameter `<path>.weight`, of the shape that `layout` says. */
  readonly weight: Node;
  /** How the weight is stored. */
  readonly layout: WeightLayout;
  /** Parameter `<path>.bias` [outputs], where there is one. */
  readonly bias: Node | undefined;
  /** Each gets the map's input so far, [..., inputs], before the map reads it. */
  readonly inputTransforms: ((x: Node, context: Context) => Node)[];
  /** Each gets the map's input and its output so far: [..., inputs] and [..., outputs]. */
  readonly transforms: ((x: Node, y: Node, context: Context) => Node)[];
}

/** The output of a feed-forward or attention block, before it joins the residual stream. */
export interface BlockSite {
  /** Whether a feed-forward's or an attention's. */
  readonly kind: "ffn_out" | "attn_out";
  /** Module path of the block. */
  readonly path: string;
  /** Width of its output. */
  readonly width: number;
  /**
   * What follows when an output joins the residual: their sum, normalised where the family puts its
   * norm behind the block (BERT).
   */
  readonly join: (output: Node, residual: Node) => Node;
  /** Each gets the block's output so far and the residual it will be added to: [B, T, width]. */
  readonly transforms: ((output: Node, residual: Node, context: Context) => Node)[];
}

/** Keys and values of one attention, as its queries are about to see them. */
export interface KeyValues {
  /** [B, S, K, D], rotated where the family does. */
  readonly keys: Node;
  /** [B, S, K, D]. */
  readonly values: Node;
  /** [B, S] f32: 1 for a key that may be seen; absent where all may. */
  readonly mask: Node | undefined;
}

/** The keys and values of an attention. */
export interface KeyValueSite {
  /** What kind of place it is. */
  readonly kind: "kv";
  /** Path of the attention. */
  readonly path: string;
  /** Key and value heads K. */
  readonly heads: number;
  /** Size of a head D. */
  readonly headSize: number;
  /** Which stack it stands in; a model with one stack alone calls it by its kind. */
  readonly stack: "encoder" | "decoder";
  /** Where the keys come from: the queries' own sequence, or the encoder. */
  readonly attention: "self" | "cross";
  /** Place of the layer in its stack, from 0. */
  readonly layer: number;
  /** What is put in front of the keys may be seen by every query. */
  readonly transforms: ((kv: KeyValues, context: Context) => KeyValues)[];
}

/** A sequence of embedded tokens. */
export interface Sequence {
  /** [B, T, C]. */
  readonly hidden: Node;
  /** [B, T] f32: 1 keep, 0 padding. */
  readonly mask: Node;
  /** Tokens, those put in front included. */
  readonly length: Dim;
  /** How many tokens a method put in front. */
  readonly added: number;
  /** Position of the first token: not 0 where a method put keys, but no tokens, in front. */
  readonly start: number;
}

/** The embedded input of a model. */
export interface EmbedSite {
  /** What kind of place it is. */
  readonly kind: "embed";
  /** Module path of the embedding. */
  readonly path: string;
  /** Width of an embedded token. */
  readonly width: number;
  /** Name of the embedding table, [vocabulary, width]. */
  readonly table: string;
  /** Each gets the sequence so far. */
  readonly transforms: ((sequence: Sequence, context: Context) => Sequence)[];
}

/** Any site. */
export type Site = LinearSite | BlockSite | EmbedSite | KeyValueSite;
