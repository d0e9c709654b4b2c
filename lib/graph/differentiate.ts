/**
 * Reverse-mode differentiation: one walk over the graph, which adds the gradient as more nodes.
 *
 * @module
 */

import { isShare, type Node, repeated, topological } from "./node.ts";
import { formatShape, sameShape } from "./shape.ts";

/** How a gradient is built. */
export interface DifferentiateOptions {
  /**
   * What becomes of a contribution to the gradient of one of `wrt`, as soon as it is known, so that
   * it can be used up at once and its memory reused; the contribution itself unless given.
   */
  readonly into?: (target: Node, contribution: Node) => Node;
  /**
   * Values of the forward pass that are kept for the backward pass, besides leaves: what lies before
   * the last of them is computed again, from these, just before its gradient needs it
   * (Chen et al., 2016, Training Deep Nets with Sublinear Memory Cost). Absent: nothing is.
   */
  readonly boundaries?: ReadonlySet<Node>;
}

/**
 * Gradients of `loss` towards some nodes.
 *
 * Only what lies between the loss and `wrt` gets backward nodes: frozen parts launch no kernel.
 *
 * @param loss Node to differentiate, or several, whose gradients add up.
 * @param seed Gradient of the loss itself (ones, or the loss scale), of the loss's shape; one for
 *   each of several.
 * @param wrt Nodes, usually variables, whose gradients are wanted.
 * @param add Sums two nodes of one shape.
 * @returns For each of `wrt`, the nodes whose sum is its gradient, in a fixed order (several for a
 *   tied parameter; none where the loss does not depend on it).
 */
export function differentiate(
  loss: Node | readonly Node[],
  seed: Node | readonly Node[],
  wrt: readonly Node[],
  add: (a: Node, b: Node) => Node,
  { into = (_, contribution) => contribution, boundaries }: DifferentiateOptions = {},
): Map<Node, Node[]> {
  const targets = new Set(wrt);
  const [losses, seeds] = [[loss].flat(), [seed].flat()];
  const order = topological(losses);
  const needed = new Set<Node>();
  for (const node of order) {
    const through = !node.op.stopsGradient && node.inputs.some((input) => needed.has(input));
    if (targets.has(node) || through) needed.add(node);
  }
  const gradients = new Map<Node, Node[]>(wrt.map((node) => [node, []]));
  const contributions = new Map<Node, Node[]>();
  const contribute = (node: Node, gradient: Node) => {
    if (targets.has(node)) {
      gradients.get(node)!.push(into(node, gradient));
      return;
    }
    const list = contributions.get(node);
    if (list === undefined) contributions.set(node, [gradient]);
    else if (!mergeInto(list, gradient)) list.push(gradient);
  };
  const again = boundaries === undefined ? (node: Node) => node : recompute(boundaries, targets);
  losses.forEach((one, i) => contribute(one, seeds[i]));
  for (const node of order.reverse()) {
    const parts = contributions.get(node);
    if (parts === undefined || !needed.has(node)) continue;
    contributions.delete(node);
    const needs = node.inputs.map((input) => needed.has(input));
    // What reaches a share stays apart, so that all is added up in the order of a graph without.
    for (const gradient of isShare(node) ? parts : [parts.reduce(add)]) {
      const results = node.op.backward(again(node), gradient, needs);
      node.inputs.forEach((input, i) => {
        const result = results[i];
        if (!needs[i] || result === null) return;
        checkGradient(node, i, result);
        contribute(input, result);
      });
    }
  }
  return gradients;
}

function checkGradient({ op: { name }, inputs }: Node, i: number, { shape }: Node): void {
  if (sameShape(shape, inputs[i].shape)) return;
  throw new TypeError(
    `Cannot differentiate ${name}: gradient ${formatShape(shape)} of input ${i} ` +
      `does not have its shape ${formatShape(inputs[i].shape)}`,
  );
}

/** Puts a contribution into the first of the last ones that makes one node with it, if there is one. */
function mergeInto(list: Node[], gradient: Node): boolean {
  const { merge } = gradient.op;
  if (merge === undefined) return false;
  let from = list.length;
  while (from > 0 && list[from - 1].op === gradient.op) from--;
  for (; from < list.length; from++) {
    const merged = merge(list[from], gradient);
    if (merged === null) continue;
    list[from] = merged;
    return true;
  }
  return false;
}

/**
 * Gives nodes anew, down to the boundaries: asked for in the middle of the backward walk, a node is
 * computed there. What no boundary rests on is used at once by the backward pass, and stays.
 */
function recompute(
  boundaries: ReadonlySet<Node>,
  targets: ReadonlySet<Node>,
): (node: Node) => Node {
  const before = new Set(topological([...boundaries]));
  const made = new Map<Node, Node>();
  const again = (node: Node): Node => {
    if (
      node.op.leaf !== undefined || targets.has(node) || boundaries.has(node) || !before.has(node)
    ) return node;
    const known = made.get(node) ?? repeated(node, node.inputs.map(again));
    made.set(node, known);
    return known;
  };
  // A boundary's own gradient follows from what it is computed from, or rarely from itself.
  return (node) => boundaries.has(node) ? repeated(node, node.inputs.map(again)) : again(node);
}
