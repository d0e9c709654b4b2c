/**
 * Which values of a program's frozen part are worth keeping from one time to the next.
 *
 * @module
 */

import { first, type Frozen } from "./frozen.ts";
import { minimumCut } from "./minimum_cut.ts";
import { byteLength, type Node } from "./node.ts";
import { operationsOf } from "./operations.ts";
import { bindShape, elements, type Sizes } from "./shape.ts";

/**
 * Operations that take as long as moving a byte: some 10 on a GPU (67 TFLOP/s at 4.8 TB/s) as on two
 * cores of a CPU.
 */
const OPERATIONS_PER_BYTE = 8;

/** Least share of a program's operations that is worth the memory. */
const LEAST_SHARE = 0.1;

/**
 * Chooses what is kept of a frozen part: of all sets of values from which the rest of the program can
 * go on, the one of least cost, nothing where it saves less than a tenth of the program's operations.
 *
 * Computing a value costs its operations and the bytes it moves, keeping one the bytes that are read
 * and written to get it back, times a price. That is a choice of a closed set of nodes, and so a
 * minimum cut (Picard, 1976, Maximal Closure of a Graph).
 *
 * @param sizes Bound dimensions.
 * @param price Factor on the cost of keeping: 1, or more where memory is scarce.
 * @param half Values in two bytes an element.
 * @returns Nodes to keep, in order of execution.
 */
export function chooseKept(
  { order, nodes, byExample, read }: Frozen,
  sizes: Sizes,
  price: number,
  half: ReadonlySet<Node>,
): Node[] {
  const live = order.filter((node) => nodes.has(node));
  const place = new Map(live.map((node, i) => [node, i]));
  const bytes = (node: Node) => byteLength(node, sizes, half);
  const computed = (node: Node) => node.inputs.map(first).filter((one) => place.has(one));
  const costOf = (node: Node) => {
    const moved = node.op.view ? 0 : bytes(node) + sum(node.inputs.map(bytes));
    return operationsOf([node], sizes) + OPERATIONS_PER_BYTE * moved;
  };
  const keepable = (node: Node) =>
    byExample.has(node) && !node.op.view && node.dtype === "f32" &&
    elements(bindShape(node.shape.slice(1), sizes)) % 2 === 0;

  // Of each node: that it is there (even), that it is computed (odd).
  const edges: [number, number, number][] = [];
  const [source, sink] = [2 * live.length, 2 * live.length + 1];
  live.forEach((node, i) => {
    if (read.has(node)) edges.push([source, 2 * i, Infinity]);
    const kept = keepable(node) ? 2 * OPERATIONS_PER_BYTE * price * bytes(node) : Infinity;
    edges.push([2 * i, 2 * i + 1, kept], [2 * i + 1, sink, costOf(node)]);
    for (const one of computed(node)) edges.push([2 * i + 1, 2 * place.get(one)!, Infinity]);
  });
  const side = minimumCut(edges, sink + 1, source, sink);
  const kept = live.filter((_, i) => side.has(2 * i) && !side.has(2 * i + 1));
  const left = live.filter((_, i) => side.has(2 * i + 1));
  const saved = operationsOf(live, sizes) - operationsOf(left, sizes);
  return saved < LEAST_SHARE * operationsOf(order, sizes) ? [] : kept;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
