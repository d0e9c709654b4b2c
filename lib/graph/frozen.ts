/**
 * What of a program is a function of one example alone, and so the same whenever the example comes.
 *
 * @module
 */

import { inputAttributes, variableAttributes } from "./leaves.ts";
import { type Node, topological } from "./node.ts";
import { type Dim, sameDim } from "./shape.ts";

/** What tells the frozen part of a program apart. */
export interface FrozenOptions {
  /** Names of the variables that training changes. */
  readonly trained: ReadonlySet<string>;
  /** Names of the inputs whose rows each follow from one example, or that never change. */
  readonly inputs: ReadonlySet<string>;
  /** The dimension of examples, the first of what has a row for each. */
  readonly rows: Dim;
}

/** The frozen part of a program. */
export interface Frozen {
  /** All nodes of the program, in order of execution. */
  readonly order: readonly Node[];
  /** Computed nodes whose value follows from frozen variables, constants and examples. */
  readonly nodes: ReadonlySet<Node>;
  /** Those of {@link nodes} that have one row for each example, which follows from it alone. */
  readonly byExample: ReadonlySet<Node>;
  /** Those of {@link nodes} that the rest of the program reads. */
  readonly read: ReadonlySet<Node>;
}

/** The node that a node computes again; itself where it does not. */
export function first(node: Node): Node {
  return node.original ?? node;
}

/**
 * Finds the frozen part. What is computed again for the backward pass counts as its original.
 *
 * Operations whose first dimension is that of examples, of inputs as of output, keep rows apart: none
 * of ours normalises or sums along it and still has it.
 */
export function findFrozen(
  roots: readonly Node[],
  { trained, inputs, rows }: FrozenOptions,
): Frozen {
  const order = topological(roots);
  const still = new Set<Node>();
  const byExample = new Set<Node>();
  const ofExamples = new Set<Node>();
  const nodes = new Set<Node>();
  for (const node of order) {
    const { leaf, inPlace } = node.op;
    if (inPlace) continue;
    if (leaf === undefined ? !node.inputs.every((one) => still.has(one)) : !frozenLeaf(node)) {
      continue;
    }
    still.add(node);
    const parts = node.inputs.filter((one) => ofExamples.has(one));
    if (leaf === "input" || parts.length > 0) ofExamples.add(node);
    if (leaf !== undefined) {
      if (leaf === "input" && isByRow(node)) byExample.add(node);
      continue;
    }
    nodes.add(first(node));
    const sources = parts.flatMap((one) => isTaken(node, one) ? one.inputs : [one]);
    const apart = sources.filter((one) => ofExamples.has(one))
      .every((one) => byExample.has(one) || isWhole(one));
    if (isByRow(node) && sources.some((one) => byExample.has(one)) && apart) byExample.add(node);
  }
  const read = new Set<Node>();
  for (const node of order) {
    if (still.has(node)) continue;
    for (const one of node.inputs) if (nodes.has(first(one))) read.add(first(one));
  }
  for (const root of roots) if (nodes.has(first(root))) read.add(first(root));
  return {
    order,
    nodes,
    byExample: new Set([...byExample].filter((node) => nodes.has(node))),
    read,
  };

  function frozenLeaf(node: Node): boolean {
    if (node.op.leaf === "constant") return true;
    if (node.op.leaf === "input") return inputs.has(inputAttributes(node).name);
    const { name, role } = variableAttributes(node);
    return role === "weight" && !trained.has(name);
  }

  /** Whether the dimension of examples is the first of a node, and no other. */
  function isByRow({ shape }: Node): boolean {
    return shape.length > 0 && sameDim(shape[0], rows) &&
      !shape.slice(1).some((dim) => sameDim(dim, rows));
  }

  /** Attention's first output has other dimensions first: what counts is what it follows from. */
  function isTaken({ op, inputs }: Node, one: Node): boolean {
    return op.taken !== undefined && inputs.length > 1 && inputs[0] === one;
  }

  /** An input that has no dimension of examples, so that it is the same for all. */
  function isWhole(node: Node): boolean {
    return node.op.leaf === "input" && !node.shape.some((dim) => sameDim(dim, rows));
  }
}
