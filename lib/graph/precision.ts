/**
 * Which values of a program lie in memory in half precision.
 *
 * Storage is a property of a value's place; arithmetic is f32 everywhere. A value that is only an
 * operand of matrix products is rounded to f16, as in mixed-precision training (Micikevicius et al.,
 * 2018), so that products of operands are exact in f32 and are summed there.
 *
 * @module
 */

import { variableAttributes } from "./leaves.ts";
import { type Node, storage } from "./node.ts";

/** How weights and activations of a run are stored. */
export type Precision = "f32" | "f16";

/**
 * The nodes that a program stores in half precision, each with memory of its own.
 *
 * @param order All nodes of the program, in order of execution.
 * @param keep Nodes that are read after it has run.
 */
export type StoragePolicy = (
  order: readonly Node[],
  keep: readonly Node[],
) => ReadonlySet<Node>;

/** Every value in four bytes. */
export const fullPrecision: StoragePolicy = () => new Set();

/**
 * The policy of a precision.
 *
 * @param full Names of variables that are f32 in any: those that train, and a method's own.
 */
export function storagePolicy(precision: Precision, full: Iterable<string>): StoragePolicy {
  return precision === "f16" ? halfPrecision(new Set(full)) : fullPrecision;
}

/** Values as they are, moved, or changed one by one: what joins a sum behind that, joins it. */
const FIRST = [0];
const EVERY = { includes: () => true };
const PASSING: Readonly<Record<string, { includes(input: number): boolean }>> = {
  ...{ rows: FIRST, join_rows: EVERY },
  ...{ scale: FIRST, multiply: FIRST, dropout: FIRST, rope: FIRST, broadcast: FIRST },
  ...{ slice: FIRST, pad: FIRST, select_token: FIRST, select_token_grad: FIRST, concat: [0, 1] },
  attention: FIRST,
  ...Object.fromEntries(
    ["relu", "leaky_relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid"].flatMap((name) => [
      [name, FIRST],
      [`${name}_grad`, [1]], // of the value, saved from the forward pass, and the gradient
    ]),
  ),
};

/** Further operations whose results may be half precision. */
const WRITERS = new Set([
  ...["einsum", "add", "rms_norm", "layer_norm", "rms_norm_grad", "layer_norm_grad"],
  ...["attention_softmax", "attention_softmax_grad"],
  ...["attention_forward", "attention_grad_queries", "attention_grad_keys"],
]);

/**
 * Further operations that may read half precision, and at which inputs: operands of products, the
 * gradient that a norm hands on, attention weights. All else is read in full: terms of sums (the
 * residual stream, gradients that meet), what is normalised, attention scores, logits and the loss.
 */
const READERS: Readonly<Record<string, readonly number[]>> = {
  einsum: [0, 1],
  einsum_into: [1, 2],
  rms_norm_grad: [2],
  rms_weight_parts: [2],
  layer_norm_grad: [2],
  layer_weight_parts: [2],
  attention_softmax_grad: [0],
  // Queries, keys, values; then the output and its gradient.
  attention_forward: [0, 1, 2],
  attention_grad_queries: [0, 1, 2, 3, 4],
  attention_grad_keys: [0, 1, 2, 3, 4],
};

/**
 * Half precision where accuracy allows it: frozen matrices, and what feeds or comes out of matrix
 * products. The output of a block stays f32 as it joins the residual stream, where T5's overflows
 * f16; so do norms, scores, logits, loss, everything trained, and gradients of parameters. What is
 * computed again for the backward pass is stored as the first time, and so has the same bits.
 *
 * @param own Names of the variables that train or that a method added.
 */
export function halfPrecision(own: ReadonlySet<string>): StoragePolicy {
  return (order, keep) => {
    const full = fullPlaces(order, keep);
    return new Set(order.filter((node) => {
      if (full.has(original(node)) || node.dtype !== "f32") return false;
      if (node.op.leaf !== undefined) return isFrozenMatrix(node, own);
      const { name } = node.op;
      return storage(node) === node && (name in PASSING || WRITERS.has(name));
    }));
  };
}

/** What something reads in full, or through operations that hand it on; originals alone. */
function fullPlaces(order: readonly Node[], keep: readonly Node[]): ReadonlySet<Node> {
  const full = new Set(keep.map((node) => original(storage(node))));
  const backwards = order.filter(({ op }) => !op.view).reverse();
  // Again where a repeated node's reader tells something of its original's.
  for (let before = -1; before < full.size;) {
    before = full.size;
    for (const node of backwards) {
      const { name } = node.op;
      const half = !full.has(original(node)) && name in PASSING;
      node.inputs.forEach((input, i) => {
        const place = storage(input);
        const through = PASSING[name]?.includes(i) ?? true;
        if (half || !through || READERS[name]?.includes(i)) return;
        // A frozen matrix is rounded wherever it is read, but for biases of attention scores.
        if (place.op.leaf === undefined || name === "relative_bias") full.add(original(place));
      });
    }
  }
  return full;
}

function original(node: Node): Node {
  return node.original ?? node;
}

function isFrozenMatrix(node: Node, own: ReadonlySet<string>): boolean {
  if (node.op.leaf !== "variable") return false;
  const { name, role, shape } = variableAttributes(node);
  return role === "weight" && shape.length > 1 && !own.has(name);
}
