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
}

/** A linear map y = x·Wᵀ (+ b), W: [outputs, inputs]. */
export interface LinearSite {
  readonly kind: "linear";
  /** Module path, for instance `encoder.block.0.layer.0.SelfAttention.q`. */
  readonly path: string;
  readonly inputs: number;
  readonly outputs: number;
  /** Each gets the map's input and its output so far: [..., inputs] and [..., outputs]. */
  readonly transforms: ((x: Node, y: Node, context: Context) => Node)[];
}

/** The output of a feed-forward or attention block, before it joins the residual stream. */
export interface BlockSite {
  readonly kind: "ffn_out" | "attn_out";
  readonly path: string;
  readonly width: number;
  /** Each gets the block's output so far and the residual it will be added to: [B, T, width]. */
  readonly transforms: ((output: Node, residual: Node, context: Context) => Node)[];
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
}

/** The embedded input of a model. */
export interface EmbedSite {
  readonly kind: "embed";
  readonly path: string;
  readonly width: number;
  /** Name of the embedding table, [vocabulary, width]. */
  readonly table: string;
  readonly transforms: ((sequence: Sequence, context: Context) => Sequence)[];
}

/** Any site. */
export type Site = LinearSite | BlockSite | EmbedSite;
