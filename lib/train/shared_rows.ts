/**
 * What all cells of a pack have in common is computed once, not once for each cell.
 *
 * Before the first trainable parameter the cells' shares of the rows are equal: they are the same
 * examples under the same weights. There, one share stands for all, and is repeated where cells part.
 *
 * @module
 */

import { findFrozen } from "../graph/frozen.ts";
import { isShare, type Node, topological } from "../graph/node.ts";
import { type Dim, sameDim, type Shape, symbol } from "../graph/shape.ts";
import { joinRows, rows, type Shares } from "../ops/rows.ts";

const B = symbol("B");

/** A program of a pack. */
export interface PackedProgram {
  readonly roots: readonly Node[];
  /** Nodes that are read after it has run. */
  readonly keep: readonly Node[];
}

/**
 * The same program with one share for all where all are equal; every value has the same bits.
 *
 * @param inputs Names of the inputs whose rows each follow from one example.
 * @param trained Names of the variables that training changes.
 */
export function shareRows(
  program: PackedProgram,
  { inputs, trained, shares }: {
    readonly inputs: ReadonlySet<string>;
    readonly trained: ReadonlySet<string>;
    readonly shares: Shares;
  },
): PackedProgram {
  const all = [...program.roots, ...program.keep];
  const { byExample } = findFrozen(all, { trained, inputs, rows: B });
  const kept = new Set(all);
  // Values for one share, and what has become of all other nodes.
  const one = new Map<Node, Node>();
  const made = new Map<Node, Node>();
  const tiles = new Map<Node, Node>();
  const firsts = new Map<Node, Node>();
  const tile = (node: Node): Node => {
    const part = one.get(node)!;
    const parts = Array.from({ length: shares.of }, (_, index) => ({ index, part }));
    const tiled = tiles.get(node) ?? after(part, joinRows(parts, node.shape[0], shares));
    tiles.set(node, tiled);
    return tiled;
  };
  for (const node of topological(all)) {
    if (byExample.has(node) && node.dtype === "f32" && !kept.has(node)) {
      const own = node.inputs.map((input) =>
        one.get(input) ?? firstShare(input) ?? made.get(input)!
      );
      const shape = withRows(node.shape, shares.count) as Shape;
      const attributes = withRows(node.attributes, shares.count);
      one.set(node, { ...node, inputs: own, shape, attributes });
      continue;
    }
    const [from] = node.inputs;
    if (node.op.leaf !== undefined) made.set(node, node);
    else if (isShare(node) && one.has(from)) made.set(node, one.get(from)!);
    else {
      const inputs = node.inputs.map((input) => one.has(input) ? tile(input) : made.get(input)!);
      made.set(node, { ...node, inputs });
    }
  }
  const result = (node: Node) => made.get(node)!;
  return { roots: program.roots.map(result), keep: program.keep.map(result) };

  /** Of an input with a row for each example. */
  function firstShare(node: Node): Node | null {
    const { op: { leaf }, shape: [first] } = node;
    if (leaf !== "input" || first === undefined || !sameDim(first, B)) return null;
    const share = firsts.get(node) ?? after(node, rows(node, 0, shares));
    firsts.set(node, share);
    return share;
  }
}

/** A node that is executed right behind another. */
function after(earlier: Node, node: Node): Node {
  return { ...node, id: earlier.id + 0.5 };
}

/** Shapes and attributes with other rows in place of B. */
function withRows(value: unknown, count: Dim): unknown {
  if (Array.isArray(value)) return value.map((one) => withRows(one, count));
  const isPlain = typeof value === "object" && value !== null &&
    Object.getPrototypeOf(value) === Object.prototype;
  if (!isPlain) return value;
  if ("symbol" in value && "plus" in value) return sameDim(value as Dim, B) ? count : value;
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([name, own]) => [name, withRows(own, count)]));
}
