/**
 * A classification task on a model: its inputs, its loss, its scores.
 *
 * A text-to-text model answers with the label's word; any other classifies by its head. Both give
 * scores [B, classes], of which the largest is the prediction.
 *
 * @module
 */

import type { Values } from "../gpu/session.ts";
import { input } from "../graph/leaves.ts";
import type { Node } from "../graph/node.ts";
import { symbol } from "../graph/shape.ts";
import type { Context } from "../layers/site.ts";
import type { Model, ModelInputs, Trace } from "../models/model.ts";
import { crossEntropy } from "../ops/cross_entropy.ts";
import { multiply } from "../ops/elementwise.ts";
import { sum } from "../ops/sum.ts";
import { reshape } from "../ops/reshape.ts";

/** Cross-entropy passes over this label. */
export const IGNORED = -100;

/** A text as token ids. */
export interface Tokenized {
  readonly ids: readonly number[];
}

/** An example as token ids. */
export interface Encoded extends Tokenized {
  /** Class, counted from 0. */
  readonly label: number;
}

/** Rows of one batch; missing rows are padding. */
export interface Rows<E extends Tokenized = Encoded> {
  readonly examples: readonly E[];
  /** Place of each example in its split, for counters. */
  readonly indices: readonly number[];
  /** Rows of the program, at least as many. */
  readonly size: number;
  /** Padded length. */
  readonly length: number;
}

/** A task's graphs and what fills their inputs. */
export interface Task {
  /**
   * Mean cross-entropy over the labels of the whole batch, shape [1].
   *
   * @param trace Receives the nodes that the forward pass names.
   */
  readonly loss: (context: Context, trace?: Trace) => Node;
  /** Cross-entropy of each label, weighted where classes are, [B] or [B, D]. */
  readonly losses: (context: Context, trace?: Trace) => Node;
  /** {@link loss} from some rows of {@link losses}. */
  readonly mean: (losses: Node) => Node;
  /** Scores of the classes, [B, classes], without dropout. */
  readonly scores: () => Node;
  /** What a batch's loss is a mean over: how many labels its examples have, or their weights. */
  readonly weight: (examples: readonly Encoded[]) => number;
  /**
   * Inputs of a training program.
   *
   * @param weight {@link weight} of the whole batch; that of `rows` unless it is one of several
   *   micro-batches.
   */
  readonly trainingInputs: (rows: Rows, weight?: number) => Record<string, Values>;
  /** Inputs of a scoring program. */
  readonly scoringInputs: (rows: Rows<Tokenized>) => Record<string, Values>;
}

/** How the classes are told apart by a text-to-text model. */
export interface LabelWords {
  /** Token ids of each class's word, without special tokens. */
  readonly ids: readonly (readonly number[])[];
  /** The words, in class order. */
  readonly words: readonly string[];
}

/**
 * Names of the inputs: `ids` u32 [B, T], `mask` f32 [B, T], `examples` u32 [B] (places in the
 * split), `inverse_count` f32 [1]; `last` u32 [B]; `decoder_ids` u32 [B, D]; `labels` i32 [B] or
 * [B, D]; `candidates` u32 [classes].
 */
const [B, T] = [symbol("B"), symbol("T")];

/** The input of example places, which dropout counts by. */
export function exampleInput(): Node {
  return input("examples", [B], "u32");
}

/**
 * Makes the task that a model is built for.
 *
 * @param classWeights Weight of each class's labels in the loss; null for equal ones.
 */
export function makeTask(
  model: Model,
  padId: number,
  labelWords: LabelWords | null,
  classWeights: readonly number[] | null = null,
): Task {
  return model.textToText === undefined
    ? headTask(model, padId, classWeights)
    : wordTask(model, padId, labelWords!, classWeights);
}

/** Mean cross-entropy, shape [1]: the sum over labels, times the input `inverse_count` [1]. */
export function meanLoss(logits: Node, labels: Node): Node {
  return equally.mean(equally.losses(logits, labels));
}

/** How labels count. */
interface Reduction {
  readonly losses: (logits: Node, labels: Node) => Node;
  readonly mean: (losses: Node) => Node;
}

const total = (losses: Node) => reshape(sum(losses, 0, losses.shape.length), [1]);

const equally: Reduction = {
  losses: crossEntropy,
  mean: (losses) => multiply(total(losses), input("inverse_count", [1], "f32")),
};

/**
 * Weighted mean cross-entropy, shape [1]: Σ w·loss / Σ w over the labels, as PyTorch's; the input
 * `label_weights`, of the labels' shape, holds the quotients w / Σ w.
 */
const weighted: Reduction = {
  losses: (logits, labels) =>
    multiply(crossEntropy(logits, labels), input("label_weights", labels.shape, "f32")),
  mean: total,
};

/** What a task says of its loss. */
function lossOf(
  logits: (context: Context, trace?: Trace) => Node,
  labels: () => Node,
  weights: readonly number[] | null,
): Pick<Task, "loss" | "losses" | "mean"> {
  const { losses: each, mean } = weights === null ? equally : weighted;
  const losses: Task["losses"] = (context, trace) => each(logits(context, trace), labels());
  return { losses, mean, loss: (context, trace) => mean(losses(context, trace)) };
}

function headTask(model: Model, padId: number, weights: readonly number[] | null): Task {
  const weight: Task["weight"] = (examples) =>
    weights === null
      ? examples.length
      : examples.reduce((total, { label }) => total + weights[label], 0);
  const inputs: ModelInputs = {
    ids: input("ids", [B, T], "u32"),
    mask: input("mask", [B, T], "f32"),
    last: input("last", [B], "u32"),
  };
  const common = (rows: Rows<Tokenized>) => ({
    ...tokens(rows, padId),
    last: fillRows(rows, 0, ({ ids }) => ids.length - 1, Uint32Array),
  });
  return {
    ...lossOf(
      (context, trace) => model.classify!(inputs, context, trace),
      () => input("labels", [B], "i32"),
      weights,
    ),
    scores: () => model.classify!(inputs, {}),
    weight,
    trainingInputs: (rows, total = weight(rows.examples)) => ({
      ...common(rows),
      labels: fillRows(rows, IGNORED, ({ label }) => label, Int32Array),
      inverse_count: Float32Array.of(1 / total),
      ...weights && {
        label_weights: Float32Array.from({ length: rows.size }, (_, row) => {
          const example = rows.examples[row];
          return example === undefined ? 0 : weights[example.label] / total;
        }),
      },
    }),
    scoringInputs: common,
  };
}

/** Every token of an example's target counts with the weight of its class. */
function wordTask(
  model: Model,
  padId: number,
  { ids: words, words: names }: LabelWords,
  weights: readonly number[] | null,
): Task {
  const { startId, eosId, logits, score } = model.textToText!;
  const first = words.map(([id]) => id);
  if (words.some((ids) => ids.length === 0) || new Set(first).size < first.length) {
    throw new RangeError(
      `Cannot tell the label words ${names.join(", ")} apart by their first token (${
        first.join(", ")
      }); give other --label-words`,
    );
  }
  const targets = words.map((ids) => [...ids, eosId]);
  const D = Math.max(...targets.map((target) => target.length));
  const weight: Task["weight"] = (examples) =>
    examples.reduce(
      (total, { label }) => total + targets[label].length * (weights?.[label] ?? 1),
      0,
    );
  const inputs = { ids: input("ids", [B, T], "u32"), mask: input("mask", [B, T], "f32") };
  return {
    ...lossOf(
      (context, trace) =>
        logits({ ...inputs, decoderIds: input("decoder_ids", [B, D], "u32") }, context, trace),
      () => input("labels", [B, D], "i32"),
      weights,
    ),
    scores: () =>
      score(
        { ...inputs, decoderIds: input("start_ids", [B, 1], "u32") },
        input("candidates", [first.length], "u32"),
        {},
      ),
    weight,
    trainingInputs: (rows, total = weight(rows.examples)) => {
      const decoderIds = new Uint32Array(rows.size * D).fill(padId);
      const targetIds = new Int32Array(rows.size * D).fill(IGNORED);
      const labelWeights = new Float32Array(weights === null ? 0 : rows.size * D);
      rows.examples.forEach(({ label }, row) => {
        const target = targets[label];
        targetIds.set(target, row * D);
        decoderIds.set([startId, ...target.slice(0, -1)], row * D);
        if (weights !== null) {
          labelWeights.fill(weights[label] / total, row * D, row * D + target.length);
        }
      });
      return {
        ...tokens(rows, padId),
        decoder_ids: decoderIds,
        labels: targetIds,
        inverse_count: Float32Array.of(1 / total),
        ...weights && { label_weights: labelWeights },
      };
    },
    scoringInputs: (rows) => ({
      ...tokens(rows, padId),
      start_ids: new Uint32Array(rows.size).fill(startId),
      candidates: Uint32Array.from(first),
    }),
  };
}

/** Padded ids and mask. A padding row keeps one token, so that its attention is defined. */
function tokens(
  { examples, indices, size, length }: Rows<Tokenized>,
  padId: number,
): Record<string, Values> {
  const ids = new Uint32Array(size * length).fill(padId);
  const mask = new Float32Array(size * length);
  for (let row = 0; row < size; row++) {
    const own = examples[row]?.ids ?? [padId];
    ids.set(own, row * length);
    mask.fill(1, row * length, row * length + own.length);
  }
  const places = Uint32Array.from({ length: size }, (_, row) => indices[row] ?? 0);
  return { ids, mask, examples: places };
}

function fillRows<
  E extends Tokenized,
  A extends Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
>(
  { examples, size }: Rows<E>,
  padding: number,
  value: (example: E) => number,
  Kind: new (length: number) => A,
): A {
  const values = new Kind(size);
  for (let row = 0; row < size; row++) {
    const example = examples[row];
    values[row] = example === undefined ? padding : value(example);
  }
  return values;
}
