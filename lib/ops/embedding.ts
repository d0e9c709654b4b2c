/**
 * Rows of a table by id, and their gradient by sorted segments: no atomics, one order of sums.
 *
 * A table larger than one binding takes one launch per row shard.
 *
 * @module
 */

import { embeddingGradKernel, embeddingKernel } from "../../kernels/embedding.ts";
import { fillKernel } from "../../kernels/fill.ts";
import { input, inputAttributes } from "../graph/leaves.ts";
import { type Dispatch, type Node, op, type RunContext, storage } from "../graph/node.ts";
import { type Dim, elements, formatShape, sameShape } from "../graph/shape.ts";
import { rowShards } from "./row_shards.ts";

const embeddingOp = op<null>({
  name: "embedding",
  shape: ([table, ids]) => {
    if (table.shape.length !== 2 || table.dtype !== "f32" || ids.dtype !== "u32") {
      throw new TypeError(
        `Cannot embed ${ids.dtype} ${formatShape(ids.shape)} by ${table.dtype} ${
          formatShape(table.shape)
        }: ids must be u32 and the table a matrix of f32`,
      );
    }
    return [...ids.shape, table.shape[1]];
  },
  run: (y, _, context) => {
    const [table, ids] = y.inputs;
    const [height, width] = context.shape(table);
    return rowShards([height, width], context.maxBinding).map((rows) => ({
      kernel: embeddingKernel,
      bind: { table: { node: table, rows }, ids, y },
      params: {
        count: elements(context.shape(ids)),
        width,
        start: rows.start,
        rows: rows.count,
      },
    }));
  },
  backward: ({ inputs: [table, ids] }, g, needs) => [
    needs[0] ? embeddingGradOp([g, ids, orderOf(ids)], { height: table.shape[0] }) : null,
    null,
  ],
  onnx: (graph, [table, ids]) => graph.node("Gather", [table, ids], { axis: 0 }),
});

const embeddingGradOp = op<{ height: Dim }>({
  name: "embedding_grad",
  flops: ({ inputs: [g] }, _, shape) => elements(shape(g)),
  shape: ([g], { height }) => [height, g.shape[g.shape.length - 1]],
  run: (table, _, context) => {
    const [g, ids, order] = table.inputs;
    const [height, width] = context.shape(table);
    const clear = rowShards([height, width], context.maxBinding).map((rows): Dispatch => ({
      kernel: fillKernel,
      bind: { y: { node: table, rows } },
      params: { n: rows.count * width, value: 0 },
    }));
    return [...clear, ...scatter(table, g, ids, order, context)];
  },
});

const embeddingGradIntoOp = op<null>({
  name: "embedding_grad_into",
  flops: ({ inputs: [_, g] }, __, shape) => elements(shape(g)),
  inPlace: true,
  shape: ([variable]) => variable.shape,
  run: ({ inputs: [variable, g, ids, order] }, _, context) =>
    scatter(variable, g, ids, order, context),
});

/** The launches that add each row of `g` to its id's row of `table`. */
function scatter(
  table: Node,
  g: Node,
  ids: Node,
  order: Node,
  context: RunContext,
): Dispatch[] {
  const [height, width] = context.shape(table);
  return rowShards([height, width], context.maxBinding).map((rows) => ({
    kernel: embeddingGradKernel,
    bind: { g, ids, order, y: { node: table, rows } },
    params: { count: elements(context.shape(ids)), width, start: rows.start, rows: rows.count },
  }));
}

/** The derived input that has the positions of an input of ids, sorted by id. */
function orderOf(ids: Node): Node {
  const leaf = storage(ids);
  if (leaf.op.leaf !== "input") {
    throw new TypeError(
      `Cannot differentiate embedding: its ids come from ${leaf.op.name}; they must be an input, which the host can sort`,
    );
  }
  const { name } = inputAttributes(leaf);
  return input(`${name}.order`, leaf.shape, "u32", { from: name, compute: sortedPositions });
}

/** Positions in ascending order of their ids, equal ids in order of position. */
function sortedPositions(ids: Uint32Array): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(ids, (_, i) => i).sort((a, b) => ids[a] - ids[b] || a - b);
}

/**
 * Looks rows up: y[…, c] = table[ids[…], c].
 *
 * @param table [V, C]. Its gradient needs `ids` to be an input.
 * @param ids u32 of any shape; the host has seen to it that all are below V.
 * @returns [..., C].
 * @throws TypeError where the table is not a matrix or ids are not u32.
 */
export function embedding(table: Node, ids: Node): Node {
  return embeddingOp([table, ids], null);
}

/** Whether a node is an embedding's gradient, which {@linkcode embeddingGradInto} can add. */
export function isEmbeddingGrad(node: Node): boolean {
  return node.op.name === "embedding_grad";
}

/**
 * Adds an embedding's gradient into a variable, touching only the rows whose ids occur.
 *
 * @throws TypeError where the node is no embedding's gradient or the shapes differ.
 */
export function embeddingGradInto(variable: Node, gradient: Node): Node {
  if (!isEmbeddingGrad(gradient) || !sameShape(variable.shape, gradient.shape)) {
    throw new TypeError(
      `Cannot accumulate a ${gradient.op.name} of ${formatShape(gradient.shape)} into ${
        formatShape(variable.shape)
      }: it must be an embedding's gradient of that shape`,
    );
  }
  return embeddingGradIntoOp([variable, ...gradient.inputs], null);
}
