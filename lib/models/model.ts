/**
 * What every model family offers to training, inference and accounting.
 *
 * @module
 */

import type { Node } from "../graph/node.ts";
import type { Scope } from "../layers/scope.ts";
import type { Context } from "../layers/site.ts";

/** Inputs of a model, as nodes. All are right-padded. */
export interface ModelInputs {
  /** Token ids, u32 [B, T]. */
  readonly ids: Node;
  /** f32 [B, T]: 1 for tokens, 0 for padding. */
  readonly mask: Node;
  /** Position of each example's last token, u32 [B]; for models that pool there. */
  readonly last?: Node;
  /** Kind of each token (first or second sentence), u32 [B, T]; all 0 where it is absent. */
  readonly tokenTypes?: Node;
  /** Ids that the decoder reads, u32 [B, D]; for encoder-decoders. */
  readonly decoderIds?: Node;
}

/** Nodes that a forward pass passes through, by the names of golden files (`hidden.0`, …). */
export type Trace = Map<string, Node>;

/** A classifier's forward pass: logits [B, classes]. */
export type Classify = (inputs: ModelInputs, context: Context, trace?: Trace) => Node;

/** A text-to-text forward pass. */
export interface TextToText {
  /** Logits of the next token at each decoder position, [B, D, vocabulary]. */
  readonly logits: (inputs: ModelInputs, context: Context, trace?: Trace) => Node;
  /** Logits of some tokens (u32 [L]) at the first decoder position, [B, L]. */
  readonly score: (inputs: ModelInputs, candidates: Node, context: Context) => Node;
  /** What the decoder reads first. */
  readonly startId: number;
  /** Id that fills up a batch. */
  readonly padId: number;
  /** Id that ends a target. */
  readonly eosId: number;
}

/** A model's input embedding and output matrix, by their names. */
export interface Tie {
  /** Name of the token embedding, [vocabulary, width]. */
  readonly input: string;
  /** Name of the output matrix, of the same shape. */
  readonly output: string;
  /** Whether they are one. */
  readonly tied: boolean;
}

/** A model: parameters and sites, and the forward passes that it has. */
export interface Model {
  /** `model_type` of the configurations that it is built from. */
  readonly family: string;
  /** Its parameters and sites. */
  readonly scope: Scope;
  /** Rows of the token embedding. */
  readonly vocabulary: number;
  /** Kinds of token that the model tells apart; absent where it does not. */
  readonly tokenTypes?: number;
  /** Names of the classification head's parameters; none for a text-to-text model. */
  readonly head: readonly string[];
  /** Names that a checkpoint may hold besides: copies of tied matrices, heads that are not used. */
  readonly spare: readonly string[];
  /** The name here of a checkpoint's tensor that some releases name otherwise. */
  readonly canonical?: (name: string) => string;
  /** What `tie_word_embeddings` says of the output matrix: that it is a copy of the input's. */
  readonly tie?: Tie;
  /** The most tokens an input may have, where positions are limited. */
  readonly maxLength: number | null;
  /** Present where it classifies by a head. */
  readonly classify?: Classify;
  /** Present where it answers in tokens. */
  readonly textToText?: TextToText;
}
