/**
 * Launches over many tensors that lie side by side.
 *
 * @module
 */

import { UPDATE_BLOCK } from "../../kernels/update_block.ts";
import { adjacentRuns, paddedBytes } from "../graph/adjacent.ts";
import { constant } from "../graph/leaves.ts";
import type { Node, RunContext } from "../graph/node.ts";
import { elements } from "../graph/shape.ts";

/** A tensor to update, and how. */
export interface UpdateTensor {
  /** A variable. */
  readonly parameter: Node;
  /** Decoupled decay, multiplied by the learning rate. */
  readonly weightDecay: number;
  /** Factor on the scheduled learning rate; 1 unless given. */
  readonly rate?: number;
}

/** Neighbours in one buffer, as kernels find them. */
export interface NeighbourRun {
  /** The first of them in the list. */
  readonly tensor: number;
  /** Bytes of all; over the largest binding where it is one tensor that is. */
  readonly bytes: number;
  /** Their rows of a table, and the vec4 of all tensors that lies first in the buffer. */
  readonly rows: { readonly count: number; readonly first: number; readonly origin: number };
}

/** Rows of a table of neighbours: each tensor's, from its size and the place of its first vec4. */
export function neighbourTable(
  variables: readonly Node[],
  rowsOf: (size: number, start: number, tensor: number) => readonly (readonly number[])[],
): Uint32Array<ArrayBuffer> {
  let start = 0;
  return Uint32Array.from(variables.flatMap((node, tensor) => {
    const size = sizeOf(node);
    const rows = rowsOf(size, start, tensor);
    start += paddedBytes(size * 4) / 16;
    return rows.flat();
  }));
}

/**
 * The buffers of f32 variables that lie side by side.
 *
 * @param rowsOf Rows that a tensor of some elements has in the kernel's table.
 */
export function neighbourRuns(
  variables: readonly Node[],
  rowsOf: (size: number) => number,
  { maxBinding }: RunContext,
): NeighbourRun[] {
  const sizes = variables.map(sizeOf);
  let [first, origin] = [0, 0];
  return adjacentRuns(sizes.map((size) => size * 4), maxBinding).map(({ start, end, bytes }) => {
    const count = sizes.slice(start, end).reduce((sum, size) => sum + rowsOf(size), 0);
    const run = { tensor: start, bytes, rows: { count, first, origin } };
    first += count;
    origin += bytes / 16;
    return run;
  });
}

/** Blocks of a tensor of some elements. */
export function countBlocks(size: number): number {
  return Math.ceil(size / UPDATE_BLOCK);
}

/** The table of the blocks of some tensors, u32 [blocks, 4]: see `kernels/update_block.ts`. */
export function updateBlocks(tensors: readonly UpdateTensor[]): Node {
  const variables = tensors.map(({ parameter }) => parameter);
  const count = variables.reduce((sum, node) => sum + countBlocks(sizeOf(node)), 0);
  return constant([count, 4], "u32", () =>
    neighbourTable(variables, (size, start, tensor) => {
      const { weightDecay, rate = 1 } = tensors[tensor];
      const factors = new Uint32Array(Float32Array.of(weightDecay, rate).buffer);
      return Array.from({ length: countBlocks(size) }, (_, i) => {
        const vectors = Math.ceil(Math.min(UPDATE_BLOCK, size - i * UPDATE_BLOCK) / 4);
        return [start + i * UPDATE_BLOCK / 4, vectors, ...factors];
      });
    }));
}

/** Elements of a variable. */
export function sizeOf({ shape }: Node): number {
  return elements(shape as readonly number[]);
}
