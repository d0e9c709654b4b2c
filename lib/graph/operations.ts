/**
 * Counting the floating-point operations of a graph.
 *
 * @module
 */

import type { Node } from "./node.ts";
import { bindShape, type Sizes } from "./shape.ts";

/**
 * Floating-point operations that computing some nodes takes, a multiply-add counting as two.
 *
 * Matrix products are exact, 2·m·n·k·batch; everything else is a small number for each element, as
 * its operation says. What only moves or sets values counts as none.
 *
 * @param nodes Every node of a program, for instance `Plan.order`.
 */
export function operationsOf(nodes: Iterable<Node>, sizes: Sizes): number {
  let total = 0;
  for (const node of nodes) total += node.op.flops(node, ({ shape }) => bindShape(shape, sizes));
  return total;
}
