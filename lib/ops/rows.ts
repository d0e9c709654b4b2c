/**
 * Equal shares of a tensor's rows, and tensors joined from such shares.
 *
 * Several cells in one program have their rows beside each other; what they share reads all rows at
 * once, what is a cell's own its share alone.
 *
 * @module
 */

import { clearRun } from "../../kernels/clear_run.ts";
import { copyRun } from "../../kernels/copy_run.ts";
import { type Dispatch, type Node, op, type OpFunction } from "../graph/node.ts";
import {
  bindDim,
  bindShape,
  type Dim,
  elements,
  formatShape,
  sameDim,
  sameShape,
} from "../graph/shape.ts";

interface Share {
  /** Which of the shares, from 0. */
  readonly index: number;
  /** Rows of a share. */
  readonly count: Dim;
}

const rowsOp: OpFunction<Share> = op<Share>({
  name: "rows",
  shape: ([x], { count }) => [count, ...x.shape.slice(1)],
  dtype: ([x]) => x.dtype,
  taken: (y, { index }, sizes) => index * elements(bindShape(y.shape, sizes)),
  run: (y, { index, count }, { shape, sizes }) => {
    const [x] = y.inputs;
    const end = (index + 1) * bindDim(count, sizes);
    if (end > shape(x)[0]) {
      throw new RangeError(`Cannot take rows up to ${end} of [${shape(x)}]: it has fewer`);
    }
    const n = elements(shape(y));
    const start = index * n;
    return [{
      kernel: copyRun(y.dtype, n, start, 0),
      bind: { x, y },
      params: { n, x_start: start, y_start: 0 },
    }];
  },
  // The gradient is zero in all other rows; `merge` makes one node of all shares' gradients.
  backward: ({ inputs: [x] }, g, _, { index, count }) => [
    joinRows([{ index, part: g }], { total: x.shape[0], count }),
  ],
});

interface Join {
  /** Share of each input, rising; rows of no input are zero. */
  readonly indices: readonly number[];
  readonly total: Dim;
  readonly count: Dim;
}

const JOIN = "join_rows";

const joinRowsOp: OpFunction<Join> = op<Join>({
  name: JOIN,
  shape: (parts, { total, count }) => {
    const [, ...row] = parts[0].shape;
    for (const { shape, dtype } of parts) {
      if (dtype !== "f32" || !sameShape(shape, [count, ...row])) {
        throw new TypeError(
          `Cannot join rows: each part must be f32 ${
            formatShape([count, ...row])
          }, found ${dtype} ${formatShape(shape)}`,
        );
      }
    }
    return [total, ...row];
  },
  placed: ({ inputs: [part] }, { indices }, sizes) =>
    indices.map((index) => index * elements(bindShape(part.shape, sizes))),
  merge: (a, b) => {
    const [one, two] = [a, b].map((node) => node.attributes as Join);
    if (!sameDim(one.count, two.count) || one.indices.some((i) => two.indices.includes(i))) {
      return null;
    }
    const parts = [a, b].flatMap((node) => sharesOf(node));
    return joinRows(parts, one);
  },
  run: (y, { indices, total, count }, { shape, sizes, within }) => {
    const n = elements(shape(y.inputs[0]));
    const shares = bindDim(total, sizes) / bindDim(count, sizes);
    if (!Number.isInteger(shares) || indices[indices.length - 1] >= shares) {
      throw new RangeError(
        `Cannot join share ${indices[indices.length - 1]} of ${bindDim(count, sizes)} rows into [${
          shape(y)
        }]: there are ${shares}`,
      );
    }
    return Array.from({ length: shares }, (_, index) => index).flatMap((index): Dispatch[] => {
      const start = index * n;
      const x = y.inputs[indices.indexOf(index)];
      if (x === undefined) {
        return [{ kernel: clearRun, bind: { y }, params: { n, start } }];
      }
      if (within(x, y, start)) return [];
      const kernel = copyRun("f32", n, 0, start);
      return [{ kernel, bind: { x, y }, params: { n, x_start: 0, y_start: start } }];
    });
  },
  backward: (_, g, needs, { indices, count }) =>
    indices.map((index, i) => needs[i] ? rows(g, index, count) : null),
});

/** Rows of one share, and which share it is, from 0. */
export interface RowShare {
  readonly index: number;
  readonly part: Node;
}

/** The shares that a join was made of. */
function sharesOf(join: Node): RowShare[] {
  const { indices } = join.attributes as Join;
  return join.inputs.map((part, i) => ({ index: indices[i], part }));
}

/**
 * One of the equal shares of x's rows: `count` rows from index · count on.
 *
 * Costs nothing where a buffer can be bound at its place, a copy elsewhere.
 *
 * @param x [total, ...].
 * @returns [count, ...].
 */
export function rows(x: Node, index: number, count: Dim): Node {
  if (x.op.name === JOIN && sameDim((x.attributes as Join).count, count)) {
    const found = sharesOf(x).find((share) => share.index === index);
    if (found !== undefined) return found.part;
  }
  return rowsOp([x], { index, count });
}

/**
 * A tensor of shares of rows; rows of a share that is not given are zero.
 *
 * What is computed for this alone is computed at its place, all else copied there.
 *
 * @param shares f32 [count, ...] each, in any order, at least one.
 * @returns [total, ...], total a multiple of count.
 * @throws TypeError where the parts' shapes differ, or one is not f32.
 */
export function joinRows(
  shares: readonly RowShare[],
  { total, count }: { readonly total: Dim; readonly count: Dim },
): Node {
  const sorted = shares.toSorted((a, b) => a.index - b.index);
  return joinRowsOp(
    sorted.map(({ part }) => part),
    { indices: sorted.map(({ index }) => index), total, count },
  );
}
