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

/** How a tensor's rows are shared out. */
export interface Shares {
  /** How many shares there are. */
  readonly of: number;
  /** Rows of each; all rows are `of` times as many. */
  readonly count: Dim;
}

interface Share extends Shares {
  /** Which of the shares, from 0. */
  readonly index: number;
}

const ROWS = "rows";
const JOIN = "join_rows";

const rowsOp: OpFunction<Share> = op<Share>({
  name: ROWS,
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
  backward: ({ inputs: [x] }, g, _, { index, ...shares }) => [
    joinRows([{ index, part: g }], x.shape[0], shares),
  ],
});

interface Join extends Shares {
  /** Share of each input, rising; rows of no input are zero. */
  readonly indices: readonly number[];
  readonly total: Dim;
}

const joinRowsOp: OpFunction<Join> = op<Join>({
  name: JOIN,
  grouped: true,
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
    const disjoint = !one.indices.some((index) => two.indices.includes(index));
    if (!disjoint || !sameShares(one, two)) return null;
    return joinRows([...sharesOf(a), ...sharesOf(b)], one.total, one);
  },
  run: (y, { indices, of, count }, { shape, sizes, within }) => {
    const n = elements(shape(y.inputs[0]));
    if (of * bindDim(count, sizes) !== shape(y)[0]) {
      throw new RangeError(
        `Cannot join ${of} shares of ${bindDim(count, sizes)} rows into [${shape(y)}]`,
      );
    }
    // One launch for the same part at several places.
    return Array.from({ length: of }, (_, index) => index).flatMap((index): Dispatch[] => {
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
  backward: (_, g, needs, { indices, ...shares }) =>
    indices.map((index, i) => needs[i] ? rows(g, index, shares) : null),
});

function sameShares(a: Shares, b: Shares): boolean {
  return a.of === b.of && sameDim(a.count, b.count);
}

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
 * @param x [of · count, ...].
 * @returns [count, ...].
 */
export function rows(x: Node, index: number, { of, count }: Shares): Node {
  if (x.op.name === JOIN && sameShares(x.attributes as Join, { of, count })) {
    const found = sharesOf(x).find((share) => share.index === index);
    if (found !== undefined) return found.part;
  }
  return rowsOp([x], { index, of, count });
}

/**
 * A tensor of shares of rows; rows of a share that is not given are zero.
 *
 * What is computed for this alone is computed at its place, all else copied there. All shares of one
 * tensor at their old places are that tensor.
 *
 * @param parts f32 [count, ...] each, in any order, at least one.
 * @param total of · count, as the shape has it.
 * @returns [total, ...].
 * @throws TypeError where the parts' shapes differ, or one is not f32.
 */
export function joinRows(parts: readonly RowShare[], total: Dim, { of, count }: Shares): Node {
  const [whole] = parts[0].part.inputs;
  const isWhole = parts.length === of && parts.every(({ index, part }) => {
    const own = part.attributes as Share;
    return part.op.name === ROWS && part.inputs[0] === whole && own.index === index &&
      sameShares(own, { of, count });
  });
  if (isWhole && sameDim(whole.shape[0], total)) return whole;
  const sorted = parts.toSorted((a, b) => a.index - b.index);
  return joinRowsOp(
    sorted.map(({ part }) => part),
    { indices: sorted.map(({ index }) => index), total, of, count },
  );
}
