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

/** Operations on values one by one, or on their places: what joins a sum behind them, joins it. */
const POINTWISE = new Set([
  ...["scale", "multiply", "dropout", "rope", "broadcast", "concat", "slice", "pad"],
  ...["select_token", "select_token_grad"],
  ...["relu", "gelu", "gelu_tanh", "silu", "tanh"].flatMap((name) => [name, `${name}_grad`]),
]);

/** Further operations whose results may be half precision. */
const WRITERS = new Set([
  ...["einsum", "add", "rms_norm", "layer_norm", "rms_norm_grad", "layer_norm_grad"],
  ...["attention_softmax", "attention_softmax_grad"],
]);

/**
 * Further operations that may read half precision, and at which inputs: operands of products, the
 * gradient that a norm hands on, attention weights, and what is summed over rows. All else is read
 * in full: terms of sums (the residual stream, gradients that meet), what is normalised, attention
 * scores, logits and the loss.
 */
const READERS: Readonly<Record<string, readonly number[]>> = {
  einsum: [0, 1],
  einsum_into: [1, 2],
  rms_norm_grad: [2],
  rms_weight_parts: [2],
  layer_norm_grad: [2],
  layer_weight_parts: [2],
  attention_softmax_grad: [0],
  sum: [0],
};

/**
 * Half precision where accuracy allows it: frozen matrices, and what feeds or comes out of matrix
 * products. The output of a block stays f32 as it joins the residual stream, where T5's overflows
 * f16; so do norms, scores, logits, loss, everything trained, and gradients of parameters.
 *
 * @param trained Names of the variables that train.
 */
export function halfPrecision(trained: ReadonlySet<string>): StoragePolicy {
  return (order, keep) => {
    const full = new Set(keep.map(storage));
    const half = new Set<Node>();
    // Last to first, so that a node's readers are decided before it.
    for (const node of [...order].reverse()) {
      if (node.op.leaf === undefined && storage(node) === node && !full.has(node)) {
        const { name } = node.op;
        if (node.dtype === "f32" && (POINTWISE.has(name) || WRITERS.has(name))) half.add(node);
      }
      if (frozenMatrix(node, trained) && !full.has(node)) half.add(node);
      if (node.op.view) continue;
      const pointwise = POINTWISE.has(node.op.name) && half.has(node);
      node.inputs.forEach((input, i) => {
        const owner = storage(input);
        const reads = pointwise || READERS[node.op.name]?.includes(i);
        // A frozen table is rounded wherever it is read, but for biases of attention scores.
        if (!reads && (owner.op.leaf === undefined || node.op.name === "relative_bias")) {
          full.add(owner);
        }
      });
    }
    return half;
  };
}

function frozenMatrix(node: Node, trained: ReadonlySet<string>): boolean {
  if (node.op.leaf !== "variable" || node.dtype !== "f32") return false;
  const { name, role, shape } = variableAttributes(node);
  return role === "weight" && shape.length > 1 && !trained.has(name);
}
