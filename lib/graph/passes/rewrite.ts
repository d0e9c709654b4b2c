/**
 * What passes are made of: a program's nodes in order, and what has come of the nodes it was asked
 * for.
 *
 * @module
 */

import { variableAttributes } from "../leaves.ts";
import { type Node, storage, topological } from "../node.ts";
import type { Sizes } from "../shape.ts";

/** A program between two passes. */
export interface Rewritten {
  readonly roots: readonly Node[];
  /** Nodes of the program as it was, and what has become of them; absent where they are as they were. */
  readonly replaced: ReadonlyMap<Node, Node>;
  /** Nodes with memory of their own that is half precision. */
  readonly half: ReadonlySet<Node>;
}

/**
 * A pass: another program of the same results.
 *
 * @param keep Nodes that are read after it has run.
 * @param sizes Those that the program is for.
 */
export type Pass = (program: Rewritten, keep: readonly Node[], sizes: Sizes) => Rewritten;

/** The node that holds what another held before the passes. */
export function held({ replaced }: Pick<Rewritten, "replaced">, node: Node): Node {
  return replaced.get(node) ?? node;
}

/**
 * A program in which each node is what `choose` makes of it, in order of execution.
 *
 * @param choose Gets a node, the same node over what its inputs have become (which it is where nothing
 *   else is meant), and what tells what other earlier nodes have become.
 */
export function rewrite(
  { roots, replaced, half }: Rewritten,
  choose: (node: Node, over: Node, now: (node: Node) => Node) => Node,
): Rewritten {
  const made = new Map<Node, Node>();
  const current = (node: Node) => made.get(node)!;
  for (const node of topological(roots)) {
    const inputs = node.inputs.map(current);
    const changed = inputs.some((input, i) => input !== node.inputs[i]);
    made.set(node, choose(node, changed ? { ...node, inputs } : node, current));
  }
  const now = new Map([...replaced].map(([first, node]) => [first, made.get(node) ?? node]));
  for (const [node, result] of made) if (node !== result) now.set(node, result);
  // One place for several: in half precision where all of them are.
  const full = new Set([...made].filter(([node]) => !half.has(node)).map(([, result]) => result));
  return {
    roots: roots.map(current),
    replaced: now,
    half: new Set([...made.values()].filter((result) => !full.has(result))),
  };
}

/**
 * Tells whether a node's memory is a variable that the program updates in place: what reads it must
 * stay where it is in the order of execution.
 */
export function updatedPlaces(order: readonly Node[]): (node: Node) => boolean {
  const names = new Set(
    order.filter(({ op }) => op.inPlace).map((node) => variableAttributes(storage(node)).name),
  );
  return (node) => {
    const place = storage(node);
    return place.op.leaf === "variable" && names.has(variableAttributes(place).name);
  };
}
