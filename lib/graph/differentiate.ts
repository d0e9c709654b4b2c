/**
 * Reverse-mode differentiation: one walk over the graph, which adds the gradient as more nodes.
 *
 * @module
 */

import { type Node, topological } from "./node.ts";
import { formatShape, sameShape } from "./shape.ts";

/**
 * Gradients of `loss` towards some nodes.
 *
 * Only what lies between the loss and `wrt` gets backward nodes: frozen parts launch no kernel.
 *
 * @param loss Node to differentiate.
 * @param seed Gradient of the loss itself (ones, or the loss scale), of the loss's shape.
 * @param wrt Nodes, usually variables, whose gradients are wanted.
 * @param add Sums two nodes of one shape.
 * @returns For each of `wrt`, the nodes whose sum is its gradient, in a fixed order (several for a
 *   tied parameter; none where the loss does not depend on it).
 */
export function differentiate(
  loss: Node,
  seed: Node,
  wrt: readonly Node[],
  add: (a: Node, b: Node) => Node,
): Map<Node, Node[]> {
  const targets = new Set(wrt);
  const order = topological([loss]);
  const needed = new Set<Node>();
  for (const node of order) {
    if (targets.has(node) || node.inputs.some((input) => needed.has(input))) needed.add(node);
  }
  const gradients = new Map<Node, Node[]>(wrt.map((node) => [node, []]));
  const contributions = new Map<Node, Node[]>([[loss, [seed]]]);
  for (const node of order.reverse()) {
    const parts = contributions.get(node);
    if (parts === undefined || !needed.has(node)) continue;
    contributions.delete(node);
    if (targets.has(node)) {
      gradients.get(node)!.push(...parts);
      continue;
    }
    const gradient = parts.reduce(add);
    const needs = node.inputs.map((input) => needed.has(input));
    const results = node.op.backward(node, gradient, needs);
    node.inputs.forEach((input, i) => {
      const result = results[i];
      if (!needs[i] || result === null) return;
      if (!sameShape(result.shape, input.shape)) {
        throw new TypeError(
          `Cannot differentiate ${node.op.name}: gradient ${
            formatShape(result.shape)
          } of input ${i} ` +
            `does not have its shape ${formatShape(input.shape)}`,
        );
      }
      const list = contributions.get(input);
      if (list === undefined) contributions.set(input, [result]);
      else list.push(result);
    });
  }
  return gradients;
}
